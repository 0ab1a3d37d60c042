from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from wherewhen.backbones.file import File, FileConfig
from wherewhen.core.config import build
from wherewhen.core.errors import ConfigError
from wherewhen.core.store import plain
from wherewhen.inference.model_config import ModelConfig

SHARED = Path(os.environ.get("WHEREWHEN_SHARED", Path(__file__).parents[2] / "../shared"))
PLAIN: dict[str, Any] = {"mean": (0, 0, 0), "std": (1, 1, 1), "frames": 4, "size": (16, 24)}


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)


class Pool(torch.nn.Module):
    """Means of 8 x 8 pixels of ``(..., C, H, W)``, and their own mean."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        flat = torch.nn.functional.avg_pool2d(x.reshape(-1, 1, x.shape[-2], x.shape[-1]), 8)
        pooled = flat.reshape(x.shape[:-2] + flat.shape[-2:])
        return pooled, x.mean((-2, -1))


def script(path: Path) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.script(Pool()).save(str(path))
    return str(path)


def onnx_pool(path: Path, batch: int | str, size: tuple[int, int] = (16, 24)) -> str:
    """Means of 8 x 8 pixels of ``(B, 3, H, W)``, and their mean ``(B, 3)``."""
    onnx = pytest.importorskip("onnx")
    make = onnx.helper
    nodes = [
        make.make_node("AveragePool", ["x"], ["map"], kernel_shape=[8, 8], strides=[8, 8]),
        make.make_node("ReduceMean", ["x"], ["mean"], axes=[2, 3], keepdims=0),
    ]
    kind = onnx.TensorProto.FLOAT
    given = [make.make_tensor_value_info("x", kind, [batch, 3, *size])]
    out = [make.make_tensor_value_info("map", kind, None), make.make_tensor_value_info("mean", kind, None)]
    model = make.make_model(make.make_graph(nodes, "pool", given, out), opset_imports=[make.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.save(model, path)
    return str(path)


def means(clips: np.ndarray) -> np.ndarray:
    """Means of 8 x 8 pixels ``(B, T, h, w, 3)``, in [0, 1]."""
    b, t, h, w, _ = clips.shape
    return clips.reshape(b, t, h // 8, 8, w // 8, 8, 3).mean((3, 5)) / 255


@pytest.mark.parametrize("batch", ["batch", 1, 5])
def test_an_onnx_file_sees_frame_by_frame(tmp_path: Path, batch: int | str) -> None:
    pytest.importorskip("onnxruntime")
    path = onnx_pool(tmp_path / "pool.onnx", batch)
    clips = noise(3, 4, 16, 24)
    found = File(FileConfig(path, input="BCHW", output="BCHW", **PLAIN))(clips)
    assert found.shape == (3, 4, 2, 3, 3) and found.dtype == np.float32
    np.testing.assert_allclose(found, means(clips), atol=1e-6)
    vectors = File(FileConfig(path, input="BCHW", output="BD", take=1, sampling=2, **PLAIN))(clips)
    np.testing.assert_allclose(vectors[:, :, 0, 0], clips[:, ::2].mean((2, 3)) / 255, atol=1e-6)


@pytest.mark.parametrize(
    ("given", "take", "output", "axes"),
    [("BTCHW", 0, "BTCHW", (0, 1, 2, 3, 4)), ("BCTHW", 0, "BCTHW", (0, 1, 2, 3, 4)), ("BTCHW", 1, "BTD", None)],
)
def test_a_torchscript_file_sees_clips(tmp_path: Path, given: Any, take: int, output: Any, axes: Any) -> None:
    clips = noise(2, 4, 16, 24)
    network = File(FileConfig(script(tmp_path / "own.pt"), trust=True, input=given, output=output, take=take, **PLAIN))
    wanted = means(clips) if axes else clips.mean((2, 3))[:, :, None, None] / 255
    np.testing.assert_allclose(network(clips), wanted, atol=1e-6)


def test_pixels_are_normalized_and_turned_to_blue_first(tmp_path: Path) -> None:
    clips = noise(1, 4, 16, 24)
    settings = PLAIN | {"mean": (0.1, 0.2, 0.3), "std": (0.5, 1, 2)}
    path = script(tmp_path / "own.pt")
    network = File(FileConfig(path, trust=True, input="BTCHW", output="BTCHW", bgr=True, **settings))
    wanted = ((means(clips) - (0.1, 0.2, 0.3)) / (0.5, 1, 2))[..., ::-1]
    np.testing.assert_allclose(network(clips), wanted, atol=1e-5)


def test_code_is_opened_only_if_trusted(tmp_path: Path) -> None:
    path = script(tmp_path / "own.torchscript")
    with pytest.raises(ConfigError, match=r"holds code that runs when it is opened.*--file.trust"):
        File(FileConfig(path, input="BTCHW", output="BTCHW"))
    (tmp_path / "broken.pt").write_bytes(b"no archive")
    with pytest.raises(ConfigError, match="can't be opened as TorchScript"):
        File(FileConfig(str(tmp_path / "broken.pt"), trust=True))


def test_the_file_itself_is_part_of_the_settings(tmp_path: Path) -> None:
    path = tmp_path / "own.onnx"
    path.write_bytes(b"first")
    first = FileConfig(str(path))
    assert first == build(FileConfig, plain(first), "file") and len(first.sha256) == 64
    path.write_bytes(b"second, longer")
    assert FileConfig(str(path)).sha256 != first.sha256
    with pytest.raises(ConfigError, match="has changed: its sha256 is"):
        FileConfig(str(path), sha256=first.sha256)
    path.unlink()
    assert FileConfig(str(path), sha256=first.sha256) == first


def test_files_that_are_no_networks(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    with pytest.raises(ConfigError, match=r"no path is given; name a file of a network: --file\.path FILE"):
        File(FileConfig())
    with pytest.raises(ConfigError, match=r"there is no nowhere\.onnx"):
        File(FileConfig("nowhere.onnx"))
    (tmp_path / "text.onnx").write_text("text")
    with pytest.raises(ConfigError, match="can't be opened as ONNX"):
        File(FileConfig(str(tmp_path / "text.onnx")))
    (tmp_path / "network.h5").write_text("text")
    with pytest.raises(
        ConfigError, match=r"expected one of .onnx, .tflite, .xml, .pt, .pth, .ts, .torchscript; got network.h5"
    ):
        File(FileConfig(str(tmp_path / "network.h5")))


def test_other_shapes_than_the_settings_say(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    path = onnx_pool(tmp_path / "pool.onnx", "batch")
    with pytest.raises(ConfigError, match=r"gives \(4, 3, 2, 3\) for 4 frames; that is not BD"):
        File(FileConfig(path, input="BCHW", output="BD", **PLAIN))(noise(1, 4, 16, 24))
    with pytest.raises(ConfigError, match=r"expects \['batch', 3, 16, 24\], got \(4, 3, 32, 32\)"):
        File(FileConfig(path, input="BCHW", output="BCHW", **PLAIN | {"size": (32, 32)}))(noise(1, 4, 16, 24))
    with pytest.raises(ConfigError, match="more than 2 outputs"):
        File(FileConfig(path, take=2))
    scripted = script(tmp_path / "own.pt")
    with pytest.raises(ConfigError, match="has 2 outputs; there is no number 2"):
        File(FileConfig(scripted, trust=True, input="BTCHW", output="BTCHW", take=2, **PLAIN))(noise(1, 4, 16, 24))


def test_a_missing_library_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own.onnx").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigError, match=r'pip install "wherewhen\[onnx\]"'):
        File(FileConfig(str(tmp_path / "own.onnx")))


def test_a_published_detector_is_a_backbone() -> None:
    pytest.importorskip("onnxruntime")
    path = SHARED / "weights" / "fastestdet" / "FastestDet.onnx"
    if not path.is_file():
        pytest.skip(f"no real network: {path} is not there (WHEREWHEN_SHARED names the folder above)")
    settings = PLAIN | {"size": (352, 352), "frames": 2}
    network = File(FileConfig(str(path), input="BCHW", output="BCHW", bgr=True, **settings))
    found = network(noise(2, 2, 90, 160))
    assert found.shape == (2, 2, 22, 22, 85)
    assert found[..., 0].min() >= 0 and found[..., 0].max() <= 1  # is there a thing?
    np.testing.assert_allclose(found[..., 5:].sum(-1), 1, rtol=1e-4)  # of which of 80 kinds?


@pytest.mark.parametrize(
    "wrong",
    [
        {"stride": 0},
        {"sampling": 17},
        {"take": -1},
        {"size": (0, 5)},
        {"rate": 0},
        {"std": (1, 0, 1)},
        {"input": "BCHW", "output": "BTD"},
    ],
)
def test_senseless_settings(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="file: "):
        FileConfig(**wrong)


def test_features_know_the_file_wherever_it_lies(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"the same")
    (tmp_path / "b.onnx").write_bytes(b"the same")
    (tmp_path / "c.onnx").write_bytes(b"another")
    one, other, third = (
        ModelConfig.of({"backbone": "file", "file": {"path": str(tmp_path / f"{name}.onnx")}})
        .feature_spec()
        .required_settings()["file"]
        for name in "abc"
    )
    assert one == other and "path" not in one and one["frames"] == 16
    assert {key for key in one if one[key] != third[key]} == {"sha256"}
