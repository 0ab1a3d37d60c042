from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from wherewhen.backbones.shufflenet import ShuffleNet, ShuffleNetConfig
from wherewhen.core.errors import ConfigError, StoreError
from wherewhen.runtime.weights import read
from wherewhen.video import reader

SHARED = Path(os.environ.get("WHEREWHEN_SHARED", Path(__file__).parents[2] / "../shared"))
FASTESTDET = SHARED / "weights" / "fastestdet"
REAL = FASTESTDET / "shufflenetv2.pth"
LAYERS = ["stage2", "stage3", "stage4", "pooled"]


@pytest.fixture
def real() -> str:
    if not REAL.is_file():
        pytest.skip(f"no real weights: {REAL} is not there (WHEREWHEN_SHARED names the folder above)")
    return str(REAL)


@pytest.fixture(scope="module")
def people() -> np.ndarray:
    """16 pictures of a street with people."""
    path = SHARED / "data" / "ped2" / "videos" / "Test001.mp4"
    if not path.is_file():
        pytest.skip(f"no pictures: {path} is not there (WHEREWHEN_SHARED names the folder above)")
    pictures = [frame.image for _, frame in zip(range(16), reader.frames(path, rate=12.5), strict=False)]
    return np.stack(pictures)


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [("stage2", (12, 16, 48)), ("stage3", (6, 8, 96)), ("stage4", (3, 4, 192)), ("pooled", (1, 1, 192))],
)
def test_a_layer_has_its_grid_and_width(layer: Any, shape: tuple[int, ...]) -> None:
    network = ShuffleNet(ShuffleNetConfig("random", frames=6, sampling=2, size=(96, 128), layer=layer))
    assert network(noise(2, 6, 48, 64)).shape == (2, 3, *shape)


@pytest.mark.parametrize(("frames", "sampling", "seen"), [(8, 4, [1, 5]), (8, 1, [*range(8)]), (9, 3, [1, 4, 7])])
def test_only_the_middle_of_each_step_is_seen(frames: int, sampling: int, seen: list[int]) -> None:
    network = ShuffleNet(ShuffleNetConfig("random", frames=frames, sampling=sampling, size=(64, 64)))
    clip = noise(1, frames, 64, 64)
    found = network(clip)
    assert found.shape[1] == len(seen)
    for frame in range(frames):
        other = clip.copy()
        other[:, frame] = 0
        changed = np.abs(network(other) - found).max((0, 2, 3, 4)) > 0
        assert changed.tolist() == [frame == index for index in seen]


def test_real_weights_see_people_walk(real: str, people: np.ndarray) -> None:
    network = ShuffleNet(ShuffleNetConfig(real, layer="stage3"))
    found = network(np.stack([people[:8], people[8:]]))
    assert found.shape == (2, 2, 14, 20, 96)
    np.testing.assert_array_equal(found, ShuffleNet(ShuffleNetConfig(real))(np.stack([people[:8], people[8:]])))
    steps = found.reshape(4, 14, 20, 96)
    apart = np.linalg.norm(np.diff(steps, axis=0), axis=-1) / np.linalg.norm(steps[1:], axis=-1)
    assert apart.max() > 0.5  # where somebody came or went
    assert np.median(apart) < 0.2  # where nobody did


