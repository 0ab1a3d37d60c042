"""Central box: the middle 60 % x 60 % of the picture is anomalous, always."""

from __future__ import annotations

import numpy as np

from wherewhen.baselines._grid import EXACT, box, maps, shape
from wherewhen.core.contracts import Baseline
from wherewhen.core.values import Bag, HeatMap, Instances, Truth

SIDE = 0.6
PIXELS = (60, 60)  # fine enough for the box to have its size, independent of the method's grid


def heat(bag: Bag, truth: Truth, bank: Instances, seed: int) -> HeatMap:
    """One in the middle of the picture, zero around it."""
    t, _, _ = shape(bag.views["cells"])
    return maps(bag.views["cells"], np.broadcast_to(box(*PIXELS, SIDE), (t, *PIXELS)))


PLUGIN = Baseline(heat, "the middle 60 % x 60 % of the picture, always", settings=EXACT)
