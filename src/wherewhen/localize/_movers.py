"""Movers whose boxes are known: their scores smoothed along their paths, and which of them events are about."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wherewhen import extents as ext
from wherewhen.values import Event, Floats, Masks, Scores


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


def told(rows: Scores, keep: float, gap: float, shortest: float, within: float) -> tuple[Event, ...]:
    """Events out of all boxes of an alarm: the ways of movers while they score ``keep``, if they ever reach 0.5.

    A way ends in a pause of ``gap`` seconds and lasts at least ``shortest``. Of ways that share their place for half of
    their time only the best is told.
    """
    ways = [way for track in np.unique(rows.track) for way in _ways(rows, track, keep, gap)]
    lasting = [w for w in ways if w.extents[-1, 1] - w.extents[0, 0] >= shortest - 1e-9 and w.values.max() >= 0.5]
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
