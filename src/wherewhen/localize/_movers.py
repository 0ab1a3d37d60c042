"""Tracked movers: scores smoothed along their paths, and the choice of events."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wherewhen.core import extents as ext
from wherewhen.core.values import Event, Features, Floats, Masks, Scores


def along(boxes: Scores, steps: Sequence[Scores], weights: Floats) -> Scores:
    """Boxes of a step with the weighted mean of their movers' scores in neighboring ``steps``.

    Only steps with a box of the mover count for it; a box without a track number keeps its score.
    """
    track = np.concatenate([step.track for step in steps])
    values = np.concatenate([step.values for step in steps])
    weight = np.repeat(weights, [len(step.track) for step in steps])
    numbers, place = np.unique(track, return_inverse=True)
    mean = np.bincount(place, weight * values, len(numbers)) / np.bincount(place, weight, len(numbers))
    smoothed = mean[np.searchsorted(numbers, boxes.track)] if len(boxes.track) else np.empty(0)
    return Scores(boxes.extents, np.where(boxes.track < 0, boxes.values, smoothed), boxes.track)


def apart(boxes: Scores, within: float | None) -> Scores:
    """Boxes of one step, best first, without those that share their place with a better one.

    Two share a place where the larger one covers ``within`` of the smaller one: a mover and a union that it is in; none
    do where it is None.
    """
    shared = _shares(boxes.extents[:, None], boxes.extents[None], within)
    rows: list[int] = []
    for row in np.lexsort((boxes.track, -boxes.values)).tolist():
        if not shared[row, rows].any():
            rows.append(row)
    return Scores(boxes.extents[rows], boxes.values[rows], boxes.track[rows])


def _shares(boxes: Floats, other: Floats, within: float | None) -> Masks:
    """Whether boxes share their place; they broadcast."""
    if within is None:
        return np.zeros(np.broadcast_shapes(boxes.shape[:-1], other.shape[:-1]), bool)
    smaller = np.minimum(ext.area(boxes), ext.area(other))
    shared: Masks = (smaller > 0) & (ext.intersection(boxes, other) >= within * smaller)
    return shared


def inside(heat: Features, rows: Floats, share: float) -> Floats:
    """The level of a map ``(h, w)`` inside each box ``(N, 6)``: the quantile ``share`` over its area.

    A box without area has the value of its cell.

    >>> heat = np.float32([[0.1, 0.3]])
    >>> inside(heat, np.array([[0, 1, 0.2, 0, 0.6, 1]]), 0.7).round(2).tolist()
    [0.1]
    >>> inside(heat, np.array([[0, 1, 0.2, 0, 0.6, 1]]), 0.9).round(2).tolist()
    [0.3]
    """
    height, width = heat.shape
    levels = np.empty(len(rows))
    for index, (x0, y0, x1, y1) in enumerate(rows[:, 2:]):
        top, down = _covered(y0, y1, height)
        left, across = _covered(x0, x1, width)
        values = heat[top : top + len(down), left : left + len(across)].ravel()
        order = np.argsort(values, kind="stable")
        area = np.cumsum(np.outer(down, across).ravel()[order])
        levels[index] = values[order][np.searchsorted(area, share * area[-1] * (1 - 1e-9))]
    return levels


def _covered(low: float, high: float, count: int) -> tuple[int, Floats]:
    """The first of ``count`` cells of a side in a range, and the covered share of it and of those after it."""
    first = min(max(int(np.floor(low * count)), 0), count - 1)
    last = min(max(int(np.ceil(high * count)), first + 1), count)
    edges = np.arange(first, last + 1)
    shares = (np.minimum(edges[1:], high * count) - np.maximum(edges[:-1], low * count)).clip(0)
    return first, shares if shares.any() else np.ones(len(shares))


def free(regions: Floats, movers: Floats, within: float | None) -> Masks:
    """Whether regions ``(R, 6)`` share their place with none of the movers ``(M, 6)``: see `apart`."""
    alone: Masks = ~np.asarray(_shares(regions[:, None], movers[None], within).any(1))
    return alone


def paths(
    rows: Scores, alarm: float, keep: float, gap: float, shortest: float, within: float | None
) -> tuple[Event, ...]:
    """Events from all boxes of an alarm: paths of movers while they score ``keep``, if they reach ``alarm``.

    A path ends at a pause of ``gap`` seconds and lasts at least ``shortest``. Of paths that share their place for half
    of their time only the best is reported.
    """
    ways = [way for track in np.unique(rows.track) for way in _ways(rows, track, keep, gap)]
    lasting = [w for w in ways if w.extents[-1, 1] - w.extents[0, 0] >= shortest - 1e-9 and w.values.max() >= alarm]
    lasting.sort(key=lambda way: (-float(way.values.max()), -len(way.values), float(way.extents[0, 0])))
    chosen: list[Scores] = []
    for way in lasting:
        if not any(_repeats(way, other, within) for other in chosen):
            chosen.append(way)
    chosen.sort(key=lambda way: float(way.extents[0, 0]))
    return tuple(Event(way.extents, float(way.values.max()), track=int(way.track[0])) for way in chosen)


def _ways(rows: Scores, track: int, keep: float, gap: float) -> list[Scores]:
    indices = np.flatnonzero((rows.track == track) & (rows.values >= keep))
    indices = indices[np.argsort(rows.extents[indices, 0], kind="stable")]
    pause = rows.extents[indices[1:], 0] - rows.extents[indices[:-1], 1]
    parts = np.split(indices, np.flatnonzero(pause > gap) + 1) if len(indices) else []
    return [Scores(rows.extents[part], rows.values[part], rows.track[part]) for part in parts]


def _repeats(way: Scores, other: Scores, within: float | None) -> bool:
    _, rows, other_rows = np.intersect1d(way.extents[:, 0], other.extents[:, 0], return_indices=True)
    return bool(2 * _shares(way.extents[rows], other.extents[other_rows], within).sum() >= len(way.values))
