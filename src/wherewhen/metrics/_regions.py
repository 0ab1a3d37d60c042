"""Ground-truth regions frame by frame, and how much of each cell of a score map they cover.

Truth is boxes or pixel masks; both become regions. Frames with the same region and the same score map are counted
together, so an hour of video costs as much as it has changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wherewhen.core import extents as ext
from wherewhen.core.errors import DataError
from wherewhen.core.values import HeatMap, Truth

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Number = TypeVar("Number", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Region:
    """One frame's truth: pixel mask ``(H, W)``, or boxes ``(K, 4)`` x0 y0 x1 y1 in fractions of the picture."""

    boxes: Floats
    mask: Bools | None = None

    def cover(self, h: int, w: int) -> Floats:
        """Share of the picture that truth covers within each of ``(h, w)`` cells.

        A pixel belongs to the cell that contains its center (nearest cell); boxes are cut exactly.
        """
        if self.mask is not None:
            return _pixels_per_cell(self.mask, h, w) / self.mask.size
        return _union_per_cell(self.boxes, h, w)

    def inside(self, h: int, w: int) -> Bools:
        """Which of ``(h, w)`` cells have their center in the truth."""
        y, x = (np.arange(h) + 0.5) / h, (np.arange(w) + 0.5) / w
        if self.mask is not None:
            rows, columns = ((v * n).astype(int) for v, n in zip((y, x), self.mask.shape, strict=True))
            centers: Bools = self.mask[np.ix_(rows, columns)]
            return centers
        hit: Bools = np.any(_centers_in(self.boxes, h, w), axis=0)
        return hit

    def marked(self, grid: int, coverage: float, tolerance: float = 0.0) -> Bools:
        """Which of ``(grid, grid)`` cells a box, enlarged by ``tolerance`` on all sides, covers by ``coverage``.

        ``tolerance`` is a share of the picture's side and not used with masks.
        """
        if self.mask is not None:
            return self.cover(grid, grid) >= coverage * cell_shares(grid, grid, self.mask.shape) * (1 - 1e-12)
        enough: Bools = np.any(_enough(self.boxes, grid, coverage, tolerance), axis=0)
        return enough

    def hull(self) -> Floats:
        """The smallest box ``(4,)`` around the truth."""
        if self.mask is None:
            return np.concatenate([self.boxes[:, :2].min(0), self.boxes[:, 2:].max(0)])
        y, x = (np.flatnonzero(self.mask.any(axis)) for axis in (1, 0))
        height, width = self.mask.shape
        return np.array([x[0] / width, y[0] / height, (x[-1] + 1) / width, (y[-1] + 1) / height])


def cell_shares(h: int, w: int, shape: tuple[int, ...] | None) -> Floats:
    """Share of the picture that each of ``(h, w)`` cells takes, in whole pixels if masks have a ``shape`` (H, W)."""
    if shape is None:
        return np.full((h, w), 1 / (h * w))
    rows, columns = (np.diff(_first_pixels(n, size)) for n, size in zip((h, w), shape, strict=True))
    shares: Floats = np.outer(rows, columns) / (shape[0] * shape[1])
    return shares


def overlaps(low: Floats, high: Floats, cells: int) -> Floats:
    """Length ``(K, cells)`` of each stretch within each cell of a side."""
    borders = np.linspace(0, 1, cells + 1)
    covered: Floats = (np.minimum(borders[1:], high[:, None]) - np.maximum(borders[:-1], low[:, None])).clip(0)
    return covered


def _areas(boxes: Floats, h: int, w: int) -> Floats:
    x0, y0, x1, y1 = boxes.T
    return overlaps(y0, y1, h)[:, :, None] * overlaps(x0, x1, w)[:, None, :]


def _centers_in(boxes: Floats, h: int, w: int) -> Bools:
    y, x = (np.arange(h) + 0.5) / h, (np.arange(w) + 0.5) / w
    x0, y0, x1, y1 = (column[:, None] for column in boxes.T)
    across, down = (x0 <= x) & (x < x1), (y0 <= y) & (y < y1)
    centers: Bools = down[:, :, None] & across[:, None, :]
    return centers


def _enough(boxes: Floats, grid: int, coverage: float, tolerance: float) -> Bools:
    larger = boxes + tolerance * np.array([-1, -1, 1, 1])
    return _areas(larger, grid, grid) * grid**2 >= coverage * (1 - 1e-12)


