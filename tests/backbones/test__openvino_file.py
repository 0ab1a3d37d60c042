from __future__ import annotations

import logging
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wherewhen.backbones.file import File, FileConfig
from wherewhen.core.errors import ConfigError
from wherewhen.inference.model_config import ModelConfig

openvino = pytest.importorskip("openvino")
SHARED = Path(os.environ.get("WHEREWHEN_SHARED", Path(__file__).parents[2] / "../shared"))
MOBILENET = SHARED / "weights" / "coral" / "mobilenet_v2_1.0_224_quant.tflite"
SMALL: dict[str, Any] = {"frames": 2, "size": (16, 24)}
PLAIN: dict[str, Any] = {"mean": (0, 0, 0), "std": (1, 1, 1), **SMALL}
FLOAT, UINT8, INT8 = 0, 3, 9  # types of a TensorFlow Lite file


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)


def means(clips: np.ndarray) -> np.ndarray:
    """Means of 8 x 8 pixels ``(B, T, h, w, 3)``."""
    b, t, h, w, _ = clips.shape
    pooled: np.ndarray = clips.reshape(b, t, h // 8, 8, w // 8, 8, 3).mean((3, 5))
    return pooled


def ir(path: Path, shape: tuple[int, ...] = (1, 3, 16, 24), quantized: tuple[float, float] | None = None) -> str:
    """Means of 8 x 8 pixels (``map``), twice them (``double``), and the mean of those (``mean``), as OpenVINO IR."""
    ops = openvino.opset13
    pixels = ops.parameter(shape, np.float32, name="pixels")
    given = ops.fake_quantize(pixels, *map(np.float32, quantized * 2), 256) if quantized else pixels
    pooled = ops.avg_pool(given, [8, 8], [0, 0], [0, 0], [8, 8], False, name="map")
    double = ops.multiply(pooled, np.full((1, 1, 1, 1), 2, np.float32), name="double")
    mean = ops.reduce_mean(double, np.array([2, 3]), name="mean")
    openvino.save_model(openvino.Model([mean], [pixels], "pool"), path, compress_to_fp16=False)
    return str(path)


def tflite(path: Path, kind: int = UINT8, scale: float = 1 / 128, zero: int = 128) -> str:
    """A TensorFlow Lite file: means of 8 x 8 pixels of ``(1, 16, 24, 3)`` (``map``), and their mean (``mean``)."""
    flatbuffers = pytest.importorskip("flatbuffers")
    b = flatbuffers.Builder(1024)

    def vector(values: Any, width: int = 4) -> Any:
        b.StartVector(width, len(values), width)
        for value in reversed(values):
            {4: b.PrependInt32, 8: b.PrependInt64}[width](value)
        return b.EndVector()

    def offsets(values: Any) -> Any:
        b.StartVector(4, len(values), 4)
        for value in reversed(values):
            b.PrependUOffsetTRelative(value)
        return b.EndVector()

    def table(size: int, *slots: Any) -> Any:
        b.StartObject(size)
        for add, slot, value in slots:
            add(slot, value, 0)
        return b.EndObject()

    whole, part, number, short, place = (
        b.PrependUOffsetTRelativeSlot,
        b.PrependInt8Slot,
        b.PrependInt32Slot,
        b.PrependUint32Slot,
        b.PrependUOffsetTRelativeSlot,
    )
    tensors = []
    for name, shape in (("pixels", (1, 16, 24, 3)), ("map;fused", (1, 2, 3, 3)), ("mean", (1, 1, 1, 3))):
        parts = [(whole, 0, vector(shape)), (part, 1, kind), (place, 3, b.CreateString(name))]
        if kind != FLOAT:
            b.StartVector(4, 1, 4)
            b.PrependFloat32(scale)
            scales = b.EndVector()
            quantization = table(7, (whole, 2, scales), (whole, 3, vector([zero], 8)))
            parts.append((whole, 4, quantization))
        tensors.append(table(8, *parts))
    operators = []
    for source, target, height, width in ((0, 1, 8, 8), (1, 2, 2, 3)):
        sizes = [(number, 1, width), (number, 2, height), (number, 3, width), (number, 4, height)]
        options = table(6, (part, 0, 1), *sizes)
        parts = [(whole, 1, vector([source])), (whole, 2, vector([target])), (whole, 4, options)]
        operators.append(table(9, (b.PrependUint8Slot, 3, 5), *parts))
    graph = [(whole, 0, offsets(tensors)), (whole, 1, vector([0])), (whole, 2, vector([2]))]
    subgraph = table(5, *graph, (whole, 3, offsets(operators)))
    code = table(4, (part, 0, 1), (number, 2, 1), (number, 3, 1))
    model = [(short, 0, 3), (whole, 1, offsets([code])), (whole, 2, offsets([subgraph]))]
    b.Finish(table(8, *model, (whole, 4, offsets([table(1)]))), file_identifier=b"TFL3")
    path.write_bytes(bytes(b.Output()))
    return str(path)


@pytest.mark.parametrize(("kind", "zero"), [(UINT8, 128), (INT8, 0), (UINT8, 7)])
def test_a_quantized_file_takes_pixels_over_its_whole_range(tmp_path: Path, kind: int, zero: int) -> None:
    clips = noise(2, 2, 16, 24)
    network = File(FileConfig(tflite(tmp_path / "net.tflite", kind, zero=zero), **SMALL))
    assert (network.input, network.output) == ("BHWC", "BHWC")
    features = network(clips)
    lowest = 0 if kind == UINT8 else -128
    np.testing.assert_allclose(features, (means(clips) + lowest - zero) / 128, atol=0.51 / 128)


def test_a_float_file_takes_mean_and_std(tmp_path: Path) -> None:
    clips = noise(1, 2, 16, 24)
    network = File(FileConfig(tflite(tmp_path / "net.tflite", FLOAT), mean=(0.5,) * 3, std=(0.25,) * 3, **SMALL))
    np.testing.assert_allclose(network(clips), (means(clips) / 255 - 0.5) / 0.25, atol=1e-5)


@pytest.mark.parametrize(("scaling", "low", "high"), [("file", -1, 1), ("settings", 0, 1)])
def test_a_float_input_that_is_quantized_first_states_its_range(
    tmp_path: Path, scaling: Any, low: float, high: float
) -> None:
    clips = noise(1, 2, 16, 24)
    path = ir(tmp_path / "net.xml", quantized=(-1, 1))
    features = File(FileConfig(path, scaling=scaling, operation="map", **PLAIN))(clips)
    np.testing.assert_allclose(features, low + (high - low) * means(clips) / 255, atol=0.01)


def test_the_last_map_before_pooling_is_the_default_and_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clips = noise(2, 2, 16, 24)
    with caplog.at_level(logging.INFO, "wherewhen"):
        network = File(FileConfig(ir(tmp_path / "net.xml"), **PLAIN))
        File(FileConfig(tflite(tmp_path / "net.tflite"), **SMALL))
    assert "features of net.xml are the map double (1 x 3 x 2 x 3)" in caplog.text
    assert "features of net.tflite are the map map (1 x 2 x 3 x 3); another one: --file.operation" in caplog.text
    np.testing.assert_allclose(network(clips), 2 * means(clips) / 255, atol=1e-6)


def test_a_row_of_points_is_no_map(tmp_path: Path) -> None:
    ops = openvino.opset13
    pixels = ops.parameter((1, 3, 16, 24), np.float32, name="pixels")
    pooled = ops.avg_pool(pixels, [8, 8], [0, 0], [0, 0], [8, 8], False, name="map")
    points = ops.reduce_mean(pooled, np.array([2]), keep_dims=True, name="points")  # one row
    openvino.save_model(openvino.Model([points], [pixels], "points"), tmp_path / "net.xml")
    assert File(FileConfig(str(tmp_path / "net.xml"), **PLAIN))(noise(1, 2, 16, 24)).shape == (1, 2, 2, 3, 3)


def test_any_operation_is_a_map_and_a_wrong_name_lists_them(tmp_path: Path) -> None:
    clips = noise(2, 2, 16, 24)
    path = ir(tmp_path / "net.xml", (-1, 3, -1, -1))
    np.testing.assert_allclose(File(FileConfig(path, operation="map", **PLAIN))(clips), means(clips) / 255, atol=1e-6)
    mean = File(FileConfig(path, operation="mean", **PLAIN))
    assert mean.output == "BD"
    np.testing.assert_allclose(mean(clips)[:, :, 0, 0], 2 * clips.mean((2, 3)) / 255, atol=1e-6)
    with pytest.raises(
        ConfigError, match=r"unknown operation 'doubel'; did you mean 'double'\? Known: double, map, mean"
    ):
        File(FileConfig(path, operation="doubel"))
    with pytest.raises(ConfigError, match=r"unknown operation 'Relu'.* Known: map, mean"):
        File(FileConfig(tflite(tmp_path / "net.tflite"), operation="Relu"))
    fused = File(FileConfig(tflite(tmp_path / "net.tflite", FLOAT), operation="mean", **SMALL))
    assert fused(clips).shape == (2, 2, 1, 1, 3)


def test_a_file_without_maps_and_settings_that_do_not_fit(tmp_path: Path) -> None:
    path = ir(tmp_path / "net.xml")
    with pytest.raises(ConfigError, match=r'takes pictures of 16 x 24: --file.size "\[16, 24\]"'):
        File(FileConfig(path))
    with pytest.raises(ConfigError, match=r"doesn't fit the layout BTHWC"):
        File(FileConfig(path, input="BTHWC", **PLAIN))
    with pytest.raises(ConfigError, match="has no setting take; its output is chosen by operation"):
        FileConfig(path, take=1)
    with pytest.raises(ConfigError, match="has no setting operation; its output is chosen by take"):
        FileConfig("net.onnx", operation="map")
    with pytest.raises(ConfigError, match=r"whole numbers, so mean and std don't apply: --file.scaling file"):
        File(FileConfig(tflite(tmp_path / "net.tflite"), scaling="settings", **SMALL))
    with pytest.raises(ConfigError, match=r"takes \[1, 6, 16, 24\]; its layout can't be derived: --file.input"):
        File(FileConfig(ir(tmp_path / "six.xml", (1, 6, 16, 24)), **PLAIN))
    with pytest.raises(
        ConfigError, match=r"has no map of rows and columns; choose an output: --file.operation NAME.*map"
    ):
        File(FileConfig(ir(tmp_path / "one.xml", (1, 3, 8, 8)), frames=1, size=(8, 8)))


def test_both_files_of_ir_are_its_identity(tmp_path: Path) -> None:
    path = tmp_path / "net.xml"
    first = FileConfig(ir(path))
    for suffix in (".xml", ".bin"):
        shutil.copy(path.with_suffix(suffix), tmp_path / f"copy{suffix}")
    same = FileConfig(str(tmp_path / "copy.xml"))
    assert first.sha256 == same.sha256 and len(first.sha256) == 64
    weights = path.with_suffix(".bin")
    weights.write_bytes(weights.read_bytes() + b"more")
    with pytest.raises(ConfigError, match="has changed: its sha256 is"):
        FileConfig(str(path), sha256=first.sha256)
    weights.unlink()
    with pytest.raises(ConfigError, match=r"also needs its weights: expected net\.bin beside it"):
        FileConfig(str(path))


@pytest.mark.parametrize("content", [b"", b"text", b"\x1c\0\0\0TFL3" + b"\xff" * 99])
def test_damaged_files(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "net.tflite").write_bytes(content)
    (tmp_path / "net.xml").write_bytes(content)
    (tmp_path / "net.bin").write_bytes(content)
    with pytest.raises(ConfigError, match=r"net.tflite can't be opened as TensorFlow Lite"):
        File(FileConfig(str(tmp_path / "net.tflite")))
    with pytest.raises(ConfigError, match=r"net.xml can't be opened as OpenVINO IR"):
        File(FileConfig(str(tmp_path / "net.xml")))


def test_a_file_cut_short(tmp_path: Path) -> None:
    path = Path(tflite(tmp_path / "net.tflite"))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ConfigError, match="can't be opened as TensorFlow Lite"):
        File(FileConfig(str(path)))


