"""Dense optical flow of consecutive pictures, each shrunk once to the finest scale of the flow."""

from __future__ import annotations

from math import log2

import numpy as np
from numpy.typing import NDArray

from wherewhen.core.values import Pixels

Array = NDArray[np.float32]

PATCH = 8  # px: side of the patches that DIS matches


class Flow:
    """DIS optical flow between gray pictures ``(H, W)``, at least 32 px a side.

    DIS shrinks both pictures, by area, to its finest scale, and enlarges the flow. Here each picture is shrunk once
    (`shrunk`), though it is the second of one pair and the first of the next; numbers stay the same. Where DIS would
    search the shrunk pictures with another number of scales, pictures stay whole.

    DIS changes its own settings permanently at a picture too small for its finest scale: such an instance must not
    process another clip (`fits`).

    Kroeger et al., Fast Optical Flow using Dense Inverse Search, ECCV 2016.

    >>> still = np.tile(np.arange(64, dtype=np.uint8), (48, 1))
    >>> flow = Flow("ultrafast", (48, 64))
    >>> flow(flow.shrunk(still), flow.shrunk(still)).shape
    (48, 64, 2)
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
        self.unit = 1 if whole else 1 << finest
        self._buffer = np.empty((*size, 2), np.float32)

    def shrunk(self, gray: Pixels) -> Pixels:
        """A picture in the size for `__call__`."""
        if self._small == self._size:
            return gray
        import cv2

        return np.asarray(cv2.resize(gray, self._small[::-1], interpolation=cv2.INTER_AREA), np.uint8)

    def fits(self, preset: str, size: tuple[int, int]) -> bool:
        """Whether it is of this preset and size and can process another clip."""
        return self._keeps and (self._preset, self._size) == (preset, size)

    def __call__(self, first: Pixels, second: Pixels) -> Array:
        """Flow ``(H, W, 2)`` in ``unit`` px, from one picture to another; overwritten by the next call."""
        flow = self._dis.calc(first, second, None)  # type: ignore[call-overload]
        if self._small != self._size:
            import cv2

            flow = cv2.resize(flow, self._size[::-1], dst=self._buffer)
        whole: Array = flow
        return whole


def _coarsest(size: tuple[int, int]) -> int:
    """The coarsest scale of DIS: moves of a quarter of the picture, at least one patch."""
    longer, shorter = max(size), min(size)
    if shorter < PATCH:
        return -1
    return min(int(log2(longer / (4 * PATCH)) + 0.5) if longer >= 4 * PATCH else -1, int(log2(shorter // PATCH)))