def _first_pixels(cells: int, pixels: int) -> Ints:
    return -((cells - 2 * pixels * np.arange(cells + 1)) // (2 * cells))


def _pixels_per_cell(mask: Bools, h: int, w: int) -> Floats:
    total = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1))
    total[1:, 1:] = mask.cumsum(0, dtype=np.int64).cumsum(1)
    corners = total[np.ix_(_first_pixels(h, mask.shape[0]), _first_pixels(w, mask.shape[1]))]
    return np.diff(np.diff(corners, axis=0), axis=1)


def _union_per_cell(boxes: Floats, h: int, w: int) -> Floats:
    xs = np.unique(np.r_[np.linspace(0, 1, w + 1), boxes[:, 0], boxes[:, 2]].clip(0, 1))
    ys = np.unique(np.r_[np.linspace(0, 1, h + 1), boxes[:, 1], boxes[:, 3]].clip(0, 1))
    x, y = (xs[1:] + xs[:-1]) / 2, (ys[1:] + ys[:-1]) / 2
    across = (boxes[:, :1] <= x) & (x < boxes[:, 2:3])
    down = (boxes[:, 1:2] <= y) & (y < boxes[:, 3:])
    pieces = (down.T.astype(np.float64) @ across > 0) * np.outer(np.diff(ys), np.diff(xs))
    rows = np.searchsorted(ys, np.linspace(0, 1, h + 1)[:-1])
    columns = np.searchsorted(xs, np.linspace(0, 1, w + 1)[:-1])
    shares: Floats = np.add.reduceat(np.add.reduceat(pieces, rows, axis=0), columns, axis=1)
    return shares


def _each(
    regions: Sequence[Region],
    shape: tuple[int, ...],
    alone: Callable[[Floats], NDArray[Number]],
    other: Callable[[Region], NDArray[Number]],
    kind: type,
) -> NDArray[Number]:
    """One array ``shape`` per region: single boxes at once, others one by one, each distinct region once."""
    table: NDArray[Number] = np.zeros((len(regions), *shape), kind)
    single = np.array([region.mask is None and len(region.boxes) == 1 for region in regions], bool)
    if single.any():
        table[single] = alone(np.concatenate([regions[n].boxes for n in np.flatnonzero(single).tolist()]))
    cache: dict[int, NDArray[Number]] = {}
    for n in np.flatnonzero(~single).tolist():
        if id(regions[n]) not in cache:
            cache[id(regions[n])] = other(regions[n])
        table[n] = cache[id(regions[n])]
    return table


def covers(regions: Sequence[Region], h: int, w: int) -> Floats:
    """:meth:`Region.cover` of many regions: ``(R, h, w)``."""
    return _each(regions, (h, w), lambda boxes: _areas(boxes, h, w), lambda r: r.cover(h, w), float)


def insides(regions: Sequence[Region], h: int, w: int) -> Bools:
    """:meth:`Region.inside` of many regions: ``(R, h, w)``."""
    return _each(regions, (h, w), lambda boxes: _centers_in(boxes, h, w), lambda r: r.inside(h, w), bool)


def marks(regions: Sequence[Region], grid: int, coverage: float, tolerance: float = 0.0) -> Bools:
    """:meth:`Region.marked` of many regions: ``(R, grid, grid)``."""
    return _each(
        regions,
        (grid, grid),
        lambda boxes: _enough(boxes, grid, coverage, tolerance),
        lambda region: region.marked(grid, coverage, tolerance),
        bool,
    )


def hulls(regions: Sequence[Region]) -> Floats:
    """:meth:`Region.hull` of many regions: ``(R, 4)``."""
    return _each(regions, (4,), lambda boxes: boxes, Region.hull, float)


@dataclass(frozen=True, slots=True)
class Places:
    """The truth of one video: its regions, and for each frame ``(F,)`` the number of its region or -1.

    ``normal``: frames outside every span and without a region. A frame in a span without a region is neither:
    anomalous, at an unknown place. ``shape``: that of the pixel masks, None with boxes.
    """

    regions: list[Region]
    region_of: Ints
    normal: Bools
    shape: tuple[int, ...] | None = None


def annotated_frames(truth: Truth, place: Places) -> Bools:
    """Frames ``(F,)`` whose regions are annotated, if any.

    Unknown are frames in a span without a region that ``truth.boxed`` doesn't list.
    """
    if truth.boxed is None or place.shape is not None:
        return np.ones(len(place.normal), bool)
    return np.asarray(truth.boxed, bool) | (place.region_of >= 0) | place.normal


