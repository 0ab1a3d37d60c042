"""Normality kNN: how far a cell is from the cells of normal training videos nearest to it."""

from __future__ import annotations

import numpy as np

from wherewhen.baselines._grid import maps, shape
from wherewhen.core.contracts import Baseline
from wherewhen.core.nearest import distances
from wherewhen.core.values import Bag, HeatMap, Instances, Truth


def heat(bag: Bag, truth: Truth, bank: Instances, seed: int) -> HeatMap:
    """Distance to the 5 nearest normal cells, scaled to [0, 1); empty cells (zeros) get 0."""
    cells = bag.views["cells"]
    held = cells.features.any(1)
    far = np.zeros(len(cells.features), np.float32)
    far[held] = distances(cells.features[held], bank.features) / np.sqrt(np.float32(bank.features.shape[1]))
    return maps(cells, (far / (1 + far)).reshape(shape(cells)))


PLUGIN = Baseline(heat, "distance of a cell to its nearest cells in normal training videos", uses_bank=True)
