"""Heat maps of scored instances: of grids, of other instances on a raster, of movers along their paths."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np

from wherewhen.core import extents as ext
from wherewhen.core.values import Features, Floats, HeatMap, Instances, Paths, Scores

PAINTED = (24, 32)  # rows and columns of a map that is painted from instances without a grid
COARSE = (8, 8)  # the same for whole features, which are long
WALKED = (36, 48)  # the same for movers, which have boxes too


def heat(scored: Iterable[tuple[Instances, Features]]) -> Iterator[HeatMap]:
    """Scores ``(N,)`` as heat maps, a time step at a time; instances without a grid are painted on a raster.

    For instances with paths each frame is a step, with their boxes; elsewhere the map is 0.
    """
    for cells, values in scored:
        if cells.paths is not None:
            yield from walked(cells, cells.paths, values)
            continue
        for span, picture, detail in pictures([(cells, values[:, None])]):
            yield HeatMap(picture[None, ..., 0], span, detail)


def pictures(valued: Iterable[tuple[Instances, Features]]) -> Iterator[tuple[Floats, Features, Features | None]]:
    """Values ``(N, V)`` of instances as pictures ``(h, w, V)``, each with its time and its motion ``(1, H, W)``."""
    for cells, values in valued:
        if not covers(cells):
            yield from ((span, picture, None) for span, picture in painted(cells, values))
            continue
        assert cells.shape is not None
        t, h, w = cells.shape
        spans = cells.extents.reshape(t, h * w, 6)[:, 0, :2]
        for index, (span, picture) in enumerate(zip(spans, values.reshape(t, h, w, -1), strict=True)):
            yield span, picture, None if cells.detail is None else cells.detail[index : index + 1]


def covers(cells: Instances) -> bool:
    """Whether instances are a grid of the whole picture; one of a part of it is painted like instances without a grid.

    >>> rows = Instances(np.ones((1, 1)), ext.grid([0, 1, 0.25, 0, 0.75, 1], (1, 1, 1)), shape=(1, 1, 1))
    >>> covers(rows)
    False
    """
    if cells.shape is None:
        return False
    corners = (*cells.extents[0, 2:4], *cells.extents[-1, 4:])
    return bool(np.allclose(corners, ext.WHOLE_PICTURE, rtol=0, atol=1e-6))


def walked(movers: Instances, paths: Paths, values: Features) -> Iterator[HeatMap]:
    """Scores ``(N,)`` of movers along their paths, a frame at a time; a cell holds the highest score that covers it."""
    step = np.searchsorted(paths.edges, paths.rows.extents[:, 0] + ext.TICK, "right") - 1
    order = np.argsort(step, kind="stable")
    borders = np.searchsorted(step[order], np.arange(len(paths.edges)))
    for k, (first, last) in enumerate(pairwise(borders.tolist())):
        indices = order[first:last]
        owner = paths.rows.track[indices]
        boxes = Scores(paths.rows.extents[indices], values[owner].astype(np.float64), movers.track[owner])
        picture = ext.painted(boxes.extents, boxes.values, WALKED)
        yield HeatMap(picture[None], paths.edges[k : k + 2], boxes=(boxes,))


def painted(rows: Instances, values: Features, size: tuple[int, int] = PAINTED) -> Iterator[tuple[Floats, Features]]:
    """Values ``(N, D)`` of instances without a grid as pictures ``(H, W, D)``, each with its time ``(2,)`` in seconds.

    A cell holds the mean of the instances that cover it, weighted by coverage, or 0. Instances of one time that cover
    the whole picture, as crops do, are one picture, in order of input. Where any cell stays uncovered, time is cut at
    each start and end of an instance, and all instances of an interval are painted together.
    """
    spans, first, group = np.unique(rows.extents[:, :2], axis=0, return_index=True, return_inverse=True)
    order = np.argsort(group.ravel(), kind="stable")
    members = np.split(order, np.cumsum(np.bincount(group.ravel()))[:-1])
    if all(ext.coverage(rows.extents[indices], size)[2].min() > ext.ROUNDING for indices in members):
        for number in np.argsort(first):
            yield spans[number], ext.mean_map(rows.extents[members[number]], values[members[number]], size)
        return
    starts, ends = rows.extents[:, 0], rows.extents[:, 1]
    order = np.argsort(starts, kind="stable")
    rising, longest = starts[order], float((ends - starts).max(initial=0))
    for start, end in pairwise(np.unique(rows.extents[:, :2])):
        indices = order[np.searchsorted(rising, start - longest) : np.searchsorted(rising, start, "right")]
        indices = np.sort(indices[ends[indices] >= end])
        if len(indices):
            yield np.array([start, end]), ext.mean_map(rows.extents[indices], values[indices], size)


def gridded(rows: Instances, size: tuple[int, int] = COARSE) -> Instances:
    """Instances without a grid of the whole picture as one: a cell holds the mean features of those that cover it."""
    if covers(rows):
        return rows
    pictures = list(painted(rows, rows.features, size))
    cells = [ext.grid([*span, *ext.WHOLE_PICTURE], (1, *size)) for span, _ in pictures]
    flat = [picture.reshape(-1, picture.shape[-1]) for _, picture in pictures]
    return Instances(np.concatenate(flat), np.concatenate(cells), shape=(len(flat), *size))
