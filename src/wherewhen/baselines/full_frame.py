"""Full frame: everything is anomalous, always."""

from __future__ import annotations

import numpy as np

from wherewhen.baselines._grid import EXACT, maps, shape
from wherewhen.core.contracts import Baseline
from wherewhen.core.values import Bag, HeatMap, Instances, Truth


def heat(bag: Bag, truth: Truth, bank: Instances, seed: int) -> HeatMap:
    """One everywhere."""
    return maps(bag.views["cells"], np.ones(shape(bag.views["cells"]), np.float32))


PLUGIN = Baseline(heat, "the whole picture, always", settings=EXACT)
