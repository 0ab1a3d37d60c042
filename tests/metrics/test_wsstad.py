import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from wherewhen.core.errors import DataError
from wherewhen.core.values import Prediction, Scores, Truth
from wherewhen.metrics import wsstad

seeds = st.integers(0, 2**32 - 1)
FRAMES = 9


def rows(rng, count):
    corners = rng.integers(0, 7, (count, 2)) / 12
    times = np.sort(np.array([rng.choice(FRAMES + 1, 2, replace=False) for _ in range(count)]).reshape(-1, 2), 1)
    return np.c_[times, corners, corners + rng.integers(1, 6, (count, 2)) / 12]


def world(seed):
    rng = np.random.default_rng(seed)
    predictions, truths = {}, {}
    for number in range(4):
        boxes = rows(rng, number)
        spans = [[0, FRAMES]] if number else []
        boxed = rng.random(FRAMES) < 0.7 if number == 2 else None
        truths[f"v{number}"] = Truth(np.arange(FRAMES + 1.0), spans, boxes, boxed=boxed)
        count = 0 if number == 3 else 6
        found = Scores(rows(rng, count), rng.integers(0, 3, count) / 2, rng.integers(-1, 3, count))
        predictions[f"v{number}"] = Prediction(boxes=found)
    return predictions, truths


def cells(boxes):
    """Cells of 12 x 12 within the hull of some boxes."""
    if not len(boxes):
        return set()
    x0, y0, x1, y1 = np.round(np.r_[boxes[:, :2].min(0), boxes[:, 2:].max(0)] * 12).astype(int)
    return {(x, y) for x in range(x0, x1) for y in range(y0, y1)}


def brute(found, truth, detector):
    """Twin: S_loc of every tube, frame by frame, and the tubes' scores."""
    tracks = [np.flatnonzero(found.track == t) for t in sorted(set(found.track)) if t >= 0]
    tracks += [np.array([i]) for i in np.flatnonzero(found.track < 0)]
    values = []
    for members in tracks:
        overlaps = []
        for frame in range(FRAMES):
            p, g, d = (
                cells(np.array([r[2:] for r in table if r[0] <= frame < r[1]]))
                for table in (found.extents[members], truth.boxes, found.extents)
            )
            known = truth.boxed is None or truth.boxed[frame] or bool(g)
            if (p or g) and known and (d or not detector):
                overlaps.append(len(p & g) / len(p | g))
        values.append(np.mean(overlaps) if overlaps else 0.0)
    return np.array(values), np.array([found.values[members].max() for members in tracks])


@pytest.mark.equation("mgpr", "S_loc")
@settings(deadline=None, max_examples=30)
@given(seeds)
def test_equals_brute_force(seed):
    """Equation 10 of Wu et al., with the frames of the detector and with all frames."""
    predictions, truths = world(seed)
    found = wsstad.compute(predictions, truths)
    for name, detector in (("s_loc_miou", False), ("s_loc_miou_detector", True)):
        best, oracle = [], []
        for key in ("v1", "v2", "v3"):
            values, scores = brute(predictions[key].boxes, truths[key], detector)
            best.append(values[scores == scores.max()].mean() if len(scores) else 0.0)
            oracle.append(values.max(initial=0))
        assert found[name] == pytest.approx(np.mean(best))
        for epsilon in (0.1, 0.2, 0.3):
            expected = np.mean(np.array(best) > epsilon + 1e-12)
            at = f"{name.replace('miou', 'iou')}@{epsilon}"
            assert found[at] == pytest.approx(expected) or any(abs(b - epsilon) < 1e-9 for b in best)
        if not detector:
            assert found["s_loc_miou_oracle"] == pytest.approx(np.mean(oracle))
    tops = [brute(predictions[k].boxes, truths[k], False)[1].max(initial=-9) for k in sorted(truths)]
    assert found["vauc_tube"] == pytest.approx(sk.roc_auc_score([t.label for _, t in sorted(truths.items())], tops))