def frame_rows(extents: ArrayLike, edges: ArrayLike) -> tuple[Ints, Ints]:
    """Frame and row numbers of every (frame, row) in which the row covers the frame's middle."""
    ranges = ext.frames_of(np.asarray(extents, np.float64).reshape(-1, 6), edges)
    counts = ranges[:, 1] - ranges[:, 0]
    row = np.repeat(np.arange(len(ranges)), counts)
    offset = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    return ranges[row, 0] + offset, row


def places(truth: Truth, masks_first: bool = True) -> Places:
    """The regions of the truth of one video: from its pixel masks if it has any, else from its boxes, filled.

    ``masks_first=False`` prefers boxes where both exist. Boxes without area count as none.
    """
    frames = len(truth.edges) - 1
    shape = None
    if truth.masks is not None and (masks_first or not len(truth.boxes)):
        masks = np.asarray(truth.masks(), bool)
        if len(masks) != frames:
            raise DataError(f"truth: {frames} frames but {len(masks)} pixel masks; each frame needs one")
        shape = masks.shape[1:]
        filled = np.flatnonzero(masks.any((1, 2)))
        regions = [Region(np.empty((0, 4)), masks[frame]) for frame in filled]
        region_of = np.full(frames, -1)
        region_of[filled] = np.arange(len(filled))
    else:
        regions, region_of = _box_regions(truth, frames)
    return Places(regions, region_of, (region_of < 0) & ~truth.frames, shape)


def _box_regions(truth: Truth, frames: int) -> tuple[list[Region], Ints]:
    rows = truth.boxes[ext.area(truth.boxes) > 0]
    ranges = ext.frames_of(rows, truth.edges)
    borders = np.unique(np.r_[0, ranges.reshape(-1), frames])
    regions: list[Region] = []
    region_of = np.full(frames, -1)
    order = np.argsort(ranges[:, 0], kind="stable")
    active: list[int] = []
    upcoming = 0
    for first, last in pairwise(borders.tolist()):
        while upcoming < len(order) and ranges[order[upcoming], 0] <= first:
            active.append(int(order[upcoming]))
            upcoming += 1
        active = [row for row in active if ranges[row, 1] > first]
        if active:
            region_of[first:last] = len(regions)
            regions.append(Region(rows[active, 2:]))
    return regions, region_of


def steps(heat: HeatMap, edges: Floats) -> Ints:
    """The step of a heat map ``(F,)`` that contains each frame's middle; the nearest one outside its time."""
    middles = (edges[1:] + edges[:-1]) / 2
    return (np.searchsorted(heat.edges, middles, "right") - 1).clip(0, len(heat.values) - 1)


def runs(*keys: NDArray[np.generic]) -> tuple[Ints, Ints]:
    """First frame and length of every run of frames over which no key ``(F,)`` changes."""
    change = np.zeros(len(keys[0]) - 1, bool)
    for key in keys:
        change |= key[1:] != key[:-1]
    first = np.append(0, np.flatnonzero(change) + 1)
    return first, np.diff(np.append(first, len(keys[0])))


@dataclass(frozen=True, slots=True)
class Placed:
    """A batch of K runs of frames with truth: score maps and truth side by side.

    ``values`` ``(K, h, w)`` scores, ``regions`` K of them, ``frames`` ``(K,)`` number of frames of each,
    ``first`` ``(K,)`` the first of those frames.
    """

    values: NDArray[np.float32]
    regions: list[Region]
    frames: Ints
    first: Ints

    def cover(self) -> Floats:
        """Share of the picture covered by truth per cell: ``(K, h, w)``."""
        h, w = self.values.shape[1:]
        return covers(self.regions, h, w)

    def inside(self) -> Bools:
        """Which cells have their center in the truth: ``(K, h, w)``."""
        h, w = self.values.shape[1:]
        return insides(self.regions, h, w)


def placed(heat: HeatMap, place: Places, edges: Floats, numbers: int = 2_000_000) -> Iterator[Placed]:
    """Every frame with truth beside its score map, in batches of about so many ``numbers``."""
    step = steps(heat, edges)
    first, length = runs(step, place.region_of)
    used = place.region_of[first] >= 0
    first, length = first[used], length[used]
    size = max(1, numbers // int(np.prod(heat.values.shape[1:])))
    for low in range(0, len(first), size):
        chosen = first[low : low + size]
        regions = [place.regions[number] for number in place.region_of[chosen]]
        yield Placed(heat.values[step[chosen]], regions, length[low : low + size], chosen)
