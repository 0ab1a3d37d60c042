"""Key frames to boxes and back: interpolation between annotated frames, as in video annotation tools."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from wherewhen.core.values import Floats

Frames = NDArray[np.int64]


def runs(frames: Frames) -> list[slice]:
    """Slices of consecutive frames in a rising array.

    >>> runs(np.array([3, 4, 7]))
    [slice(0, 2, None), slice(2, 3, None)]
    """
    borders = [0, *(np.flatnonzero(np.diff(frames) > 1) + 1).tolist(), len(frames)]
    return [slice(a, b) for a, b in pairwise(borders)]


def fill(keys: Frames, values: Floats, on: NDArray[np.bool_], frames: int, last_shows: bool) -> tuple[Frames, Floats]:
    """Frames and values ``(N, C)`` between rising key frames: linear up to the next, constant after the last.

    The object is hidden after a key that is not ``on``; ``last_shows``: whether it is visible in the frame of that key.

    >>> fill(np.array([0, 2]), np.array([[0.], [4.]]), np.array([True, False]), 9, False)[1].ravel().tolist()
    [0.0, 2.0]
    """
    shown_frames: list[Frames] = []
    shown_values: list[Floats] = []
    for k, key in enumerate(keys):
        if not on[k] and not last_shows:
            continue
        final = k + 1 == len(keys)
        stop = frames if final else int(keys[k + 1])
        steps = np.arange(int(key), stop if on[k] else int(key) + 1, dtype=np.int64)
        slope = np.zeros_like(values[k]) if final else (values[k + 1] - values[k]) / (stop - key)
        shown_frames.append(steps)
        shown_values.append(values[k] + slope * (steps - key)[:, None])
    if not shown_frames:
        return np.empty(0, np.int64), np.empty((0, values.shape[1]))
    return np.concatenate(shown_frames), np.concatenate(shown_values)


def upright(boxes: Floats, degrees: Floats, pivots: Floats) -> Floats:
    """Upright boxes ``(N, 4)`` around boxes that are turned clockwise by ``degrees`` about ``pivots`` ``(N, 2)``."""
    corners = boxes[:, [[0, 1], [2, 1], [2, 3], [0, 3]]] - pivots[:, None]
    angle = np.deg2rad(degrees)[:, None]
    x = corners[..., 0] * np.cos(angle) - corners[..., 1] * np.sin(angle)
    y = corners[..., 0] * np.sin(angle) + corners[..., 1] * np.cos(angle)
    turned = np.stack([x, y], -1) + pivots[:, None]
    around = np.concatenate([turned.min(1), turned.max(1)], 1)
    return np.where((degrees % 360 == 0)[:, None], boxes, around)
