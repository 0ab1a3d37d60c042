"""Motion only: how much the picture changes, without any training."""

from __future__ import annotations

from wherewhen.baselines._grid import maps, shape
from wherewhen.core.contracts import Baseline
from wherewhen.core.values import Bag, HeatMap, Instances, Truth


def heat(bag: Bag, truth: Truth, bank: Instances, seed: int) -> HeatMap:
    """Mean absolute difference of consecutive pictures per cell, scaled to [0, 1)."""
    cells = bag.views["difference"]
    change = cells.features[:, 0].reshape(shape(cells))
    return maps(cells, change / (1 + change))


PLUGIN = Baseline(heat, "absolute difference of consecutive pictures", settings={"follow": 0.0})
