"""Motion between two pictures, normalized by the time between them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wherewhen.core.values import Floats, Pixels

Array = NDArray[np.float32]

EVEN = 0.01  # share of a step by which time stamps are rounded
CLOSEST = 0.5  # steps: between pictures that are closer, flow is mostly noise, which must not be magnified further


def paces_of(clips: Pixels, seconds: Floats | None, rate: float | None) -> Array:
    """Factors that convert motion between pictures of clips ``(B, T, H, W, 3)`` to that of ``1 / rate`` s.

    ``seconds`` ``(B, T - 1)``: from each picture to the next; None: ``1 / rate``. Returns ``(B, T - 1)``,
    exactly 1 where pictures are one step apart, and everywhere without a ``rate``. ValueError for another shape.

    >>> paces_of(np.zeros((1, 5, 8, 8, 3), np.uint8), np.array([[0.1, 0.1001, 0.25, 0.02]]), 10).round(2).tolist()
    [[1.0, 1.0, 0.4000000059604645, 2.0]]
    """
    shape = len(clips), clips.shape[1] - 1
    if seconds is not None and seconds.shape != shape:
        raise ValueError(f"expected seconds {shape} between the pictures of clips {clips.shape}, got {seconds.shape}")
    if seconds is None or rate is None:
        return np.ones(shape, np.float32)
    steps = seconds * rate
    even = np.abs(steps - 1) <= EVEN
    paces: Array = np.where(even, 1, 1 / np.maximum(steps, CLOSEST)).astype(np.float32)
    return paces


def to_one_step(flow: Array, change: Array, pace: np.float32) -> None:
    """Scale the flow and the change of gray of a pair, in place.

    Flow grows with the time between two pictures, the change of gray of a texture that moves with its root.
    """
    if pace != 1:
        flow *= pace
        change *= np.sqrt(pace)
