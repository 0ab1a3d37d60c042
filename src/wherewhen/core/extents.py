"""Geometry of extents: rows ``(t0, t1, x0, y0, x1, y1)`` in seconds and fractions of the picture, half-open.

Every function takes and returns float64 arrays whose last axis is such a row, unless stated otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]

WHOLE_PICTURE = (0.0, 0.0, 1.0, 1.0)
TICK = 1e-9  # seconds, for sums that aren't exact
ROUNDING = 1e-9  # of a cell: smaller parts come from rounding


def check(extents: ArrayLike, name: str = "extents") -> FloatArray:
    """Return ``extents`` as float64 ``(N, 6)``; ValueError if a row is not finite, reversed or outside the picture.

    >>> check([[0, 1, 0, 0, 1, 1]]).shape
    (1, 6)
    """
    rows = np.asarray(extents, np.float64)
    if rows.ndim != 2 or rows.shape[1] != 6:
        raise ValueError(f"{name}: expected shape (N, 6), got {rows.shape}")
    if not np.isfinite(rows).all():
        raise ValueError(f"{name}: every number must be finite")
    if (rows[:, 1] < rows[:, 0]).any() or (rows[:, 4:] < rows[:, 2:4]).any():
        raise ValueError(f"{name}: an end is before its start")
    if rows.size and (rows[:, 2:].min() < -1e-9 or rows[:, 2:].max() > 1 + 1e-9):
        raise ValueError(f"{name}: x and y are fractions of the picture, from 0 to 1")
    return rows


def grid(extent: ArrayLike, shape: tuple[int, int, int]) -> FloatArray:
    """Cut one extent into ``(t, h, w)`` equal cells: ``(t*h*w, 6)``, time slowest, x fastest.

    >>> grid([0, 2, 0, 0, 1, 1], (2, 1, 1))[:, :2].tolist()
    [[0.0, 1.0], [1.0, 2.0]]
    """
    t0, t1, x0, y0, x1, y1 = np.asarray(extent, np.float64)
    t, y, x = (np.linspace(a, b, n + 1) for a, b, n in zip((t0, y0, x0), (t1, y1, x1), shape, strict=True))
    return lattice(t, y, x)


def lattice(t: ArrayLike, y: ArrayLike, x: ArrayLike) -> FloatArray:
    """The cells between borders in time, from top to bottom and from left to right: ``(T*H*W, 6)``, in that order.

    >>> lattice([0, 1, 4], [0, 1], [0, 1])[:, :2].tolist()
    [[0.0, 1.0], [1.0, 4.0]]
    """
    times, rows, columns = (np.asarray(side, np.float64) for side in (t, y, x))
    times, rows = times[:, None, None], rows[:, None]
    cells = np.empty((len(times) - 1, len(rows) - 1, len(columns) - 1, 6))
    for number, side in enumerate((times, columns, rows)):
        cells[..., (0, 2, 3)[number]] = side[:-1]
        cells[..., (1, 4, 5)[number]] = side[1:]
    return cells.reshape(-1, 6)


def from_pixels(boxes: ArrayLike, times: ArrayLike, width: int, height: int) -> FloatArray:
    """Join pixel boxes ``(N, 4)`` ``x0 y0 x1 y1`` (half-open) and times ``(N, 2)`` in seconds into extents.

    >>> from_pixels([[0, 0, 32, 24]], [[0, 1]], 64, 48).tolist()
    [[0.0, 1.0, 0.0, 0.0, 0.5, 0.5]]
    """
    scaled = np.asarray(boxes, np.float64).reshape(-1, 4) / [width, height, width, height]
    return np.concatenate([np.asarray(times, np.float64).reshape(-1, 2), scaled.clip(0, 1)], 1)


def to_pixels(extents: ArrayLike, width: int, height: int) -> FloatArray:
    """Pixel boxes ``(N, 4)`` ``x0 y0 x1 y1`` of extents.

    >>> to_pixels([[0, 1, 0, 0, 0.5, 0.5]], 64, 48).tolist()
    [[0.0, 0.0, 32.0, 24.0]]
    """
    return np.asarray(extents, np.float64)[..., 2:] * [width, height, width, height]


def area(extents: ArrayLike) -> FloatArray:
    """Share of the picture that each extent covers: ``(N,)``."""
    rows = np.asarray(extents, np.float64)
    sizes: FloatArray = (rows[..., 4:] - rows[..., 2:4]).clip(0)
    return sizes[..., 0] * sizes[..., 1]


def intersection(a: ArrayLike, b: ArrayLike) -> FloatArray:
    """Share of the picture that ``a`` and ``b`` both cover, times ignored; ``a`` and ``b`` broadcast."""
    p, q = np.asarray(a, np.float64), np.asarray(b, np.float64)
    low, high = np.maximum(p[..., 2:4], q[..., 2:4]), np.minimum(p[..., 4:], q[..., 4:])
    sizes: FloatArray = (high - low).clip(0)
    return sizes[..., 0] * sizes[..., 1]


def iou(a: ArrayLike, b: ArrayLike) -> FloatArray:
    """Intersection over union in the picture, times ignored; two empty boxes give 0.

    >>> float(iou([0, 1, 0, 0, 1, 1], [0, 1, 0, 0, 0.5, 0.5]))
    0.25
    """
    both = intersection(a, b)
    union = area(a) + area(b) - both
    return np.divide(both, union, out=np.zeros_like(union), where=union > 0)


def hull(extents: ArrayLike) -> FloatArray:
    """The smallest extent around all rows: ``(6,)``; ValueError without rows."""
    rows = np.asarray(extents, np.float64)
    if not len(rows):
        raise ValueError("hull of no extents")
    low, high = rows.min(0), rows.max(0)
    return np.array([low[0], high[1], low[2], low[3], high[4], high[5]])


def widened(extents: ArrayLike, share: float) -> FloatArray:
    """Boxes enlarged on each side by a share of their size, within the picture.

    >>> widened([[0, 1, 0.5, 0.5, 0.75, 1]], 0.5)[:, 2:].tolist()
    [[0.375, 0.25, 0.875, 1.0]]
    """
    rows = np.asarray(extents, np.float64)
    margin = share * (rows[..., 4:] - rows[..., 2:4])
    low, high = (rows[..., 2:4] - margin).clip(0), (rows[..., 4:] + margin).clip(None, 1)
    return np.concatenate([rows[..., :2], low, high], -1)


def frames_of(extents: ArrayLike, edges: ArrayLike) -> NDArray[np.int64]:
    """Half-open frame range ``(N, 2)`` of the frames whose middle is in each extent.

    ``edges``: the F + 1 borders of F frames in seconds.

    >>> frames_of([[0.5, 1.5, 0, 0, 1, 1]], [0, 0.4, 0.8, 1.2, 1.6]).tolist()
    [[1, 4]]
    """
    borders = np.asarray(edges, np.float64)
    middles = (borders[1:] + borders[:-1]) / 2
    rows = np.asarray(extents, np.float64)
    return np.stack([np.searchsorted(middles, rows[:, 0]), np.searchsorted(middles, rows[:, 1])], -1)


def painted(extents: ArrayLike, values: ArrayLike, size: tuple[int, int]) -> NDArray[np.float32]:
    """A picture ``(H, W)`` of values ``(N,)``: each cell holds the highest of value times the share of it covered.

    >>> painted([[0, 1, 0, 0, 0.75, 1]], [0.8], (1, 2)).round(2).tolist()
    [[0.800000011920929, 0.4000000059604645]]
    """
    rows, levels = np.asarray(extents, np.float64).reshape(-1, 6), np.asarray(values, np.float64)
    picture = np.zeros(size, np.float32)
    for down, across, level in zip(
        shares(rows[:, [3, 5]], size[0]), shares(rows[:, [2, 4]], size[1]), levels, strict=True
    ):
        np.maximum(picture, level * down[:, None] * across, out=picture, casting="same_kind")
    return picture


def shares(sides: ArrayLike, count: int) -> FloatArray:
    """How much ``(N, count)`` of each of ``count`` equal parts of a side is between two borders ``(N, 2)``.

    >>> shares([[0, 0.75]], 2).tolist()
    [[1.0, 0.5]]
    """
    low, high = np.asarray(sides, np.float64).reshape(-1, 2, 1).swapaxes(0, 1)
    edges = np.linspace(0, 1, count + 1)
    parts: FloatArray = (np.minimum(high, edges[1:]) - np.maximum(low, edges[:-1])).clip(0) * count
    return parts


def coverage(extents: ArrayLike, size: tuple[int, int]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """How much of each row ``(N, H)``, of each column ``(N, W)`` and, in sum, of each cell ``(H, W)`` extents cover."""
    rows = np.asarray(extents, np.float64).reshape(-1, 6)
    down, across = shares(rows[:, [3, 5]], size[0]), shares(rows[:, [2, 4]], size[1])
    return down, across, down.T @ across


def mean_map(extents: ArrayLike, values: ArrayLike, size: tuple[int, int]) -> NDArray[np.float32]:
    """The mean ``(H, W, V)`` of the values ``(N, V)`` of the extents that cover each cell; 0 where none does.

    An extent that covers a part of a cell counts by that part.

    >>> mean_map([[0, 1, 0, 0, 0.5, 1], [0, 1, 0, 0, 1, 1]], [[1], [0]], (1, 2))[..., 0].tolist()
    [[0.5, 0.0]]
    """
    down, across, weights = coverage(extents, size)
    sums = np.einsum("nr,nc,nv->rcv", down, across, np.asarray(values, np.float64), optimize=True)
    mean = np.divide(sums, weights[..., None], out=np.zeros_like(sums), where=weights[..., None] > ROUNDING)
    means: NDArray[np.float32] = mean.astype(np.float32)
    return means


def windows(shares: Sequence[float] = (1 / 4, 1 / 3, 1 / 2), stride: float = 0.5) -> FloatArray:
    """Places ``(P, 4)`` ``x0 y0 x1 y1``, as shares of the picture, of square-shared windows that cover all of it.

    The last one of a row or column ends with the picture, even where the stride would lead past it.

    >>> len(windows())
    83
    >>> windows([0.5], 1.0).tolist()
    [[0.0, 0.0, 0.5, 0.5], [0.5, 0.0, 1.0, 0.5], [0.0, 0.5, 0.5, 1.0], [0.5, 0.5, 1.0, 1.0]]
    """
    places = []
    for share in shares:
        count = int(np.ceil((1 - share) / (share * stride) - 1e-9)) + 1
        starts = np.minimum(np.arange(count) * share * stride, 1 - share)
        places += [[x, y, x + share, y + share] for y in starts for x in starts]
    return np.array(places).clip(0, 1)
