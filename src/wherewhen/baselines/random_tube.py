"""Random tube: a uniform score for every mover, the same for all its parts."""

from __future__ import annotations

import numpy as np

from wherewhen.core.contracts import Baseline
from wherewhen.core.store import fingerprint
from wherewhen.core.values import Bag, Features, Truth


def scores(bag: Bag, truth: Truth, seed: int) -> Features:
    """Uniform scores ``(N,)``, the same for the same seed and video. Wu et al., IJCAI 2021, tables 1 and 2."""
    movers = bag.views["movers"]
    rng = np.random.default_rng([seed, int(fingerprint(bag.video.id), 16)])
    numbers, place = np.unique(movers.track, return_inverse=True)
    return rng.random(len(numbers), np.float32)[place]


PLUGIN = Baseline(None, "a uniform score for every mover", scores=scores)
