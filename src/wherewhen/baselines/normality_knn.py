"""Normality kNN: how far a cell is from the cells of normal training videos nearest to it."""

from __future__ import annotations

import numpy as np

from wherewhen.baselines._grid import maps, shape
from wherewhen.core.contracts import Baseline
from wherewhen.core.values import Bag, Features, HeatMap, Instances, Truth

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


def heat(bag: Bag, truth: Truth, bank: Instances, seed: int) -> HeatMap:
    """Distance to the 5 nearest normal cells, scaled to [0, 1); empty cells (zeros) get 0."""
    cells = bag.views["cells"]
    held = cells.features.any(1)
    far = np.zeros(len(cells.features), np.float32)
    far[held] = distances(cells.features[held], bank.features) / np.sqrt(np.float32(bank.features.shape[1]))
    return maps(cells, (far / (1 + far)).reshape(shape(cells)))


PLUGIN = Baseline(heat, "distance of a cell to its nearest cells in normal training videos")
