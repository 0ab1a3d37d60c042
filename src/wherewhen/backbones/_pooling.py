"""Means of maps over overlapping windows, as products of matrices that leave out most of the zeros."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wherewhen.backbones._room import room
from wherewhen.core.values import Masks

Array = NDArray[np.float32]

SMALLEST = 32  # px: the coarsest level of the flow needs this much
TOGETHER = 4, 12  # rows and columns of cells of one product: fewer make more calls, more make more zeros


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
    """Neighboring cells, the samples under their windows, and weights ``(cells, samples)``."""

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


def samples_of(side: Side, first: int, last: int) -> slice:
    """The samples under the windows of cells ``[first, last)``, and one more at either end where there is one."""
    under = np.flatnonzero(weights(side)[first:last].any(0))
    return slice(max(int(under[0]) - 1, 0), min(int(under[-1]) + 2, weights(side).shape[1]))


def banded(shares: Array, together: int) -> tuple[Band, ...]:
    """Weights ``(cells, samples)`` without most of their zeros: ``together`` cells at a time."""
    parts = []
    for start in range(0, len(shares), together):
        few = shares[start : start + together]
        under = np.flatnonzero(few.any(0))
        samples = slice(int(under[0]), int(under[-1]) + 1)
        parts.append(Band(slice(start, start + len(few)), samples, np.ascontiguousarray(few[:, samples])))
    return tuple(parts)


class Windows(NamedTuple):
    """A rectangle of cells, the samples under their windows, and how those are pooled."""

    cells: tuple[slice, slice]
    samples: tuple[slice, slice]
    rows: tuple[Band, ...]
    columns: tuple[Band, ...]


@lru_cache(maxsize=1024)
def windows(rows: Side, columns: Side, top: int, bottom: int, left: int, right: int) -> Windows:
    """The windows of cells ``[top, bottom)`` x ``[left, right)``."""
    sides, borders = (rows, columns), ((top, bottom), (left, right))
    samples = tuple(samples_of(side, *ends) for side, ends in zip(sides, borders, strict=True))
    shares = (weights(side)[slice(*ends), part] for side, ends, part in zip(sides, borders, samples, strict=True))
    down, across = (banded(share, together) for share, together in zip(shares, TOGETHER, strict=True))
    return Windows((slice(top, bottom), slice(left, right)), (samples[0], samples[1]), down, across)


def every_window(rows: Side, columns: Side) -> Windows:
    """The windows of all cells."""
    return windows(rows, columns, 0, rows.cells, 0, columns.cells)


def windows_around(active: Masks, rows: Side, columns: Side) -> list[Windows | None]:
    """The windows of the smallest rectangle around the cells ``(h, w)`` of each of ``active`` ``(P, h, w)``, if any."""
    ends = []
    for axis in (2, 1):
        inside: Masks = np.any(active, axis)
        ends += [inside.argmax(1), inside.shape[1] - inside[:, ::-1].argmax(1)]
    borders = np.stack(ends, 1).tolist()
    return [windows(rows, columns, *each) if cells.any() else None for each, cells in zip(borders, active, strict=True)]


def pooled(maps: Array, under: Windows) -> Array:
    """Means ``(C, h, w)`` of maps ``(C, H, W)`` of the samples of some windows."""
    high, wide = under.rows[-1].cells.stop, under.columns[-1].cells.stop
    across = room("across", len(maps), high, maps.shape[2])
    for cells, samples, share in under.rows:
        np.matmul(share, maps[:, samples], out=across[:, cells])
    lines = across.reshape(-1, maps.shape[2])
    means = np.empty((len(lines), wide), np.float32)
    for cells, samples, share in under.columns:
        np.matmul(lines[:, samples], share.T, out=means[:, cells])
    return means.reshape(len(maps), high, wide)
