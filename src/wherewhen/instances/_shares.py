"""Shares of time and picture that cells cover, and the times of a grid's cells."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wherewhen.core import extents as ext
from wherewhen.core.values import Features, Floats, Grid, Instances

Weights = NDArray[np.float32]


def overlaps(source: int, target: int, window: float) -> Weights:
    """Share ``(target, source)`` of each of ``source`` cells in the window around each of ``target`` cells.

    >>> overlaps(4, 2, 1.0).tolist()
    [[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5]]
    """
    centers = (np.arange(target) + 0.5) / target
    low, high = ((centers + sign * window / (2 * target)).clip(0, 1)[:, None] for sign in (-1, 1))
    edges = np.linspace(0, 1, source + 1)
    shared = (np.minimum(high, edges[1:]) - np.maximum(low, edges[:-1])).clip(0)
    shared[shared < 1e-9] = 0
    weights: Weights = (shared / shared.sum(1, keepdims=True)).astype(np.float32)
    return weights


def retimed(detail: Features | None, steps: int) -> Features | None:
    """The amount of motion for another number of time steps: that of the nearest step."""
    return None if detail is None else detail[((np.arange(steps) + 0.5) * len(detail) / steps).astype(int)]


def placed(grid: Grid, features: Features) -> Instances:
    """Features ``(t, h, w, D)`` of a grid, with any number of steps and cells, as instances with their places.

    Steps outside of the span of the grid are left out, and the first and last of the others
    reach to its ends; so instances of consecutive grids neither overlap nor leave a hole.

    >>> grid = Grid(np.zeros((4, 1, 1, 1), np.float32), np.array([0, 4, 0, 0, 1, 1.0]), span=(2.5, 4))
    >>> placed(grid, grid.features).extents[:, :2].tolist()
    [[2.5, 3.0], [3.0, 4.0]]
    """
    t, h, w, length = features.shape
    first, times = _times(grid, t)
    steps = slice(first, first + len(times) - 1)
    _, _, x0, y0, x1, y1 = np.asarray(grid.extent, np.float64)
    places = ext.lattice(times, np.linspace(y0, y1, h + 1), np.linspace(x0, x1, w + 1))
    detail = retimed(grid.detail, t)
    return Instances(
        features[steps].reshape(-1, length),
        places,
        shape=(len(times) - 1, h, w),
        detail=None if detail is None else detail[steps],
    )


def _times(grid: Grid, steps: int) -> tuple[int, Floats]:
    """The first of ``steps`` time steps in the span of a grid, and the borders of that step and those after it."""
    borders: Floats = np.interp(np.linspace(0, len(grid.features), steps + 1), np.arange(len(grid.edges)), grid.edges)
    start, end = grid.span
    first = int(np.clip(np.searchsorted(borders, start + ext.TICK, "right") - 1, 0, steps - 1))
    last = int(np.clip(np.searchsorted(borders, end - ext.TICK) - 1, first, steps - 1))
    times = borders[first : last + 2]
    times[0], times[-1] = start, end
    return first, times