def test_real_weights_expect_blue_first_in_unit_range(real: str) -> None:
    """Mean responses of the first layer, as learnt, are those of the mean colors of natural pictures."""
    tensors = read(Path(real))
    sums = tensors["first_conv.0.weight"].sum((2, 3)).double().numpy()
    means = np.linalg.lstsq(sums, tensors["first_conv.1.running_mean"].double().numpy(), rcond=None)[0]
    np.testing.assert_allclose(means, [0.406, 0.456, 0.485], atol=0.03)
    red = np.zeros((1, 8, 64, 64, 3), np.uint8)
    red[..., 0] = 255
    network = ShuffleNet(ShuffleNetConfig(real, size=(64, 64), layer="stage2"))
    blue_first = torch.zeros(1, 3, 64, 64)
    blue_first[:, 2] = 1
    wanted = network.module.features(blue_first)[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(network(red)[0, 0], wanted, atol=1e-5)


def as_checkpoint(detector: Any, names: dict[str, Any]) -> dict[str, torch.Tensor]:
    """The detector's own backbone, whose norms are folded, under the names and with the norms of the file format."""
    from onnx import numpy_helper

    stored = {row.name: numpy_helper.to_array(row) for row in detector.graph.initializer}
    convs = [node for node in detector.graph.node if node.op_type == "Conv"]
    made = {name: torch.zeros_like(value) for name, value in names.items()}
    order = ["first_conv.0"]
    for stage, count in (("stage2", 4), ("stage3", 8), ("stage4", 4)):
        for block in range(count):
            parts = ["branch_proj.0", "branch_proj.2"] * (block == 0)
            parts += [f"branch_main.{k}" for k in (0, 3, 5)]
            order += [f"{stage}.{block}.{part}" for part in parts]
    for name, node in zip(order, convs, strict=False):
        stem, number = name.rsplit(".", 1)
        norm = f"{stem}.{int(number) + 1}"
        made[f"{name}.weight"] = torch.from_numpy(stored[node.input[1]].copy())
        made[f"{norm}.bias"] = torch.from_numpy(stored[node.input[2]].copy())
        made[f"{norm}.weight"] = torch.ones_like(names[f"{norm}.weight"])
        made[f"{norm}.running_var"] = torch.full_like(names[f"{norm}.running_var"], 1 - 1e-5)
    return made


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_detector_of_the_same_authors_runs_the_same_network(real: str, people: np.ndarray, tmp_path: Path) -> None:
    onnx, runtime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    detector = onnx.load(FASTESTDET / "FastestDet.onnx")
    torch.save(as_checkpoint(detector, read(Path(real))), tmp_path / "own.pth")
    halvings = [k for k, node in enumerate(detector.graph.node) if node.op_type == "Concat"]
    ends = {"stage2": halvings[3], "stage3": halvings[11], "stage4": halvings[15]}
    outputs = {stage: detector.graph.node[k].output[0] for stage, k in ends.items()}
    detector.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in outputs.values())
    session = runtime.InferenceSession(detector.SerializeToString(), providers=["CPUExecutionProvider"])
    for stage, name in outputs.items():
        config = ShuffleNetConfig(str(tmp_path / "own.pth"), frames=1, sampling=1, size=(352, 352), layer=stage)  # type: ignore[arg-type]
        network = ShuffleNet(config)
        clip = network.prepared(people[None, :1])
        blue_first = np.ascontiguousarray(clip[0, 0, ..., ::-1].transpose(2, 0, 1)[None], np.float32) / 255
        wanted = session.run([name], {detector.graph.input[0].name: blue_first})[0][0].transpose(1, 2, 0)
        found = network(people[None, :1])[0, 0]
        assert np.abs(found - wanted).max() <= 2e-5 * np.abs(wanted).max()


@pytest.mark.parametrize("layer", LAYERS)
def test_it_can_be_traced(layer: Any) -> None:
    network = ShuffleNet(ShuffleNetConfig("random", size=(64, 96), layer=layer))
    clips = torch.from_numpy(noise(2, 8, 64, 96))
    traced = torch.fx.symbolic_trace(network.module)
    torch.testing.assert_close(traced(clips), network.module(clips), rtol=0, atol=0)


def test_weights_of_something_else_are_refused(tmp_path: Path) -> None:
    torch.save({"conv.weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(StoreError, match="these weights are not for ShuffleNetV2"):
        ShuffleNet(ShuffleNetConfig(str(tmp_path / "other.pth")))
    with pytest.raises(StoreError, match="wherewhen weights get shufflenet_fastestdet"):
        ShuffleNet(ShuffleNetConfig())


@pytest.mark.parametrize("wrong", [{"sampling": 0}, {"sampling": 9}, {"size": (16, 320)}, {"stride": 0}])
def test_senseless_settings(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"expected|size is"):
        ShuffleNetConfig(**wrong)
