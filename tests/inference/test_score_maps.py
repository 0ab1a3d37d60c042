"""Scored instances become pictures, each against a plain second way to do it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from wherewhen.core import extents as ext
from wherewhen.core.values import Features, Instances
from wherewhen.inference import score_maps


def test_heat_keeps_the_order_of_a_grid() -> None:
    places = [[1 + k / 2, 1.5 + k / 2, x, 0, x + 0.5, 1] for k in range(3) for x in (0, 0.5)]
    cells = Instances(np.zeros((6, 1), np.float32), np.array(places), shape=(3, 1, 2))
    maps = list(score_maps.heat([(cells, np.arange(6, dtype=np.float32))]))
    assert [m.values.tolist() for m in maps] == [[[[0, 1]]], [[[2, 3]]], [[[4, 5]]]]
    assert [m.edges.tolist() for m in maps] == [[1, 1.5], [1.5, 2], [2, 2.5]]


def test_a_grid_of_a_part_of_the_picture_is_painted_at_its_place() -> None:
    part = [0, 2, 0.25, 0, 0.75, 0.5]
    cells = Instances(np.zeros((4, 1)), ext.grid(part, (2, 1, 2)), shape=(2, 1, 2))
    maps = list(score_maps.heat([(cells, np.float32([0.1, 0.2, 0.3, 0.4]))]))
    assert [m.edges.tolist() for m in maps] == [[0, 1], [1, 2]]
    for number, piece in enumerate(maps):
        left, right = cells_of(piece.values[0], (0.25, 0.5)), cells_of(piece.values[0], (0.5, 0.75))
        assert (left == np.float32(0.1 + 0.2 * number)).all() and np.allclose(right, 0.2 + 0.2 * number)
        assert piece.values.sum() == pytest.approx(left.sum() + right.sum()), "0 outside"
    assert score_maps.gridded(cells).shape == (2, *score_maps.COARSE)


def cells_of(picture: Features, across: tuple[float, float]) -> Features:
    """The cells of the upper half of a map from one fraction of its width to another."""
    height, width = picture.shape
    first, last = (round(side * width) for side in across)
    return picture[: height // 2, first:last]


def brushed(rows: Instances, values: Features, time: float, y: float, x: float) -> float:
    """Mean of what covers a point, the slow way."""
    t0, t1, x0, y0, x1, y1 = rows.extents.T
    here = (t0 <= time) & (time < t1) & (x0 <= x) & (x < x1) & (y0 <= y) & (y < y1)
    return float(values[here].mean()) if here.any() else 0.0


def test_instances_without_a_grid_are_painted() -> None:
    """On a raster whose borders are those of the boxes, every cell is the mean of what covers its middle."""
    rng = np.random.default_rng(0)
    corners = np.sort(rng.integers(0, 9, (40, 2, 2)), 1) / [8, 4][0]
    corners[:, 1] += 1 / 8 * (corners[:, 1] == corners[:, 0])
    start = rng.integers(0, 10, 40)
    rows = np.concatenate([np.stack([start, start + rng.integers(1, 4, 40)], 1), corners[:, 0], corners[:, 1]], 1)
    rows[:, 2:] = rows[:, 2:].clip(0, 1)
    seen = Instances(rng.normal(size=(40, 2)), rows)
    found = list(score_maps.painted(seen, seen.features, (8, 8)))
    times = [tuple(span) for span, _ in found]
    assert times == sorted(times) and all(a[1] <= b[0] for a, b in pairwise(times))
    for span, picture in found:
        for y in range(8):
            for x in range(8):
                middle = (np.mean(span), (y + 0.5) / 8, (x + 0.5) / 8)
                for d in range(2):
                    assert picture[y, x, d] == pytest.approx(brushed(seen, seen.features[:, d], *middle), abs=1e-5)
    maps = list(score_maps.heat([(seen, seen.features[:, 0])]))
    assert [m.edges.tolist() for m in maps] == [list(span) for span in times]
    assert maps[0].values.shape == (1, *score_maps.PAINTED)
    grid = score_maps.gridded(seen, (8, 8))
    assert grid.shape == (len(found), 8, 8)
    np.testing.assert_array_equal(grid.features.reshape(-1, 8, 8, 2), [picture for _, picture in found])
    assert score_maps.gridded(grid) is grid


def test_a_box_smaller_than_a_cell_is_painted_whole() -> None:
    rows = Instances(np.ones((1, 1)), np.array([[0, 1, 0.5, 0.5, 0.501, 0.501]]))
    ((_, picture),) = score_maps.painted(rows, rows.features, (4, 4))
    assert picture.sum() == pytest.approx(1) and picture[2, 2, 0] == pytest.approx(1)
