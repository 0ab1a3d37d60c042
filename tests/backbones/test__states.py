"""Networks with states: clip by clip they give what the same causal network gives for the whole video."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wherewhen.backbones._states import Port, paired, zeros
from wherewhen.backbones.file import File, FileConfig
from wherewhen.core.errors import ConfigError
from wherewhen.core.values import Bag, Pixels, Video
from wherewhen.evaluation import evaluator
from wherewhen.extraction import feature_cache, sampling
from wherewhen.inference import scoring
from wherewhen.inference.model import Model
from wherewhen.inference.model_config import ModelConfig
from wherewhen.inference.normalizer import Normalizer
from wherewhen.video import reader
from wherewhen.video.writer import Writer

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
KERNEL = np.float32([0.25, 0.5, 1.0])
SETTINGS: dict[str, Any] = {
    "size": (16, 24), "mean": (0, 0, 0), "std": (1, 1, 1), "frames": 4, "stride": 4, "input": "BCTHW", "output": "BCTHW"
}  # fmt: skip


def network(path: Path, names: tuple[str, str] = ("state/b0", "state/b0_out"), frames: Any = "T") -> Path:
    """Means of 8 x 8 pixels, convolved with the two pictures before; the states are those and a number of frames."""
    helper, kinds = onnx.helper, onnx.TensorProto

    def port(name: str, kind: int, *shape: Any) -> Any:
        return helper.make_tensor_value_info(name, kind, shape)

    def constant(name: str, values: Any) -> Any:
        return onnx.numpy_helper.from_array(np.asarray(values), name)

    nodes = [
        helper.make_node("AveragePool", ["image"], ["means"], kernel_shape=[1, 8, 8], strides=[1, 8, 8]),
        helper.make_node("Concat", [names[0], "means"], ["joined"], axis=2),
        helper.make_node("Slice", ["joined", "start", "end", "axis"], [names[1]]),
        helper.make_node("Conv", ["joined", "kernel"], ["features"], group=3),
        helper.make_node("Shape", ["image"], ["sizes"], start=2, end=3),
        helper.make_node("Add", ["frame_count", "sizes"], ["frame_count_out"]),
    ]
    weights = np.broadcast_to(KERNEL[None, None, :, None, None], (3, 1, 3, 1, 1)).copy()
    constants = [constant("start", [-2]), constant("end", [2**31]), constant("axis", [2]), constant("kernel", weights)]
    inputs = [
        port(names[0], kinds.FLOAT, 1, 3, 2, 2, 3), port("image", kinds.FLOAT, 1, 3, frames, 16, 24),
        port("frame_count", kinds.INT64, 1),
    ]  # fmt: skip
    outputs = [
        port("features", kinds.FLOAT, 1, 3, frames, 2, 3), port("frame_count_out", kinds.INT64, 1),
        port(names[1], kinds.FLOAT, 1, 3, 2, 2, 3),
    ]  # fmt: skip
    graph = helper.make_graph(nodes, "stream", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def ir(path: Path, **options: Any) -> Path:
    """The same network as OpenVINO IR."""
    openvino = pytest.importorskip("openvino")
    source = network(path.with_suffix(".onnx"), **options)
    openvino.save_model(openvino.Core().read_model(str(source)), path, compress_to_fp16=False)
    return path


MAKERS: dict[str, Callable[..., Path]] = {"onnx": network, "xml": ir}


def causal(pictures: Pixels) -> np.ndarray:
    """The features ``(T, h, w, 3)`` of all pictures ``(T, 16, 24, 3)`` by the same network without states."""
    means = pictures.reshape(-1, 2, 8, 3, 8, 3).mean((2, 4)) / 255
    padded = np.pad(means, ((2, 0), (0, 0), (0, 0), (0, 0)))
    convolved: np.ndarray = sum(KERNEL[k] * padded[k : k + len(means)] for k in range(3))
    return convolved


def noise(count: int) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (count, 16, 24, 3), np.uint8)


def film(path: Path, count: int) -> Path:
    with Writer(path, 10) as writer:
        for picture in noise(count).repeat(4, 1).repeat(4, 2):
            writer.write(picture)
    return path


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("frames", ["T", 1, 2])
def test_clip_by_clip_is_the_whole_video(kind: str, frames: Any, tmp_path: Path) -> None:
    pictures = noise(19)
    backbone = File(FileConfig(path=str(MAKERS[kind](tmp_path / f"net.{kind}", frames=frames)), **SETTINGS))
    assert backbone.clip.tail == "short"
    for sizes in ([(4,), (4,), (4,), (4,), (3,)], [(4, 4), (4, 4), (3,)], [(4,), (4,)]):
        stream = backbone.for_video()
        assert stream is not None
        parts, start = [], 0
        for clips in sizes:
            batch = [pictures[start + sum(clips[:k]) : start + sum(clips[: k + 1])] for k in range(len(clips))]
            parts += list(stream(np.stack(batch)))
            start += sum(clips)
        np.testing.assert_allclose(np.concatenate(parts), causal(pictures[:start]), atol=1e-5)
    np.testing.assert_allclose(backbone(pictures[None, :4])[0], causal(pictures[:4]), atol=1e-5)
    np.testing.assert_allclose(backbone(pictures[None, 4:8])[0], causal(pictures[4:8]), atol=1e-5)


@pytest.mark.parametrize("kind", MAKERS)
def test_videos_spans_and_streams_begin_at_zero(kind: str, tmp_path: Path) -> None:
    """From a file, from a span of it, live, and from the cache: the same numbers, equal to the whole-video network."""
    path = film(tmp_path / "film.mp4", 22)
    net = MAKERS[kind](tmp_path / f"net.{kind}")
    settings = {key: list(value) if isinstance(value, tuple) else value for key, value in SETTINGS.items()}
    config = ModelConfig.of({"backbone": "file", "file": {**settings, "path": str(net)}})
    video = Video("film", path, 1)
    shown = np.stack([frame.image for frame in reader.frames(path, size=(16, 24))])
    cells = feature_cache.instances(video, config.feature_spec(), tmp_path)
    assert cells.shape == (22, 2, 3)
    np.testing.assert_allclose(cells.features.reshape(22, 2, 3, 3), causal(shown), atol=1e-5)
    np.testing.assert_allclose(cells.extents[::6, 0], np.arange(22) / 10, atol=1e-6)
    part = feature_cache.instances(Video("film", path, 1, span=(0.8, 1.7)), config.feature_spec(), tmp_path)
    np.testing.assert_allclose(part.features.reshape(9, 2, 3, 3), causal(shown[8:17]), atol=1e-5)
    normalizer = Normalizer.fit([cells])
    model = Model(config, {"cells": normalizer}, config.make("method", {"cells": 3}), 0.5, normalizer(cells))
    bag = Bag(video, {"cells": feature_cache.instances(video, config.feature_spec(), tmp_path)})
    offline = evaluator.detect_bags(model, evaluator.normalized(model, [bag]))["film"]
    for _ in range(2):
        live = scoring.join_predictions(model.stream(path))
        assert live.heat is not None and offline.heat is not None and live.heat.values.std() > 0
        np.testing.assert_allclose(live.heat.values, offline.heat.values, rtol=0, atol=1e-6)


def test_what_breaks_the_order_of_pictures_is_refused(tmp_path: Path) -> None:
    net = str(network(tmp_path / "net.onnx"))
    backbone = File(FileConfig(path=net, **SETTINGS))
    for options in ({"crops": 5}, {"gate": 1.0}):
        with pytest.raises(ConfigError, match=rf"keeps states, .*--{next(iter(options))} "):
            sampling.for_video(backbone, **options)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"needs each picture once: --file\.stride 4"):
        File(FileConfig(path=net, **{**SETTINGS, "stride": 2}))
    with pytest.raises(ConfigError, match=r"takes 3 frames at a time, and clips have 4.*--file\.frames and"):
        File(FileConfig(path=str(network(tmp_path / "three.onnx", frames=3)), **SETTINGS))
    settings = {key: list(value) if isinstance(value, tuple) else value for key, value in SETTINGS.items()}
    with pytest.raises(ConfigError, match=r"motion\+file: .*keeps states.* can't be joined: --backbone file"):
        ModelConfig.of({"backbone": "motion+file", "file": {**settings, "path": net}}).make("backbone")
    assert File(FileConfig(path=net, **{**SETTINGS, "tail": "drop"})).clip.tail == "drop"


def test_names_of_states() -> None:
    path = Path("net")
    movinet = [f"serving_default_state/block0_layer{k}_pool_buffer:0" for k in range(2)]
    outputs = ["logits", *(f"state/block0_layer{k}_pool_buffer" for k in range(2))]
    assert paired(path, ["serving_default_image:0", *movinet], outputs, []) == (
        "serving_default_image:0", dict(zip(movinet, outputs[1:], strict=True))
    )  # fmt: skip
    assert paired(path, ["a", "image"], ["x", "y"], ["a=y"]) == ("image", {"a": "y"})
    for names, settings, message in (
        (["a", "image"], [], r"no output for a, image.*--file\.states .*outputs are x, y"),
        (["a", "image"], ["b=y"], "unknown input 'b'"),
        (["a", "image"], ["a=z"], "unknown output 'z'"),
        (["a", "image", "b"], ["a=x", "b=x"], "another output for each input"),
    ):
        with pytest.raises(ConfigError, match=message):
            paired(path, names, ["x", "y"], settings)
    with pytest.raises(ConfigError, match="the state a is int8, whose zero is not known"):
        zeros(path, {"a": Port((1, 2), "int8")})
    with pytest.raises(ConfigError, match="the state a has a free size"):
        zeros(path, {"a": Port((1, 0), "float")})


@pytest.mark.parametrize("kind", MAKERS)
def test_states_by_settings(kind: str, tmp_path: Path) -> None:
    net = str(MAKERS[kind](tmp_path / f"net.{kind}", names=("memory", "later")))
    with pytest.raises(ConfigError, match=r"no output for .*memory"):
        File(FileConfig(path=net, **SETTINGS))
    backbone = File(FileConfig(path=net, states=("memory=later",), **SETTINGS))
    stream = backbone.for_video()
    assert stream is not None
    found = np.concatenate([stream(noise(8)[None, k : k + 4])[0] for k in (0, 4)])
    np.testing.assert_allclose(found, causal(noise(8)), atol=1e-5)
