import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherewhen.core.errors import DataError
from wherewhen.core.values import HeatMap, Prediction, Truth
from wherewhen.metrics import pointing


def world(seed, masked):
    rng = np.random.default_rng(seed)
    predictions, truths = {}, {}
    for number in range(3):
        frames, steps = int(rng.integers(4, 9)), int(rng.integers(2, 5))
        edges = np.arange(frames + 1.0)
        heat = HeatMap(rng.integers(0, 4, (steps, 3, 5)), np.linspace(0, frames, steps + 1))
        predictions[f"v{number}"] = Prediction(heat=heat)
        masks = rng.random((frames, 7, 4)) < 0.3 * number
        masks[0] = False
        corners = np.sort(rng.random((4, 2, 2)), 1).reshape(4, 4)
        boxes = np.c_[np.sort(rng.integers(0, frames + 1, (4, 2)), 1), corners][: 2 * number]
        truths[f"v{number}"] = Truth(edges, masks=lambda masks=masks: masks) if masked else Truth(edges, boxes=boxes)
    return predictions, truths


def brute(predictions, truths):
    """Twin: look at every frame, every highest cell, every box or pixel."""
    chances = []
    for key, truth in truths.items():
        masks = truth.masks() if truth.masks else None
        for frame, values in enumerate(predictions[key].heat.on(truth.edges)):
            boxes = [b for b in truth.boxes if b[0] <= frame + 0.5 < b[1]]
            if not (boxes or (masks is not None and masks[frame].any())):
                continue
            tops = [((c + 0.5) / 5, (r + 0.5) / 3) for r, c in np.argwhere(values == values.max())]
            if masks is None:
                chances.append(np.mean([any(b[2] <= x < b[4] and b[3] <= y < b[5] for b in boxes) for x, y in tops]))
            else:
                chances.append(np.mean([masks[frame, int(y * 7), int(x * 4)] for x, y in tops]))
    return np.mean(chances)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_equals_brute_force(seed, masked):
    predictions, truths = world(seed, masked)
    try:
        expected = brute(predictions, truths) if masked or any(len(t.boxes) for t in truths.values()) else None
        found = pointing.compute(predictions, truths)["pointing_hit"]
    except DataError:
        assert all(np.diff(t.boxes[:, :2]).sum() == 0 for t in truths.values()) and not masked
    else:
        assert found == pytest.approx(expected)


def test_a_constant_map_hits_by_the_share_of_covered_cells():
    truths = {"a": Truth([0, 1], [[0, 1]], [[0, 1, 0, 0, 0.5, 0.5]])}
    predictions = {"a": Prediction(heat=HeatMap(np.zeros((1, 4, 4)), [0, 1]))}
    assert pointing.compute(predictions, truths) == {"pointing_hit": 0.25}


def test_frames_without_truth_do_not_count():
    truths = {"a": Truth([0, 1], [[0, 1]], [[0, 1, 0, 0, 1, 1]]), "b": Truth([0, 1])}
    predictions = {k: Prediction(heat=HeatMap(np.zeros((1, 2, 2)), [0, 1])) for k in truths}
    assert pointing.compute(predictions, truths) == {"pointing_hit": 1.0}
    with pytest.raises(DataError, match="no annotated frame"):
        pointing.compute({"b": predictions["b"]}, {"b": truths["b"]})
