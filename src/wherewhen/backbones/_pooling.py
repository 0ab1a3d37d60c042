"""Means of maps over overlapping windows, as products of matrices that leave out most of the zeros."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

SMALLEST = 32  # px: the coarsest level of the flow needs this much
TOGETHER = 4  # cells whose windows are one product: fewer make more calls, more make more zeros


class Side(NamedTuple):
    """Windows along one side of the picture; hashable, so that their weights are computed once."""

    size: int
    cell: int
    window: int
    pitch: int = 2  # pixels from one sample to the next

    @property
    def cells(self) -> int:
        """Number of windows."""
        return max(round(self.size / self.cell), 1)


class Band(NamedTuple):
    """Neighboring windows: their cells, their samples, and weights ``(cells, samples)``."""

    cells: slice
    samples: slice
    weights: Array


@lru_cache(maxsize=64)
def weights(side: Side) -> Array:
    """Weights ``(cells, ceil(size / pitch))`` that average samples of pixels over a window around each cell's center.

    >>> weights(Side(size=32, cell=16, window=16))[:, ::4]
    array([[0.125, 0.125, 0.   , 0.   ],
           [0.   , 0.   , 0.125, 0.125]], dtype=float32)
    """
    size, cells = side.size, side.cells
    pixels = np.arange(0, max(size, SMALLEST), side.pitch) + side.pitch / 4
    centers = (np.arange(cells) + 0.5) * size / cells
    reach = max(side.window, size / cells, side.pitch) / 2
    inside = (np.abs(pixels - centers[:, None]) <= reach) & (pixels - side.pitch / 4 < size)
    shares: Array = (inside / inside.sum(1, keepdims=True)).astype(np.float32)
    shares.flags.writeable = False
    return shares


@lru_cache(maxsize=1024)
def samples_of(side: Side, first: int, last: int) -> slice:
    """The samples under the windows of cells ``[first, last)``, and one more at either end where there is one."""
    under = np.flatnonzero(weights(side)[first:last].any(0))
    return slice(max(int(under[0]) - 1, 0), min(int(under[-1]) + 2, weights(side).shape[1]))


@lru_cache(maxsize=1024)
def bands(side: Side, first: int, last: int) -> tuple[Band, ...]:
    """Windows of cells ``[first, last)`` over their `samples_of`, a few at a time."""
    shares = weights(side)[first:last, samples_of(side, first, last)]
    parts = []
    for start in range(0, len(shares), TOGETHER):
        few = shares[start : start + TOGETHER]
        under = np.flatnonzero(few.any(0))
        samples = slice(int(under[0]), int(under[-1]) + 1)
        parts.append(Band(slice(start, start + len(few)), samples, np.ascontiguousarray(few[:, samples])))
    return tuple(parts)


def pooled(maps: Array, rows: tuple[Band, ...], columns: tuple[Band, ...]) -> Array:
    """Means ``(C, h, w)`` of maps ``(C, H, W)`` over windows that `bands` describes."""
    high, wide = rows[-1].cells.stop, columns[-1].cells.stop
    across = np.empty((len(maps), high, maps.shape[2]), np.float32)
    for cells, samples, share in rows:
        np.matmul(share, maps[:, samples], out=across[:, cells])
    lines = across.reshape(-1, maps.shape[2])
    means = np.empty((len(lines), wide), np.float32)
    for cells, samples, share in columns:
        means[:, cells] = lines[:, samples] @ share.T
    return means.reshape(len(maps), high, wide)