def test_a_missing_library_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = ir(tmp_path / "net.xml")
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ConfigError, match=r'pip install "wherewhen\[openvino\]"'):
        File(FileConfig(path))


def test_these_files_hold_no_code(tmp_path: Path) -> None:
    config = ModelConfig.of({"backbone": "file", "file": {"path": ir(tmp_path / "net.xml")}})
    assert File.abilities.runs_code_of is not None
    assert File.abilities.runs_code_of(config.plain()["file"]) is None and not config.trusted


def test_a_published_network_classifies_a_photograph(tmp_path: Path) -> None:
    if not MOBILENET.is_file():
        pytest.skip(f"no real network: {MOBILENET} is not there (WHEREWHEN_SHARED names the folder above)")
    cbook, image = pytest.importorskip("matplotlib.cbook"), pytest.importorskip("PIL.Image")
    with cbook.get_sample_data("grace_hopper.jpg") as file:
        portrait = np.asarray(image.open(file).convert("RGB"))
    clip = np.stack([portrait, portrait[:, ::-1]])[None]
    classes = File(FileConfig(str(MOBILENET), operation="MobilenetV2/Predictions/Softmax", frames=2))
    assert set(classes(clip)[0, :, 0, 0].argmax(-1)) == {653}  # military uniform
    features = File(FileConfig(str(MOBILENET), frames=2))(clip)
    assert features.shape == (1, 2, 7, 7, 1280) and features.min() >= 0 and 5.9 < features.max() <= 6
    a, b = features[0, 0], features[0, 1][:, ::-1]
    assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.7 > np.corrcoef(a.ravel(), features[0, 1].ravel())[0, 1]
