import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from wherewhen.core.errors import ConfigError, DataError
from wherewhen.core.values import HeatMap, Prediction, Truth
from wherewhen.metrics import ucfcrime2local


def world(seed):
    """Boxes on a 21 x 21 grid, so that 7 x 7 cells are 3 x 3 of its squares."""
    rng = np.random.default_rng(seed)
    predictions, truths = {}, {}
    for number in range(3):
        corners = rng.integers(0, 12, (number, 2))
        boxes = np.c_[np.full(number, 2), np.full(number, 6), corners, corners + rng.integers(2, 9, (number, 2))]
        boxes = boxes / np.array([1, 1, 21, 21, 21, 21])
        truths[f"v{number}"] = Truth(np.arange(9.0), [[1, 6]] if number else [], boxes)
        predictions[f"v{number}"] = Prediction(heat=HeatMap(rng.integers(0, 5, (4, 7, 7)) / 4, np.linspace(0, 8, 5)))
    return predictions, truths


def brute(predictions, truths, pool):
    """Twin: paint the boxes on 21 x 21 squares and look at every frame."""
    tables = {"frame": [], "tube": [], "cell": []}
    for key, truth in truths.items():
        for frame, (values, busy) in enumerate(zip(predictions[key].heat.on(truth.edges), truth.frames, strict=True)):
            picture = np.zeros((7, 3, 7, 3), bool)
            flat = picture.reshape(21, 21)
            shares = []
            for box in [b for b in truth.boxes if b[0] <= frame < b[1]]:
                x0, y0, x1, y1 = np.round(box[2:] * 21).astype(int)
                flat[y0:y1, x0:x1] = True
                alone = np.zeros((21, 21))
                alone[y0:y1, x0:x1] = 1
                shares.append(alone.reshape(7, 3, 7, 3).mean((1, 3)) >= 0.25)
            tables["frame"].append((values.max(), busy))
            large = np.kron(values.astype(float), np.ones((3, 3)))
            if flat.any() or not busy:
                score = getattr(large[flat] if flat.any() else large, pool)()
                tables["tube"].append((np.float32(score), flat.any()))
            marked = np.any(shares, 0) if shares else np.zeros((7, 7), bool)
            tables["cell"] += list(zip(values.ravel(), marked.ravel(), strict=True))
    return {name: sk.roc_auc_score(*reversed(list(zip(*rows, strict=True)))) for name, rows in tables.items()}


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["mean", "max"]))
def test_equals_sklearn_over_every_frame_and_cell(seed, pool):
    predictions, truths = world(seed)
    found = ucfcrime2local.compute(predictions, truths, pool=pool)
    for name, value in brute(predictions, truths, pool).items():
        assert found[f"ucfcrime2local_{name}"] == pytest.approx(value), name


def test_knowing_the_place_is_an_oracle():
    heat = np.full((2, 4, 4), 0.5)
    heat[1, 0, 0] = 0.9
    truths = {"a": Truth([0, 1, 2], [[1, 2]], [[1, 2, 0, 0, 0.25, 0.25]])}
    found = ucfcrime2local.compute({"a": Prediction(heat=HeatMap(heat, [0, 1, 2]))}, truths)
    assert found["ucfcrime2local_tube"] == 1.0


def test_errors_say_what_is_missing():
    predictions = {"a": Prediction(heat=HeatMap(np.ones((1, 2, 2)), [0, 1]))}
    with pytest.raises(DataError, match="without a positive"):
        ucfcrime2local.compute(predictions, {"a": Truth([0, 1])})
    with pytest.raises(ConfigError, match="pool"):
        ucfcrime2local.compute(predictions, {"a": Truth([0, 1])}, pool="median")
    mixed = {"a": Truth([0, 1, 2], [[0, 1]])}
    found = ucfcrime2local.compute({"a": Prediction(heat=HeatMap(np.ones((1, 2, 2)), [0, 2]))}, mixed)
    assert found == {"ucfcrime2local_frame": 0.5}
