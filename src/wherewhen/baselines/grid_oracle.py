"""Grid oracle: the best possible scores of the grid's cells, from the ground truth."""

from __future__ import annotations

import numpy as np

from wherewhen.baselines._grid import EXACT, maps, shape, steps
from wherewhen.core import extents as ext
from wherewhen.core.contracts import Baseline
from wherewhen.core.values import Bag, HeatMap, Instances, Truth


def heat(bag: Bag, truth: Truth, bank: Instances, seed: int) -> HeatMap:
    """Share of each cell that true boxes cover, the most over the frames of its time step."""
    cells = bag.views["cells"]
    t, h, w = shape(cells)
    places = ext.grid([0, 1, 0, 0, 1, 1], (1, h, w))
    sizes = ext.area(places)
    values = np.zeros((t, h * w), np.float32)
    for index, (start, end) in enumerate(steps(cells)):
        now = truth.boxes[(truth.boxes[:, 0] < end) & (truth.boxes[:, 1] > start)]
        if len(now):
            values[index] = (ext.intersection(places[:, None], now[None]).max(1) / sizes).clip(0, 1)
    return maps(cells, values.reshape(t, h, w))


PLUGIN = Baseline(heat, "the ground truth, at the resolution of the grid", settings=EXACT, needs=("boxes",))
