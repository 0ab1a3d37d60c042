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
    """The samples before and after each of some pixels of a row, and their weights, twice each: flow has two parts."""

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
        self._rows, columns = places(*size)
        self._taps = _taps(size[1], self._small[1], np.concatenate([np.arange(0, size[1], 2), columns]), unit)

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
        enlarged, halves = self._enlarged(flow), out.shape[2]
        out[:] = enlarged[:, ::2, :halves]
        spots: Array = enlarged[:, self._rows, halves:]
        return spots

    def _enlarged(self, flow: Array) -> Array:
        """A flow ``(h, w, 2)`` at some columns of the whole picture ``(2, H, columns)``; overwritten by the next call.

        As OpenCV's linear `resize`, which would need most of its time for the columns that are left out.
        """
        import cv2

        low, high, of_low, of_high = self._taps
        vectors = flow.view(np.complex64)[..., 0]
        left, right = (
            vectors.take(side, 1, room(name, len(flow), len(side), kind=np.complex64), "clip").view(np.float32)
            for name, side in (("left", low), ("right", high))
        )
        left *= of_low
        left += np.multiply(right, of_high, out=right)
        tall = room("tall", self._size[0], len(low), 2)
        cv2.resize(left.reshape(len(flow), len(low), 2), tall.shape[1::-1], dst=tall)
        return tall.transpose(2, 0, 1)


def _taps(width: int, samples: int, pixels: Whole, unit: np.float32) -> _Taps:
    """Taps at pixels of rows that were shrunk to ``samples``, with weights times ``unit``.

    As OpenCV's linear `resize`, with positions in single precision.
    """
    exact = ((pixels + 0.5) * (samples / width) - 0.5).astype(np.float32).clip(0, samples - 1)
    low = exact.astype(np.intp)
    part = (exact - low.astype(np.float32)).repeat(2)
    return _Taps(low, np.minimum(low + 1, samples - 1), unit * (1 - part), unit * part)


def _coarsest(size: tuple[int, int]) -> int:
    """The coarsest scale of DIS: moves of a quarter of the picture, at least one patch."""
    longer, shorter = max(size), min(size)
    if shorter < PATCH:
        return -1
    return min(int(log2(longer / (4 * PATCH)) + 0.5) if longer >= 4 * PATCH else -1, int(log2(shorter // PATCH)))
