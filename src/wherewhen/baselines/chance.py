"""Chance: an independent uniform score for every cell."""

from __future__ import annotations

import numpy as np

from wherewhen.baselines._grid import maps, shape
from wherewhen.core.contracts import Baseline
from wherewhen.core.store import fingerprint
from wherewhen.core.values import Bag, HeatMap, Instances, Truth


def heat(bag: Bag, truth: Truth, bank: Instances, seed: int) -> HeatMap:
    """Uniform scores, the same for the same seed and video."""
    rng = np.random.default_rng([seed, int(fingerprint(bag.video.id), 16)])
    return maps(bag.views["cells"], rng.random(shape(bag.views["cells"]), np.float32))


PLUGIN = Baseline(heat, "an independent uniform score for every cell")
