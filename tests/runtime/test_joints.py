"""Networks of joints: what fits, what does not, and that the file is the one that was named."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from wherewhen.core.errors import ConfigError
from wherewhen.runtime import joints, network_files

openvino = pytest.importorskip("openvino")
MOVENET = (
    Path(os.environ.get("WHEREWHEN_SHARED", Path(__file__).parents[2] / "../shared"))
    / "weights/coral/movenet_single_pose_lightning_ptq.tflite"
)


def digest(path: Path) -> str:
    return network_files.digest(path, "test")


def test_joints_are_x_y_and_confidence(joint_network: Path) -> None:
    network = joints.opened(str(joint_network), digest(joint_network))
    pictures = np.full((2, 24, 24, 3), 90, np.uint8)
    pictures[1, 6:12, 12:24] = 250
    rows = network(pictures)
    assert network.size == (24, 24) and rows.shape == (2, 17, 3) and not rows[0].any()
    np.testing.assert_allclose(rows[1, :, :2], np.tile([0.75, 0.375], (17, 1)), atol=1e-4)
    np.testing.assert_allclose(rows[1, :, 2], 1 - np.arange(17) / 34, atol=1e-6)
    assert joints.opened(str(joint_network), "") is network, "opened once"


def test_a_network_of_another_layout_is_refused(tmp_path: Path) -> None:
    ops = openvino.opset13
    for shape, kind in (((1, 24, 24, 3), np.uint8), ((1, 3, 24, 24), np.float32)):
        pixels = ops.parameter(shape, kind)
        mean = ops.reduce_mean(ops.convert(pixels, "f32"), np.array([1]))
        openvino.save_model(openvino.Model([mean], [pixels], "other"), tmp_path / "other.xml")
        with pytest.raises(ConfigError, match=r"tubes\.pose: .*other\.xml is no network of joints.* gives \[1"):
            joints.JointNetwork(tmp_path / "other.xml")
    (tmp_path / "other.tflite").write_bytes(b"no network")
    with pytest.raises(ConfigError, match=r"tubes\.pose: .*other\.tflite can't be opened by OpenVINO"):
        joints.JointNetwork(tmp_path / "other.tflite")


def test_missing_and_changed_files(joint_network: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no .*net\.tflite; .*--tubes\.pose\.path FILE"):
        joints.opened(str(tmp_path / "net.tflite"), "")
    with pytest.raises(ConfigError, match=r"joints\.xml has changed: its sha256 is"):
        joints.opened(str(joint_network), "0" * 64)
    shutil.copy(joint_network, tmp_path / "net.xml")
    with pytest.raises(ConfigError, match=r"also needs its weights: expected net\.bin"):
        network_files.identity(str(tmp_path / "net.xml"), "", "tubes.pose")
    assert network_files.identity(str(tmp_path / "gone.xml"), "12", "tubes.pose") == "12"


def test_without_openvino(joint_network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ConfigError, match=r'pip install "wherewhen\[openvino\]"'):
        joints.JointNetwork(joint_network)


@pytest.mark.skipif(not MOVENET.is_file(), reason=f"needs {MOVENET}")
def test_movenet() -> None:
    network = joints.opened(str(MOVENET), "")
    rows = network(np.zeros((1, 192, 192, 3), np.uint8))
    assert network.size == (192, 192) and rows.shape == (1, 17, 3) and rows.min() >= 0 and rows[..., 2].max() < 0.5
