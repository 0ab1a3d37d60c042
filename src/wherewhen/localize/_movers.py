"""Tracked movers: their scores smoothed along their paths, and the choice of those that become events."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wherewhen.core import extents as ext
from wherewhen.core.values import Event, Features, Floats, Masks, Scores


def along(boxes: Scores, near: Sequence[Scores], weights: Floats) -> Scores:
    """Boxes of a step with the weighted mean of what their movers score in the steps ``near``.

    Only steps where a mover is there count for it; a box without a track number keeps its score.
    """
    track = np.concatenate([one.track for one in near])
    values = np.concatenate([one.values for one in near])
    weight = np.repeat(weights, [len(one.track) for one in near])
    numbers, place = np.unique(track, return_inverse=True)
    mean = np.bincount(place, weight * values, len(numbers)) / np.bincount(place, weight, len(numbers))
    own = mean[np.searchsorted(numbers, boxes.track)] if len(boxes.track) else np.empty(0)
    return Scores(boxes.extents, np.where(boxes.track < 0, boxes.values, own), boxes.track)


def apart(boxes: Scores, within: float) -> Scores:
    """Boxes of one step, best first, without those that share their place with a better one.

    Two share a place where the larger one covers ``within`` of the smaller one: a mover and a union that it is in.
    """
    shared = _shares(boxes.extents[:, None], boxes.extents[None], within)
    kept: list[int] = []
    for row in np.lexsort((boxes.track, -boxes.values)).tolist():
        if not shared[row, kept].any():
            kept.append(row)
    return Scores(boxes.extents[kept], boxes.values[kept], boxes.track[kept])


def _shares(one: Floats, other: Floats, within: float) -> Masks:
    """Whether boxes share their place; they broadcast."""
    smaller = np.minimum(ext.area(one), ext.area(other))
    shared: Masks = (smaller > 0) & (ext.intersection(one, other) >= within * smaller)
    return shared


def inside(heat: Features, rows: Floats, share: float) -> Floats:
    """What a map ``(h, w)`` says inside each box ``(N, 6)``: the value that ``share`` of the box's area don't exceed.

    A box without area has the value of the cell that it lies in.

    >>> heat = np.float32([[0.1, 0.3]])
    >>> inside(heat, np.array([[0, 1, 0.2, 0, 0.6, 1]]), 0.7).round(2).tolist()
    [0.1]
    >>> inside(heat, np.array([[0, 1, 0.2, 0, 0.6, 1]]), 0.9).round(2).tolist()
    [0.3]
    """
    height, width = heat.shape
    found = np.empty(len(rows))
    for index, (x0, y0, x1, y1) in enumerate(rows[:, 2:]):
        top, down = _covered(y0, y1, height)
        left, across = _covered(x0, x1, width)
        values = heat[top : top + len(down), left : left + len(across)].ravel()
        order = np.argsort(values, kind="stable")
        area = np.cumsum(np.outer(down, across).ravel()[order])
        found[index] = values[order][np.searchsorted(area, share * area[-1] * (1 - 1e-9))]
    return found


def _covered(low: float, high: float, count: int) -> tuple[int, Floats]:
    """The first of ``count`` cells of a side that a stretch covers, and how much of it and of those behind."""
    first = min(max(int(np.floor(low * count)), 0), count - 1)
    last = min(max(int(np.ceil(high * count)), first + 1), count)
    edges = np.arange(first, last + 1)
    shares = (np.minimum(edges[1:], high * count) - np.maximum(edges[:-1], low * count)).clip(0)
    return first, shares if shares.any() else np.ones(len(shares))


def free(regions: Floats, movers: Floats, within: float) -> Masks:
    """Which regions ``(R, 6)`` share their place with none of the movers ``(M, 6)``: see `apart`."""
    alone: Masks = ~np.asarray(_shares(regions[:, None], movers[None], within).any(1))
    return alone


def paths(rows: Scores, alarm: float, keep: float, gap: float, shortest: float, within: float) -> tuple[Event, ...]:
    """Events out of all boxes of an alarm: the ways of movers while they score ``keep``, if they ever reach ``alarm``.

    A way ends in a pause of ``gap`` seconds and lasts at least ``shortest``. Of ways that share their place for half of
    their time only the best is told.
    """
    ways = [way for track in np.unique(rows.track) for way in _ways(rows, track, keep, gap)]
    lasting = [w for w in ways if w.extents[-1, 1] - w.extents[0, 0] >= shortest - 1e-9 and w.values.max() >= alarm]
    lasting.sort(key=lambda way: (-float(way.values.max()), -len(way.values), float(way.extents[0, 0])))
    kept: list[Scores] = []
    for way in lasting:
        if not any(_repeats(way, other, within) for other in kept):
            kept.append(way)
    kept.sort(key=lambda way: float(way.extents[0, 0]))
    return tuple(Event(way.extents, float(way.values.max()), track=int(way.track[0])) for way in kept)


def _ways(rows: Scores, track: int, keep: float, gap: float) -> list[Scores]:
    own = np.flatnonzero((rows.track == track) & (rows.values >= keep))
    own = own[np.argsort(rows.extents[own, 0], kind="stable")]
    pause = rows.extents[own[1:], 0] - rows.extents[own[:-1], 1]
    parts = np.split(own, np.flatnonzero(pause > gap) + 1) if len(own) else []
    return [Scores(rows.extents[part], rows.values[part], rows.track[part]) for part in parts]


def _repeats(way: Scores, other: Scores, within: float) -> bool:
    _, own, its = np.intersect1d(way.extents[:, 0], other.extents[:, 0], return_indices=True)
    return bool(2 * _shares(way.extents[own], other.extents[its], within).sum() >= len(way.values))
