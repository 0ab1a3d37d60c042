from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wherewhen.core import extents as ext
from wherewhen.core.errors import ConfigError
from wherewhen.core.values import Frame
from wherewhen.proposals.onnx import Onnx, OnnxConfig
from wherewhen.video import reader

SHARED = Path(os.environ.get("WHEREWHEN_SHARED", Path(__file__).parents[2] / "../shared"))
DETECTOR = SHARED / "weights" / "fastestdet" / "FastestDet.onnx"
CLIP = SHARED / "data" / "avenue6" / "videos" / "Test17.avi"


@pytest.mark.skipif(not (DETECTOR.exists() and CLIP.exists()), reason="no real detector or clip at hand")
def test_a_real_detector_finds_who_walks_by() -> None:
    source = Onnx(OnnxConfig(path=str(DETECTOR)))
    assert source.clip.size == (352, 352) and source.clip.stride == 2
    frames = [f for f, _ in zip(reader.frames(CLIP, size=source.clip.size), range(20), strict=False)]
    found = list(source(frames[::5]))
    assert all(boxes.names.count("person") >= 1 for boxes in found)
    for boxes in found:
        assert (boxes.values >= 0.3).all() and set(boxes.names) <= set(source.config.classes)
        assert (ext.area(boxes.extents) > 1e-4).all()


def test_what_can_not_be_run_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="expected a detector"):
        Onnx(OnnxConfig())
    with pytest.raises(ConfigError, match="no such file"):
        Onnx(OnnxConfig(path=str(tmp_path / "none.onnx")))
    (tmp_path / "bad.onnx").write_bytes(b"no network")
    with pytest.raises(ConfigError, match="not a network"):
        Onnx(OnnxConfig(path=str(tmp_path / "bad.onnx")))
    with pytest.raises(ConfigError, match="unknown class 'persn'; did you mean 'person'"):
        Onnx(OnnxConfig(path=str(tmp_path / "bad.onnx"), classes=("persn",)))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigError, match=r"pip install \"wherewhen\[onnx\]\""):
        Onnx(OnnxConfig(path=str(tmp_path / "bad.onnx")))


class _Said:
    """A network that always says the same."""

    def __init__(self, cells: np.ndarray) -> None:
        self.cells = cells

    def get_inputs(self) -> list[Any]:
        return [type("Input", (), {"name": "in", "shape": [1, 3, 64, 64]})()]

    def get_outputs(self) -> list[Any]:
        return [type("Output", (), {"name": "out"})()]

    def run(self, names: list[str], feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        assert feed["in"].shape == (1, 3, 64, 64) and feed["in"].dtype == np.float32
        return [self.cells]


def test_classes_score_and_overlap_decide_what_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = np.zeros((1, 85, 1, 4), np.float32)
    cells[0, 0] = [0.9, 0.8, 0.9, 0.1]  # objectness; the last is not sure enough
    cells[0, 1, 0] = [0, -8, 0, 0]  # the second lies nearly where the first does
    cells[0, 3:5] = -1.0
    cells[0, 5, 0, [0, 1, 3]] = 1.0  # three people
    cells[0, 5 + 58, 0, 2] = 1.0  # and a potted plant
    cells[0, 2, 0] = 0.5
    monkeypatch.setattr("wherewhen.proposals.onnx._session", lambda config: _Said(cells))
    frame = Frame(np.zeros((64, 64, 3), np.uint8), 0, 0.0, 0.1)
    (found,) = Onnx(OnnxConfig(path="x"))([frame])
    assert found.names == ("person",) and found.values[0] == pytest.approx(0.9**0.6)
    (every,) = Onnx(OnnxConfig(path="x", classes=(), score=0.1, overlap=1.0))([frame])
    assert sorted(every.names) == ["person", "person", "person", "potted plant"]
    with pytest.raises(ConfigError, match="there are 1 names"):
        names = OnnxConfig(path="x", classes=())
        source = Onnx(names)
        source.names = ("person",)
        list(source([frame]))
