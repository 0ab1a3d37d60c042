import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from wherewhen.core.errors import DataError
from wherewhen.core.values import HeatMap, Prediction, Truth
from wherewhen.metrics import pauc


def world(seed):
    rng = np.random.default_rng(seed)
    predictions, truths = {}, {}
    for number in range(3):
        frames = int(rng.integers(5, 9))
        corners = rng.integers(0, 80, (number, 2)) / 128
        sizes = rng.integers(8, 48, (number, 2)) / 128
        times = [np.sort(rng.choice(frames + 1, 2, replace=False)) for _ in range(number)]
        boxes = np.c_[np.reshape(times, (-1, 2)), corners, corners + sizes]
        edges = np.arange(frames + 1.0)
        boxed = rng.random(frames) < 0.5 if number == 2 else None
        truths[f"v{number}"] = Truth(edges, [[0, frames - 1]] if number else [], boxes, boxed=boxed)
        heat = HeatMap(rng.integers(1, 6, (3, *rng.choice([4, 7, 8], 2))) / 5, np.linspace(0, frames, 4))
        predictions[f"v{number}"] = Prediction(HeatMap(rng.integers(1, 4, 2) / 4, [0, 2, frames]), heat)
    return predictions, truths


def brute(predictions, truths, within_spans):
    """Twin: every cell of every frame, by the rule in pixels of 128."""
    scores, labels = [], []
    for key, truth in truths.items():
        heat, gate = (getattr(predictions[key], part).on(truth.edges) for part in ("heat", "frames"))
        for frame, busy in enumerate(truth.frames):
            boxes = [b[2:] * 128 for b in truth.boxes if b[0] <= frame < b[1]]
            unknown = busy and not boxes and truth.boxed is not None and not truth.boxed[frame]
            if unknown or (within_spans and not busy):
                continue
            for row, column in np.ndindex(8, 8):
                h, w = heat[frame].shape
                cell = float(heat[frame, int((row + 0.5) * h / 8), int((column + 0.5) * w / 8)])
                scores.append(cell * (1 if within_spans else float(gate[frame, 0, 0])))
                wide = [max(0, min(16 * column + 16, b[2] + 5) - max(16 * column, b[0] - 5)) for b in boxes]
                high = [max(0, min(16 * row + 16, b[3] + 5) - max(16 * row, b[1] - 5)) for b in boxes]
                labels.append(any(a * b >= 64 - 1e-9 for a, b in zip(wide, high, strict=True)))
    return scores, labels


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_equals_sklearn_over_every_cell(seed):
    predictions, truths = world(seed)
    found = pauc.compute(predictions, truths)
    for within_spans, suffix in ((False, ""), (True, "_anomalous")):
        scores, labels = brute(predictions, truths, within_spans)
        precision, recall, _ = sk.precision_recall_curve(labels, scores)
        if any(labels):
            assert found[f"pauc{suffix}"] == pytest.approx(sk.roc_auc_score(labels, scores))
            assert found[f"pap{suffix}"] == pytest.approx(sk.auc(recall, precision))
    scores, labels = brute(predictions, truths, False)
    assert found["pap_step"] == pytest.approx(sk.average_precision_score(labels, scores))


def test_masks_mark_cells_by_their_pixels():
    masks = np.zeros((1, 16, 16), bool)
    masks[0, 0, 0] = True
    truths = {"a": Truth([0, 1], [[0, 1]], masks=lambda: masks)}
    heat = np.zeros((1, 8, 8))
    heat[0, 0, 0] = 0.9
    predictions = {"a": Prediction(HeatMap([1.0], [0, 1]), HeatMap(heat, [0, 1]))}
    assert pauc.compute(predictions, truths)["pauc"] == 1.0
    with pytest.raises(DataError, match="without a positive"):
        pauc.compute(predictions, truths, coverage=0.3)
