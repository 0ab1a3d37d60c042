from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from wherewhen.core.outputs import MANIFEST
from wherewhen.core.values import Event, HeatMap, Prediction, Truth
from wherewhen.visualization.render import timeline


def steps(*values: float) -> HeatMap:
    return HeatMap(values, np.arange(len(values) + 1.0))


def pixels(path: Path) -> np.ndarray:
    picture = cv2.imread(str(path))
    assert picture is not None
    return picture[..., ::-1].astype(int)


def share(picture: np.ndarray, color: tuple[int, int, int], close: int = 4) -> float:
    return float((np.abs(picture - color).max(-1) <= close).mean())


def test_it_shows_events_and_truth_where_there_are_any(tmp_path: Path) -> None:
    scores = steps(*[0.1] * 10)
    event = Event([[2, 8, 0, 0, 1, 1]], 0.9, "fighting")
    truth = Truth(np.arange(11.0), [[3, 6]])
    bare = pixels(timeline(Prediction(frames=scores), tmp_path / "bare.png"))
    full = pixels(timeline(Prediction(frames=scores, events=(event,)), tmp_path / "full.png", truth=truth, title="A"))
    orange, gray = (217, 102, 15), (229, 231, 235)
    assert share(full, orange) > 0.01 > share(bare, orange)
    assert share(full, gray, 6) > 0.1 > share(bare, gray, 6)
    bars = np.flatnonzero((np.abs(full - orange).max(-1) <= 4).sum(0) > 20)
    assert np.ptp(bars) / full.shape[1] == pytest.approx(0.6 * 0.92, abs=0.05)


@pytest.mark.parametrize("title", ["$x_{1", "two\nlines", "监控 视频 ☃", "<b>&amp;", "\x07bell", ""])
def test_any_file_name_can_be_a_title(tmp_path: Path, title: str) -> None:
    event = Event([[0, 1, 0, 0, 1, 1]], 0.5, title or None)
    path = timeline(Prediction(frames=steps(0.2, 0.8), events=(event,)), tmp_path / "a.png", title=title)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_without_scores_it_says_so(tmp_path: Path) -> None:
    assert pixels(timeline(Prediction(), tmp_path / "none.png")).min() < 200


def test_it_replaces_the_file_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.png"
    timeline(Prediction(frames=steps(0.2)), path)
    timeline(Prediction(frames=steps(0.9)), path)
    assert {entry.name for entry in path.parent.iterdir()} == {"a.png", MANIFEST}


def test_it_touches_no_global_figure() -> None:
    code = (
        "import sys, tempfile, pathlib; from wherewhen.visualization.render import timeline;"
        "from wherewhen.core.values import *;"
        "folder = tempfile.TemporaryDirectory();"
        "timeline(Prediction(frames=HeatMap([0.5], [0, 1])), pathlib.Path(folder.name) / 'a.png');"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
