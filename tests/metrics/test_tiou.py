import os
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherewhen.core.calibration import calibrate
from wherewhen.core.errors import ConfigError, DataError
from wherewhen.core.values import HeatMap, Prediction, Scores, Truth
from wherewhen.metrics import tiou

SHARED = Path(os.environ.get("WHEREWHEN_SHARED", Path(__file__).parents[2] / "../shared"))
LIU_MA = SHARED / "annotations" / "ucf_crime_boxes_liu_ma" / "Test_annotation.pkl"

seeds = st.integers(0, 2**32 - 1)


def random_boxes(rng, count, frames):
    """Extents with times on frame borders and places on a 12 x 12 grid, some overlapping in time."""
    rows = []
    for _ in range(count):
        (x0, x1), (y0, y1) = (sorted(rng.choice(13, 2, replace=False) / 12) for _ in range(2))
        t0, t1 = sorted(rng.choice(frames + 1, 2, replace=False))
        rows.append([t0, t1, x0, y0, x1, y1])
    return np.reshape(rows, (-1, 6)).astype(float)


def world(seed):
    rng = np.random.default_rng(seed)
    predictions, truths = {}, {}
    for number in range(3):
        frames = int(rng.integers(6, 12))
        boxes = random_boxes(rng, 3 * number, frames)
        truths[f"v{number}"] = Truth(np.arange(frames + 1.0), boxes[:1, :2], boxes)
        found = random_boxes(rng, 4, frames)
        scores = Scores(found, rng.integers(0, 3, len(found)) / 2)
        predictions[f"v{number}"] = Prediction(
            HeatMap(rng.integers(0, 5, frames) / 4, truths[f"v{number}"].edges), boxes=scores
        )
    return predictions, truths


def cells(box):
    """The 144 cells that a box on the 12 x 12 grid covers."""
    x0, y0, x1, y1 = np.round(np.asarray(box) * 12).astype(int)
    return {(x, y) for x in range(x0, x1) for y in range(y0, y1)}


def hull(rows):
    return np.r_[np.min([r[2:4] for r in rows], 0), np.max([r[4:] for r in rows], 0)]


def brute(predictions, truths, theta, choose):
    """Twin: walk over frames and count cells."""
    values = []
    for key, truth in truths.items():
        boxes, gate = predictions[key].boxes, predictions[key].frames.values[:, 0, 0]
        for frame in range(len(truth.edges) - 1):
            real = [b for b in truth.boxes if b[0] <= frame + 0.5 < b[1]]
            found = [(v, b) for v, b in zip(boxes.values, boxes.extents, strict=True) if b[0] <= frame + 0.5 < b[1]]
            if not real:
                continue
            best = [b[2:] for v, b in found if v == max(v for v, _ in found)] if choose == "best" else [hull([b for _, b in found])] if found else []  # fmt: skip # noqa: E501
            pairs = [(cells(b), cells(hull(real))) for b in best]
            overlap = np.mean([len(p & g) / len(p | g) for p, g in pairs]) if pairs else 0.0
            values.append(overlap * (gate[frame] >= theta))
    return np.mean(values)


@settings(deadline=None, max_examples=30)
@given(seeds, st.sampled_from(["best", "hull"]), st.sampled_from([0.5, 0.25]))
def test_equals_brute_force(seed, choose, theta):
    predictions, truths = world(seed)
    found = tiou.compute(predictions, truths, theta=theta, choose=choose, validated_theta=0.75)
    assert found["tiou"] == pytest.approx(brute(predictions, truths, theta, choose))
    assert found["tiou_validated"] == pytest.approx(brute(predictions, truths, 0.75, choose))
    assert found["iou_ungated"] == pytest.approx(brute(predictions, truths, -1, choose))
    assert found["tiou"] <= min(found["iou_ungated"], found["tiou_recall"]) + 1e-12


@settings(deadline=None, max_examples=30)
@given(seeds)
def test_the_order_of_boxes_changes_nothing(seed):
    predictions, truths = world(seed)
    turned = {
        k: Prediction(p.frames, boxes=Scores(p.boxes.extents[::-1], p.boxes.values[::-1]))
        for k, p in predictions.items()
    }
    assert tiou.compute(turned, truths) == pytest.approx(tiou.compute(predictions, truths))