@settings(deadline=None, max_examples=30)
@given(seeds)
def test_order_and_rising_transforms_change_nothing(seed):
    predictions, truths = world(seed)
    turned = {}
    for key, prediction in reversed(predictions.items()):
        boxes = prediction.boxes
        alone = np.where(boxes.track < 0, 50 + np.arange(len(boxes.track)), 90 - boxes.track)
        turned[key] = Prediction(boxes=Scores(boxes.extents[::-1], np.exp(boxes.values[::-1] * 3) - 8, alone[::-1]))
    assert wsstad.compute(turned, truths) == pytest.approx(wsstad.compute(predictions, truths))


def test_the_truth_told_back_is_perfect_and_half_the_time_is_half():
    truth = Truth(np.arange(5.0), [[0, 4]], [[0, 4, 0, 0, 0.5, 0.5]])
    whole = {"a": Prediction(boxes=Scores(truth.boxes, [0.9]))}
    half = {"a": Prediction(boxes=Scores([[0, 2, 0, 0, 0.5, 0.5]], [0.9]))}
    assert wsstad.compute(whole, {"a": truth})["s_loc_miou"] == 1.0
    found = wsstad.compute(half, {"a": truth})
    assert (found["s_loc_miou"], found["s_loc_miou_detector"], found["s_loc_iou@0.3"]) == (0.5, 1.0, 1.0)
    seen = wsstad.compute(half, {"a": truth}, detector_frames={"a": np.array([True, True, True, False])})
    assert seen["s_loc_miou_detector"] == pytest.approx(2 / 3)
    assert "vauc_tube" not in found


def test_the_detector_of_equation_10_gives_boxes_where_the_prediction_says_so():
    """Six frames; truth in 0 to 3, the tube in 2 to 5, of which 2 is filled in: Gamma = the frames 1, 3 and 4."""
    truth = Truth(np.arange(7.0), [[0, 4]], [[0, 4, 0, 0, 0.5, 0.5]])
    tube = Scores([[2, 6, 0, 0, 0.5, 0.5]], [0.9])
    detected = np.array([[1.0, 2.0], [3.0, 5.0]])
    numbers = wsstad.compute({"a": Prediction(boxes=tube, detected=detected)}, {"a": truth})
    assert numbers["s_loc_miou_detector"] == pytest.approx(1 / 3)
    assert numbers["s_loc_miou"] == pytest.approx(2 / 6)
    covered = wsstad.compute({"a": Prediction(boxes=tube)}, {"a": truth})
    assert covered["s_loc_miou_detector"] == pytest.approx(2 / 4), "without a detector: frames with a predicted box"
    never = wsstad.compute({"a": Prediction(boxes=tube, detected=np.empty((0, 2)))}, {"a": truth})
    assert never["s_loc_miou_detector"] == 0.0


def test_errors_say_what_is_missing():
    nothing = {"a": Prediction(boxes=Scores(np.empty((0, 6)), []))}
    with pytest.raises(DataError, match="no anomalous video"):
        wsstad.compute(nothing, {"a": Truth([0, 1])})
    with pytest.raises(DataError, match="a: an anomalous video without a ground-truth box"):
        wsstad.compute(nothing, {"a": Truth([0, 1], [[0, 1]])})
    truth = Truth([0, 1], [[0, 1]], [[0, 1, 0, 0, 1, 1]])
    with pytest.raises(DataError, match="a: expected detector_frames"):
        wsstad.compute(nothing, {"a": truth}, detector_frames={})


def test_an_overlap_of_just_epsilon_is_not_above_it():
    truth = Truth(np.arange(5.0), [[0, 4]], [[0, 4, 0, 0, 0.5, 0.5]])
    half = {"a": Prediction(boxes=Scores([[0, 2, 0, 0, 0.5, 0.5]], [0.9]))}
    found = wsstad.compute(half, {"a": truth}, epsilons=(0.5, 0.49))
    assert (found["s_loc_iou@0.5"], found["s_loc_iou@0.49"]) == (0.0, 1.0)
