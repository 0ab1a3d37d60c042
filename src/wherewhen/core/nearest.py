"""Distances of rows of features to the nearest rows of a bank."""

from __future__ import annotations

import numpy as np

from wherewhen.core.values import Features

NEAREST = 5
ROWS = 1024  # at once: bounds the memory of the distance matrix


def distances(cells: Features, bank: Features, nearest: int = NEAREST) -> Features:
    """Mean Euclidean distance ``(N,)`` of each row of ``cells`` to the ``nearest`` rows of ``bank``.

    >>> distances(np.zeros((1, 2), np.float32), np.array([[3, 4], [6, 8]], np.float32), 1).tolist()
    [5.0]
    """
    k = min(nearest, len(bank))
    lengths = (bank**2).sum(1)
    means = [np.empty(0, np.float32)]
    for start in range(0, len(cells), ROWS):
        rows = cells[start : start + ROWS]
        squares = (rows**2).sum(1)[:, None] + lengths - 2 * (rows @ bank.T)
        means.append(np.sqrt(np.partition(squares, k - 1, 1)[:, :k].clip(0)).mean(1))
    return np.concatenate(means).astype(np.float32)
