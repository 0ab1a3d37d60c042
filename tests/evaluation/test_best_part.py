"""The predicted tube of Wu et al., IJCAI 2021: the best part (equation 9) against the truth (equation 10)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from wherewhen.core.tubes import TubeConfig
from wherewhen.core.values import Boxes, Grid, Instances, Truth
from wherewhen.inference import score_maps, scoring
from wherewhen.instances._tubes_config import TubesConfig
from wherewhen.instances.tubes import Tubes
from wherewhen.localize.regions import Regions, RegionsConfig
from wherewhen.metrics import wsstad

FRAMES, STEP = 40, 0.25


def filmed() -> list[Grid]:
    """An object crosses the picture in ten seconds, another one stands from second 2 to 7."""
    grids = []
    for second in range(10):
        frames = []
        for k in range(4 * second, 4 * second + 4):
            boxes = {0: (0.02 * k, 0.1, 0.02 * k + 0.2, 0.5)} | ({1: (0.6, 0.5, 0.9, 0.9)} if 8 <= k < 28 else {})
            rows = np.array([[k * STEP, (k + 1) * STEP, *box] for box in boxes.values()])
            frames.append(Boxes(k * STEP, (k + 1) * STEP, rows, np.full(len(rows), 0.9), track=np.array([*boxes])))
        features = np.full((1, 2, 2, 1), second, np.float32)
        grids.append(Grid(features, np.array([second, second + 1, 0, 0, 1, 1.0]), boxes=tuple(frames)))
    return grids


def instances(track: str) -> Instances:
    shape = TubeConfig(window=None, multivariate=False)
    settings = TubesConfig(shape=shape, part=2.5, manner=False, track=track)  # type: ignore[arg-type]
    (whole,) = Tubes(settings)(filmed())
    return whole


def iou(a: np.ndarray, b: np.ndarray) -> float:
    shared = np.prod(np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0))
    return float(shared / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - shared))


def by_hand(boxes: dict[int, np.ndarray], truth: dict[int, np.ndarray]) -> float:
    """S_loc: mean IoU over the frames in which either has a box."""
    frames = boxes.keys() | truth.keys()
    return sum(iou(boxes[k], truth[k]) for k in boxes.keys() & truth.keys()) / len(frames)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("track", ["part", "object"])
def test_the_best_part_alone_or_the_whole_way_of_its_object_is_evaluated(track: str, seed: int) -> None:
    movers = instances(track)
    assert movers.paths is not None and len(movers.features) == 6
    scores = np.random.default_rng(seed).random(6).astype(np.float32)
    box = np.array([0.3, 0.1, 0.6, 0.6])
    real = dict.fromkeys(range(12, 24), box)
    edges = np.arange(FRAMES + 1) * STEP
    truth = Truth(edges, [[12 * STEP, 24 * STEP]], [[12 * STEP, 24 * STEP, *box]])
    localizer = Regions(RegionsConfig(smooth_seconds=0.0, within=None), 0.4)
    prediction = scoring.join_predictions(localizer(score_maps.heat([(movers, scores)])))
    seconds = np.array([[0.0, FRAMES * STEP]])
    numbers = wsstad.compute({"a": replace(prediction, detected=seconds)}, {"a": truth})

    best = int(scores.argmax())
    rows, owner = movers.paths.rows.extents, movers.paths.rows.track
    members = [best] if track == "part" else [k for k in range(6) if movers.track[k] == movers.track[best]]
    chosen = {round(row[0] / STEP): row[2:] for row, k in zip(rows, owner, strict=True) if k in members}
    assert len(chosen) == len(members) * 10
    assert numbers["s_loc_miou"] == numbers["s_loc_miou_detector"] == pytest.approx(by_hand(chosen, real))


def test_whole_tubes_and_their_parts_have_the_same_boxes() -> None:
    shape = TubeConfig(window=None, multivariate=False)
    (whole,) = Tubes(TubesConfig(shape=shape, part=None, manner=False))(filmed())
    parts = instances("part")
    assert (len(whole.features), len(parts.features)) == (2, 6), "M = ceil(length / 2.5 s): 4 and 2"
    assert whole.paths is not None and parts.paths is not None
    assert sorted(whole.paths.rows.extents.tolist()) == sorted(parts.paths.rows.extents.tolist())
