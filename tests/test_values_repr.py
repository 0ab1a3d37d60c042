"""Values print as one line that says what they are, not their arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from wherewhen.core.values import (
    Bag,
    Boxes,
    Clip,
    Event,
    Frame,
    Grid,
    HeatMap,
    Instances,
    Paths,
    Prediction,
    Scores,
    Truth,
    Video,
)

ROW = np.array([[0, 2, 0, 0, 0.5, 1.0]])
EDGES = np.array([0, 1, 2.0])
PICTURES = np.zeros((2, 4, 6, 3), np.uint8)
FEATURES = Instances(np.ones((4, 3)), np.repeat(ROW, 4, 0), shape=(1, 2, 2))

LINES = [
    (Frame(PICTURES[0], 7, 0.25, 0.5), "Frame(7, 0.25-0.50 s, 6x4)"),
    (Clip(PICTURES, EDGES), "Clip(2 frames, 0.00-2.00 s, 6x4)"),
    (Grid(np.ones((1, 2, 2, 3), np.float32), ROW[0]), "Grid(1x2x2 cells, 3 features, 0.00-2.00 s)"),
    (FEATURES, "Instances(4 (1x2x2), 3 features, 0.00-2.00 s)"),
    (Paths(Scores(ROW, [0.5], [0]), EDGES), "Paths(1 boxes, 2 frames, 0.00-2.00 s)"),
    (Scores(ROW, [0.5]), "Scores(1, 0.50 to 0.50)"),
    (Scores(np.empty((0, 6)), []), "Scores(0)"),
    (Boxes(0, 1), "Boxes(0, 0.00-1.00 s)"),
    (HeatMap([0.25, 0.5], EDGES), "HeatMap(2x1x1, 0.00-2.00 s, peak 0.50)"),
    (Event(ROW, 0.75, "running", 3), "Event(0.00-2.00 s, score 0.75, 'running', track 3)"),
    (Event(ROW, 0.75), "Event(0.00-2.00 s, score 0.75)"),
    (Prediction(HeatMap([0.25, 0.5], EDGES), events=(Event(ROW, 0.75),)), "Prediction(1 events, 0.00-2.00 s)"),
    (Prediction(), "Prediction(0 events, no scores)"),
    (Truth(EDGES, [[0, 1]], ROW), "Truth(1 spans, 1 boxes, 2 frames, 0.00-2.00 s)"),
    (Bag(Video("a", Path("a.mp4")), {"cells": FEATURES}), f"Bag('a', cells: {FEATURES!r})"),
]


@pytest.mark.parametrize(("value", "line"), LINES, ids=[line for _, line in LINES])
def test_a_value_prints_as_one_line(value: object, line: str) -> None:
    assert repr(value) == line
