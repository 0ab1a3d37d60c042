"""Mean prior: the average deviation of the cells of normal training videos, constant in time."""

from __future__ import annotations

import numpy as np

from wherewhen.baselines._grid import EXACT, maps, shape
from wherewhen.core.contracts import Baseline
from wherewhen.core.values import Bag, HeatMap, Instances, Truth


def heat(bag: Bag, truth: Truth, bank: Instances, seed: int) -> HeatMap:
    """Mean length of the normalized features of the bank's cells at each place, scaled to [0, 1]."""
    t, h, w = shape(bag.views["cells"])
    middles = (bank.extents[:, 2:4] + bank.extents[:, 4:]) / 2
    row, column = ((middles[:, axis] * n).astype(int).clip(0, n - 1) for axis, n in ((1, h), (0, w)))
    total, count = np.zeros((h, w)), np.zeros((h, w))
    np.add.at(total, (row, column), np.linalg.norm(bank.features, axis=1))
    np.add.at(count, (row, column), 1)
    mean = total / np.maximum(count, 1)
    return maps(bag.views["cells"], np.broadcast_to((mean / max(mean.max(), 1e-9)).astype(np.float32), (t, h, w)))


PLUGIN = Baseline(
    heat, "mean deviation of the cells of normal training videos, constant in time", settings=EXACT, uses_bank=True
)
