"""Features of moving boxes, pooled from the grid's features."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wherewhen.core import extents as ext
from wherewhen.core.values import Features, Floats, Instances


def pool(cells: Instances, rows: Floats, track: NDArray[np.int64]) -> tuple[NDArray[np.int64], Features]:
    """The mean features ``(K, D)`` of the cells that each of K tubes covers, and their track numbers ``(K,)``, rising.

    ``rows``: extents ``(R, 6)``; those that share a number of ``track`` ``(R,)`` are one tube. A cell counts by the
    time and area of it that a row covers. Cells of zeros are empty and don't count; a tube that covers none is
    zeros. ValueError where the instances are no grid. Wu et al. (IJCAI 2021) crop pictures instead.

    >>> grid = Instances(np.float32([[1], [4]]), ext.grid([0, 1, 0, 0, 1, 1], (1, 1, 2)), shape=(1, 1, 2))
    >>> pool(grid, np.array([[0, 1, 0.25, 0, 1, 1]]), np.array([7]))[1].tolist()
    [[3.0]]
    """
    if cells.shape is None:
        raise ValueError("pool: expected instances on a grid")
    steps, height, width = cells.shape
    numbers, tube = np.unique(track, return_inverse=True)
    places = cells.extents.reshape(steps, height, width, 6)
    features = cells.features.reshape(steps, height, width, -1).astype(np.float64)
    held = np.asarray(features.any(-1))
    times, down, across = places[:, 0, 0, :2], places[0, :, 0][:, [3, 5]], places[0, 0][:, [2, 4]]
    long = _shared(rows[:, :2], times)
    high, wide = _shared(rows[:, [3, 5]], down), _shared(rows[:, [2, 4]], across)
    sums, weights = np.zeros((len(numbers), features.shape[-1])), np.zeros(len(numbers))
    for step in range(steps):
        touching = np.flatnonzero(long[:, step])
        if len(touching):
            share = long[touching, step, None, None] * high[touching, :, None] * wide[touching, None] * held[step]
            np.add.at(sums, tube[touching], np.tensordot(share, features[step], 2))
            np.add.at(weights, tube[touching], share.sum((1, 2)))
    mean = sums / np.where(weights > 0, weights, 1)[:, None]
    return numbers, mean.astype(np.float32)


def whole_picture(rows: Floats) -> Floats:
    """The same times ``(R, 6)`` with the whole picture in place of the boxes: image-level tubes of the paper."""
    spans = np.array(rows, np.float64)
    spans[:, 2:] = ext.WHOLE_PICTURE
    return spans


def _shared(rows: Floats, cells: Floats) -> Floats:
    """Length ``(R, C)`` that each side ``(R, 2)`` shares with each side of the cells ``(C, 2)``."""
    low, high = np.maximum(rows[:, None, 0], cells[:, 0]), np.minimum(rows[:, None, 1], cells[:, 1])
    shared: Floats = (high - low).clip(0)
    return shared