def test_masks_stand_in_for_boxes():
    masks = np.zeros((2, 4, 4), bool)
    masks[1, 1:3, 0:2] = True
    truths = {"a": Truth([0, 1, 2], [[0, 2]], masks=lambda: masks)}
    boxes = Scores([[0, 2, 0, 0, 0.5, 1]], [1.0])
    found = tiou.compute({"a": Prediction(HeatMap([0.9], [0, 2]), boxes=boxes)}, truths)
    assert found == {"tiou": 0.5, "tiou_recall": 1.0, "tiou_raw": 0.5, "tiou_recall_raw": 1.0, "iou_ungated": 0.5}


@settings(deadline=None, max_examples=30)
@given(seeds, st.sampled_from([0.125, 0.5, 0.9]))
def test_the_raw_gate_is_that_of_the_scores_before_calibration(seed, threshold):
    predictions, truths = world(seed)
    calibrated = {
        key: replace(p, frames=HeatMap(calibrate(p.frames.values, threshold), p.frames.edges), threshold=threshold)
        for key, p in predictions.items()
    }
    before, after = tiou.compute(predictions, truths), tiou.compute(calibrated, truths)
    assert (after["tiou_raw"], after["tiou_recall_raw"]) == (before["tiou"], before["tiou_recall"])
    assert before["tiou_raw"] == before["tiou"]


def test_no_box_is_no_overlap_and_no_truth_is_an_error():
    truth = Truth([0, 1], [[0, 1]], [[0, 1, 0, 0, 1, 1]])
    nothing = Prediction(HeatMap([0.9], [0, 1]), boxes=Scores(np.empty((0, 6)), []))
    assert tiou.compute({"a": nothing}, {"a": truth})["tiou"] == 0.0
    with pytest.raises(DataError, match="no annotated frame"):
        tiou.compute({"a": nothing}, {"a": Truth([0, 1])})
    with pytest.raises(DataError, match="reads 'boxes'"):
        tiou.compute({"a": Prediction(HeatMap([0.9], [0, 1]))}, {"a": truth})
    with pytest.raises(ConfigError, match="hull"):
        tiou.compute({"a": nothing}, {"a": truth}, choose="all")


class Plain(pickle.Unpickler):
    """Reads lists, dicts, strings and numbers, and refuses everything else."""

    def find_class(self, module, name):
        raise pickle.UnpicklingError(f"{module}.{name} is not plain data")


@pytest.mark.skipif(not LIU_MA.exists(), reason=f"no annotation at {LIU_MA}")
def test_trivial_boxes_on_the_annotation_of_liu_and_ma():
    with LIU_MA.open("rb") as file:
        videos = Plain(file, encoding="latin1").load()
    truths, full, central = {}, {}, {}
    for key, rows in videos.items():
        corners = np.array([row[1:] for row in rows], float) / [320, 240, 320, 240]
        frame = np.array([int(row[0].rsplit("_", 1)[1].split(".")[0]) for row in rows]) - 1
        boxes = np.c_[frame, frame + 1, corners.clip(0, 1)]
        truths[key] = Truth(np.arange(frame.max() + 2.0), [[frame.min(), frame.max() + 1]], boxes)
        gate, end = HeatMap([1.0], [0, 1]), frame.max() + 1
        full[key] = Prediction(gate, boxes=Scores([[0, end, 0, 0, 1, 1]], [1.0]))
        central[key] = Prediction(gate, boxes=Scores([[0, end, 0.2, 0.2, 0.8, 0.8]], [1.0]))
    annotated = sum(len(tiou.truth_hulls(truth)[0]) for truth in truths.values())
    assert (len(truths), annotated) == (140, 3102)
    assert tiou.compute(full, truths)["tiou"] == pytest.approx(0.2307, abs=5e-5)
    assert tiou.compute(central, truths)["tiou"] == pytest.approx(0.353, abs=5e-4)
