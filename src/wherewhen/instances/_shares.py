"""How parts of time and picture are shared out to cells."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wherewhen.values import Features

Weights = NDArray[np.float32]


def overlaps(source: int, target: int, window: float) -> Weights:
    """Share ``(target, source)`` of each of ``source`` cells in the window around each of ``target`` cells.

    >>> overlaps(4, 2, 1.0).tolist()
    [[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5]]
    """
    centers = (np.arange(target) + 0.5) / target
    low, high = ((centers + sign * window / (2 * target)).clip(0, 1)[:, None] for sign in (-1, 1))
    edges = np.linspace(0, 1, source + 1)
    shared = (np.minimum(high, edges[1:]) - np.maximum(low, edges[:-1])).clip(0)
    shared[shared < 1e-9] = 0
    weights: Weights = (shared / shared.sum(1, keepdims=True)).astype(np.float32)
    return weights


def retimed(detail: Features | None, steps: int) -> Features | None:
    """What moves, for another number of time steps: the nearest one of each."""
    return None if detail is None else detail[((np.arange(steps) + 0.5) * len(detail) / steps).astype(int)]
