import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherewhen.core.calibration import calibrate
from wherewhen.core.errors import DataError
from wherewhen.core.values import HeatMap, Prediction, Truth
from wherewhen.metrics import tiou_patch

seeds = st.integers(0, 2**32 - 1)


def world(seed):
    """Boxes on a 64 x 64 pixel grid, maps of 4 x 8 cells."""
    rng = np.random.default_rng(seed)
    predictions, truths = {}, {}
    for number in range(3):
        frames = int(rng.integers(4, 8))
        boxes = []
        for _ in range(2 * number):
            (x0, x1), (y0, y1) = (np.sort(rng.choice(65, 2, replace=False)) / 64 for _ in range(2))
            boxes.append([*np.sort(rng.choice(frames + 1, 2, replace=False)), x0, y0, x1, y1])
        edges = np.arange(frames + 1.0)
        truths[f"v{number}"] = Truth(edges, [[0, frames]] if boxes else [], boxes)
        heat = HeatMap(rng.random((3, 4, 8)) ** 3, np.linspace(0, frames, 4))
        predictions[f"v{number}"] = Prediction(HeatMap(rng.integers(0, 5, frames) / 4, edges), heat)
    return predictions, truths


def painted(box, size=64):
    picture = np.zeros((size, size), bool)
    x0, y0, x1, y1 = np.round(np.asarray(box) * size).astype(int)
    picture[y0:y1, x0:x1] = True
    return picture


def around(picture):
    y, x = np.nonzero(picture)
    return painted([x.min() / 64, y.min() / 64, (x.max() + 1) / 64, (y.max() + 1) / 64]) if len(x) else picture


def coarse(boxes):
    """Cells of 16 of 128 pixels that a box, 5 larger on all sides, covers by a quarter; then the box around them."""
    picture = np.zeros((64, 64), bool)
    for x0, y0, x1, y1 in boxes * 128 + np.array([-5, -5, 5, 5]):
        for row in range(8):
            for column in range(8):
                wide = max(0, min(16 * column + 16, x1) - max(16 * column, x0))
                high = max(0, min(16 * row + 16, y1) - max(16 * row, y0))
                picture[8 * row : 8 * row + 8, 8 * column : 8 * column + 8] |= wide * high / 256 >= 0.25
    return around(picture)


def brute(predictions, truths, theta):
    """Twin: paint everything on 64 x 64 pixels and count."""
    table = {"tiou_patch": [], "tiou_tight": [], "tiou_quantized": [], "tiou_legacy": []}
    for key, truth in truths.items():
        heat, gates = predictions[key].heat.on(truth.edges), predictions[key].frames.values[:, 0, 0] >= theta
        for frame, gate in enumerate(gates):
            boxes = np.array([b[2:] for b in truth.boxes if b[0] <= frame + 0.5 < b[1]]).reshape(-1, 4)
            cells = np.kron(heat[frame] >= 0.5, np.ones((16, 8))).astype(bool)
            if not coarse(boxes).any():
                table["tiou_legacy"] += [0.0] if truth.label and not gate else []
            if not len(boxes):
                continue
            hull = painted(np.r_[boxes[:, :2].min(0), boxes[:, 2:].max(0)])
            pairs = {"tiou_patch": (cells, hull), "tiou_tight": (around(cells), hull)}
            if coarse(boxes).any():
                pairs |= dict.fromkeys(("tiou_quantized", "tiou_legacy"), (around(cells), coarse(boxes)))
            for name, (a, b) in pairs.items():
                table[name].append(gate * (a & b).sum() / (a | b).sum())
    return {name: np.mean(values) for name, values in table.items()}


@settings(deadline=None, max_examples=30)
@given(seeds, st.sampled_from([0.25, 0.5]))
def test_equals_painting(seed, theta):
    predictions, truths = world(seed)
    found = tiou_patch.compute(predictions, truths, theta=theta, validated_theta=-1.0)
    expected = brute(predictions, truths, theta)
    for name, value in expected.items():
        assert found[name] == pytest.approx(value), name
    assert found["iou_patch_ungated"] == found["tiou_patch_validated"]
    assert found["tiou_patch_recall_validated"] == 1.0


@settings(deadline=None, max_examples=30)
@given(seeds, st.sampled_from([0.125, 0.9]))
def test_raw_cells_and_gate_are_those_before_calibration(seed, threshold):
    predictions, truths = world(seed)

    def calibrated(scores):
        return HeatMap(calibrate(scores.values, threshold), scores.edges)

    bent = {
        k: Prediction(calibrated(p.frames), calibrated(p.heat), threshold=threshold) for k, p in predictions.items()
    }
    before, after = tiou_patch.compute(predictions, truths), tiou_patch.compute(bent, truths)
    assert after["tiou_patch_raw"] == pytest.approx(before["tiou_patch"])
    assert after["tiou_patch_recall_raw"] == before["tiou_patch_recall"]


def test_truth_too_small_for_the_grid_is_no_quantized_frame():
    edges = np.arange(3.0)
    speck = [[0, 1, 0.124, 0.124, 0.126, 0.126]]
    truths = {"a": Truth(edges, [[0, 1]], speck)}
    predictions = {"a": Prediction(HeatMap([0.9], [0, 2]), HeatMap(np.ones((1, 2, 2)), [0, 2]))}
    found = tiou_patch.compute(predictions, truths)
    assert "tiou_quantized" not in found
    assert found["tiou_patch"] == pytest.approx(0.002**2)


def test_no_active_cell_is_no_overlap_and_no_truth_is_an_error():
    truths = {"a": Truth([0, 1], [[0, 1]], [[0, 1, 0, 0, 1, 1]])}
    predictions = {"a": Prediction(HeatMap([0.9], [0, 1]), HeatMap(np.zeros((1, 2, 2)), [0, 1]))}
    found = tiou_patch.compute(predictions, truths)
    assert found["tiou_patch"] == found["tiou_tight"] == found["tiou_quantized"] == 0.0
    with pytest.raises(DataError, match="no annotated frame"):
        tiou_patch.compute(predictions, {"a": Truth([0, 1])})


def test_a_shut_gate_on_normal_frames_lowers_the_legacy_number():
    truths = {"a": Truth(np.arange(11.0), [[0, 2]], [[0, 2, 0, 0, 1, 1]])}
    heat = HeatMap([[[1.0, 0.0]]], [0, 10])
    shut, wide = (Prediction(HeatMap([1.0, rest], [0, 2, 10]), heat) for rest in (0.0, 1.0))
    assert tiou_patch.compute({"a": shut}, truths)["tiou_legacy"] == pytest.approx(0.1)
    assert tiou_patch.compute({"a": wide}, truths)["tiou_legacy"] == pytest.approx(0.5)


def test_a_cell_at_the_threshold_is_active_and_a_frame_at_theta_passes():
    truths = {"a": Truth([0, 1], [[0, 1]], [[0, 1, 0, 0, 0.5, 1]])}
    predictions = {"a": Prediction(HeatMap([0.5], [0, 1]), HeatMap([[[0.5, 0.49]]], [0, 1]))}
    assert tiou_patch.compute(predictions, truths)["tiou_patch"] == 1.0
