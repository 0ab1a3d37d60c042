"""Dense optical flow of consecutive pictures, each shrunk once to the finest scale of the flow."""

from __future__ import annotations

from math import log2
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wherewhen.backbones._camera import places
from wherewhen.backbones._room import room
from wherewhen.core.values import Pixels

Array = NDArray[np.float32]
Whole = NDArray[np.intp]

PATCH = 8  # px: side of the patches that DIS matches


class _Taps(NamedTuple):
    """The samples before and after each of some pixels, and their weights."""

    low: Whole
    high: Whole
    of_low: Array
    of_high: Array


class Flow:
    """DIS optical flow between gray pictures ``(H, W)``, at least 32 px a side.

    DIS shrinks both pictures, by area, to its finest scale, and enlarges the flow. Here each picture is shrunk once
    (`shrunk`), though it is the second of one pair and the first of the next, and the flow is enlarged only where it is
    needed; numbers stay the same. Where DIS would search the shrunk pictures with another number of scales, pictures
    stay whole.

    DIS changes its own settings permanently at a picture too small for its finest scale: such an instance must not
    process another clip (`fits`).

    Kroeger et al., Fast Optical Flow using Dense Inverse Search, ECCV 2016.

    >>> still = np.tile(np.arange(64, dtype=np.uint8), (48, 1))
    >>> flow, halves = Flow("ultrafast", (48, 64)), np.empty((2, 24, 32), np.float32)
    >>> flow(flow.shrunk(still), flow.shrunk(still), halves).shape
    (2, 12, 16)
    """

    def __init__(self, preset: str, size: tuple[int, int]) -> None:
        import cv2

        self._dis = cv2.DISOpticalFlow.create(getattr(cv2, f"DISOPTICAL_FLOW_PRESET_{preset.upper()}"))
        self._preset, self._size = preset, size
        finest = self._dis.getFinestScale()
        small = (size[0] >> finest, size[1] >> finest)
        coarsest = _coarsest(size)
        whole = coarsest < finest or _coarsest(small) != coarsest - finest
        if not whole:
            self._dis.setFinestScale(0)
        self._keeps = not whole
        self._small = size if whole else small
        unit = np.float32(1 if whole else 1 << finest)
        halves = [np.arange(0, length, 2) for length in size]
        spots = places(*size)
        self._even = not any((side % 2).any() for side in spots)
        self._spots = np.ix_(np.arange(2), *(side // 2 for side in spots))
        self._halves, self._places = (
            (_down(size[0], self._small[0], rows), _across(size[1], self._small[1], columns, unit))
            for rows, columns in (halves, spots)
        )

    def shrunk(self, gray: Pixels) -> Pixels:
        """A picture in the size for `__call__`."""
        if self._small == self._size:
            return gray
        import cv2

        return np.asarray(cv2.resize(gray, self._small[::-1], interpolation=cv2.INTER_AREA), np.uint8)

    def fits(self, preset: str, size: tuple[int, int]) -> bool:
        """Whether it is of this preset and size and can process another clip."""
        return self._keeps and (self._preset, self._size) == (preset, size)

    def __call__(self, first: Pixels, second: Pixels, out: Array) -> Array:
        """Flow in px to the right and down, from one picture to another.

        At every second pixel into ``out`` ``(2, H / 2, W / 2)``; returned at `places` ``(2, rows, columns)``.
        """
        flow = self._dis.calc(first, second, None)  # type: ignore[call-overload]
        _enlarge(flow, *self._halves, out)
        if self._even:
            return out[self._spots]
        spots = np.empty(np.broadcast_shapes(*(side.shape for side in self._spots)), np.float32)
        _enlarge(flow, *self._places, spots)
        return spots


def _across(width: int, samples: int, pixels: Whole, unit: np.float32) -> _Taps:
    """Taps at pixels of a row that was shrunk to ``samples``, of pairs of numbers, times ``unit``."""
    low, high, of_low, of_high = _down(width, samples, pixels)
    of_low[low == high], of_high[low == high] = 1, 0
    return _Taps(low, high, *(unit * weight.repeat(2) for weight in (of_low[:, 0], of_high[:, 0])))


def _down(height: int, samples: int, pixels: Whole) -> _Taps:
    """Taps at pixels of a column that was shrunk to ``samples``: as OpenCV, with positions in single precision."""
    exact = ((pixels + 0.5) * (samples / height) - 0.5).astype(np.float32)
    before = np.floor(exact)
    part = (exact - before)[:, None]
    low, high = ((before + k).clip(0, samples - 1).astype(np.intp) for k in (0, 1))
    return _Taps(low, high, 1 - part, part)


def _enlarge(flow: Array, rows: _Taps, columns: _Taps, out: Array) -> None:
    """A flow ``(h, w, 2)`` at rows and columns, into ``out`` ``(2, rows, columns)``: as OpenCV's linear `resize`."""
    height, wide = len(flow), len(columns.low)
    vectors = flow.view(np.complex64)[..., 0]
    left, right = (
        vectors.take(side, 1, room(name, height, wide, kind=np.complex64), "clip").view(np.float32)
        for name, side in (("left", columns.low), ("right", columns.high))
    )
    left *= columns.of_low
    left += np.multiply(right, columns.of_high, out=right)
    top, bottom = (
        left.take(side, 0, room(name, len(side), 2 * wide), "clip")
        for name, side in (("top", rows.low), ("bottom", rows.high))
    )
    top *= rows.of_low
    bottom *= rows.of_high
    for axis in (0, 1):
        np.add(top[:, axis::2], bottom[:, axis::2], out=out[axis])


def _coarsest(size: tuple[int, int]) -> int:
    """The coarsest scale of DIS: moves of a quarter of the picture, at least one patch."""
    longer, shorter = max(size), min(size)
    if shorter < PATCH:
        return -1
    return min(int(log2(longer / (4 * PATCH)) + 0.5) if longer >= 4 * PATCH else -1, int(log2(shorter // PATCH)))
