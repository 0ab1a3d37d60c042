import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from wherewhen.core.values import HeatMap, Truth
from wherewhen.metrics._cells import cell_samples, pooled, resampled
from wherewhen.metrics._regions import marks, places


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9))
def test_cells_take_the_score_under_their_center(h, w, grid):
    values = np.random.default_rng(h).random((2, h, w))
    found = resampled(HeatMap(values, [0, 1, 2]), grid)
    for row, column in np.ndindex(grid, grid):
        place = (2 * row + 1) * h // (2 * grid), (2 * column + 1) * w // (2 * grid)
        assert np.array_equal(found[:, row, column], values[:, *place].astype(np.float32))


def test_stretches_stand_for_their_frames():
    truth = Truth(np.arange(11.0), [[2, 5]], [[2, 5, 0, 0, 0.5, 0.5]])
    place = places(truth)
    heat, gate = HeatMap([[[0.5, 1.0]]], [0, 10]), HeatMap([0.0, 0.5], [0, 4, 10])
    use = np.arange(10) < 8
    marked = marks(place.regions, 2, 0.5)
    scores, labels, frames = pooled([cell_samples(heat, place, truth.edges, use, marked, gate)])
    assert frames.reshape(-1, 4)[:, 0].tolist() == [2, 2, 1, 3]
    corner, nowhere = [True, False, False, False], [False] * 4
    assert labels.reshape(-1, 4).tolist() == [nowhere, corner, corner, nowhere]
    assert scores.reshape(-1, 4)[-1].tolist() == [0.25, 0.5, 0.25, 0.5]
