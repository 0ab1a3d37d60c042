from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherewhen.core import extents as ext
from wherewhen.core.values import Instances
from wherewhen.instances._pool import pool, whole_picture


def cells(shape: tuple[int, int, int], extent: list[float], seed: int = 0) -> Instances:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(np.prod(shape), 3)).astype(np.float32)
    features[rng.random(len(features)) < 0.2] = 0
    return Instances(features, ext.grid(extent, shape), shape=shape)


def plainly(grid: Instances, rows: np.ndarray, track: np.ndarray) -> dict[int, np.ndarray]:
    """Mean over rows and cells, one pair after another, by the volume that they share."""
    found = {}
    for number in sorted(set(track.tolist())):
        total, weight = np.zeros(grid.features.shape[1]), 0.0
        for row in rows[track == number]:
            for feature, cell in zip(grid.features, grid.extents, strict=True):
                sides = [min(row[b], cell[b]) - max(row[a], cell[a]) for a, b in ((0, 1), (2, 4), (3, 5))]
                volume = np.prod(np.maximum(sides, 0)) * bool(feature.any())
                total, weight = total + volume * feature, weight + volume
        found[number] = total / weight if weight else total
    return found


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 9), st.tuples(*[st.integers(1, 4)] * 3), st.booleans())
def test_pooling_is_the_mean_by_shared_volume(seed: int, count: int, shape: tuple[int, int, int], crop: bool) -> None:
    rng = np.random.default_rng(seed)
    grid = cells(shape, [1, 3, 0.1, 0.2, 0.8, 0.9] if crop else [1, 3, 0, 0, 1, 1], seed)
    low = rng.random((count, 3)) * [3, 0.8, 0.8]
    high = np.minimum(low + rng.random((count, 3)) * [2, 0.5, 0.5], [4, 1, 1])
    rows = np.stack([low[:, 0], high[:, 0], low[:, 1], low[:, 2], high[:, 1], high[:, 2]], 1)
    track = rng.integers(3, 3 + max(1, count // 2), count)
    numbers, found = pool(grid, rows, track)
    wanted = plainly(grid, rows, track)
    assert numbers.tolist() == list(wanted)
    np.testing.assert_allclose(found, list(wanted.values()), rtol=1e-4, atol=1e-5)
    assert found.dtype == np.float32


def test_a_box_over_one_cell_is_that_cell_and_one_beside_the_grid_is_nothing() -> None:
    grid = cells((2, 3, 4), [0, 2, 0, 0, 1, 1], 4)
    numbers, found = pool(grid, np.concatenate([grid.extents, [[5, 6, 0, 0, 1, 1]]]), np.arange(25))
    np.testing.assert_allclose(found[:24], grid.features, rtol=1e-6)
    assert numbers.tolist() == list(range(25)) and not found[24].any()


def test_the_whole_picture_is_the_mean_of_all_cells_of_its_time() -> None:
    grid = cells((4, 2, 2), [0, 4, 0, 0, 1, 1], 2)
    rows = whole_picture(np.array([[1, 3, 0.2, 0.2, 0.3, 0.3]]))
    own = grid.features.reshape(4, 4, -1)[1:3].reshape(8, -1)
    np.testing.assert_allclose(pool(grid, rows, np.zeros(1, np.int64))[1][0], own[own.any(1)].mean(0), rtol=1e-5)


def test_instances_off_a_grid_are_refused() -> None:
    rows = Instances(np.ones((1, 2), np.float32), np.array([[0, 1, 0, 0, 1, 1.0]]))
    with pytest.raises(ValueError, match="on a grid"):
        pool(rows, rows.extents, rows.track)
