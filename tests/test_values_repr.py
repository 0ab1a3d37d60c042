"""Values print as one line that says what they are, not their arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from wherewhen.api.benchmark import Bench
from wherewhen.api.evaluation import EvaluationReport
from wherewhen.core.prompts import Prompts
from wherewhen.core.values import (
    Bag,
    Boxes,
    Clip,
    Dataset,
    Event,
    Fold,
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
from wherewhen.evaluation.evaluator import Evaluation
from wherewhen.inference.model_config import ModelConfig
from wherewhen.inference.result import Result
from wherewhen.text.zero_shot import ZeroShot
from wherewhen.video.batch import Quarantine

ROW = np.array([[0, 2, 0, 0, 0.5, 1.0]])
EDGES = np.array([0, 1, 2.0])
PICTURES = np.zeros((2, 4, 6, 3), np.uint8)
FEATURES = Instances(np.ones((4, 3)), np.repeat(ROW, 4, 0), shape=(1, 2, 2))
NORMAL = tuple(Video(str(number), Path("v.mp4"), 0) for number in range(9))

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
    (Bag(Video("a", Path("a.mp4")), {"cells": FEATURES}), "Bag('a', cells: 4)"),
    (Video("a", Path("a.mp4")), "Video('a', no label)"),
    (Video("a", Path("a.mp4"), 1, "fight", (0, 2)), "Video('a', label 1, 'fight', 0.00-2.00 s)"),
    (Fold("0", NORMAL[:2], NORMAL[2:]), "Fold('0', 2 training videos, 7 test videos)"),
    (Fold("0", NORMAL[:2], (), ("0",)), "Fold('0', 2 training videos (1 for validation), 0 test videos)"),
    (Dataset("toy", NORMAL, (Fold("0", NORMAL[:2], NORMAL[2:]),)), "Dataset('toy', 9 videos, 1 folds)"),
    (ModelConfig.of(), "ModelConfig(motion, cells, cuboid_mil, regions, seed 0)"),
    (ModelConfig.of().feature_spec(), "FeatureSpec(motion, cells, auto, auto, auto)"),
    (
        EvaluationReport([], Quarantine(Path()), ("frame",), ()),
        "EvaluationReport(0 rows, 1 metric families, 0 videos skipped)",
    ),
    (Evaluation([], {}, {}, ("frame",), []), "Evaluation(0 rows, 0 videos, 1 metric families)"),
    (ZeroShot(Prompts(("gray",), {"fall": ("red",)}), "toywords"), "ZeroShot(toywords, regions, 1 classes)"),
    (Bench([], [], [], {"data": "x" * 500}), "Bench(0 rows, 0 paired comparisons)"),
]


@pytest.mark.parametrize(("value", "line"), LINES, ids=[line for _, line in LINES])
def test_a_value_prints_as_one_line(value: object, line: str) -> None:
    assert repr(value) == line


LONG = "very/deep/folder/" * 30 + "cam.mp4"
LONGEST = Video(LONG, Path(LONG), 1, "fight+" * 50 + "fight", (0, 1e6))


@pytest.mark.parametrize(
    "value",
    [
        LONGEST,
        Bag(LONGEST, {f"view{number}" * 9: FEATURES for number in range(9)}, LONG),
        Fold(LONG, NORMAL, (LONGEST,)),
        Dataset(LONG, NORMAL),
        Event(ROW, 0.75, LONG, 10**9),
        Result(LONG, Path(LONG), Prediction(HeatMap([0.25, 0.5], EDGES)), EDGES, (6, 4), LONG),
        ModelConfig.of({"backbone": "frame_difference", "method": "wherewhen", "seed": 10**9}),
        *(value for value, _ in LINES),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_repr_is_one_short_line(value: object) -> None:
    assert "\n" not in repr(value) and len(repr(value)) < 160
