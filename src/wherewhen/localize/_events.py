"""Events of an alarm: chains of regions, merged where they belong together, with a score each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from wherewhen.core import extents as ext
from wherewhen.core.values import Floats, Scores


def told(boxes: Scores, score: float, peak: float) -> Scores:
    """Boxes of a step with their share of its frame score: the best place has all of it, half as hot a one has half.

    ``peak``: the highest value of the step's map. So what an event says agrees with the alarm that it belongs to.

    >>> told(Scores([[0, 1, 0, 0, 1, 1], [0, 1, 0, 0, 1, 1]], [0.4, 0.2]), 0.6, 0.4).values.tolist()
    [0.6, 0.3]
    """
    share = boxes.values / peak if peak > 0 else np.ones(len(boxes.values))
    return replace(boxes, values=score * share.clip(0, 1))


def chains(rows: Scores, keep: float) -> list[Scores]:
    """The rows of each track that score ``keep``, in order of time; tracks in the order in which they begin."""
    hot = np.flatnonzero(rows.values >= keep)
    order = hot[np.argsort(rows.extents[hot, 0], kind="stable")]
    parts = [order[rows.track[order] == track] for track in dict.fromkeys(rows.track[order].tolist())]
    return [picked(rows, part) for part in parts]


def best(rows: Scores) -> Scores:
    """The best row of each step, the first of equal ones."""
    order = np.lexsort((-rows.values, rows.extents[:, 0]))
    _, first = np.unique(rows.extents[order, 0], return_index=True)
    return picked(rows, order[first])


def merged(parts: Sequence[Scores], gap: float) -> list[Scores]:
    """Chains, where those that overlap in time and lie within ``gap`` of each other are one: see `near`.

    ``gap``: share of the picture. The one has, of each step, the hull of their boxes and the highest of their scores,
    and the track number of the best.
    """
    groups: list[list[Scores]] = []
    for part in parts:
        close = [group for group in groups if any(near(part, other, gap) for other in group)]
        groups = [group for group in groups if not any(group is one for one in close)]
        groups.append([*(one for group in close for one in group), part])
    found = [_joined(group) if len(group) > 1 else group[0] for group in groups]
    return sorted(found, key=lambda chain: float(chain.extents[0, 0]))


def near(one: Scores, other: Scores, gap: float) -> bool:
    """Whether two chains share time, and their boxes there are typically no more than ``gap`` apart, side by side."""
    _, own, its = np.intersect1d(one.extents[:, 0], other.extents[:, 0], return_indices=True)
    if not len(own):
        return False
    return float(np.median(apart(one.extents[own], other.extents[its]))) <= gap


def apart(one: Floats, other: Floats) -> Floats:
    """Share of the picture between boxes ``(N, 6)``, row by row: the wider gap of across and down, 0 if they touch.

    >>> apart(np.array([[0, 1, 0, 0, 0.2, 1]]), np.array([[0, 1, 0.5, 0.5, 1, 1]])).round(2).tolist()
    [0.3]
    """
    low, high = np.maximum(one[:, 2:4], other[:, 2:4]), np.minimum(one[:, 4:], other[:, 4:])
    gaps: Floats = (low - high).clip(0).max(1)
    return gaps


def _joined(group: Sequence[Scores]) -> Scores:
    rows = Scores.chained(group)
    _, place = np.unique(rows.extents[:, 0], return_inverse=True)
    parts = [np.flatnonzero(place == number) for number in range(place.max() + 1)]
    hulls = np.stack([ext.hull(rows.extents[part]) for part in parts])
    track = int(rows.track[rows.values.argmax()])
    return Scores(hulls, np.array([rows.values[part].max() for part in parts]), np.full(len(parts), track))


def picked(rows: Scores, part: NDArray[np.int64]) -> Scores:
    """Some of the rows, by their numbers."""
    return Scores(rows.extents[part], rows.values[part], rows.track[part])
