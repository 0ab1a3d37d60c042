"""Events of an alarm: chains of regions, merged where they are adjacent, with scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from wherewhen.core import extents as ext
from wherewhen.core.values import Floats, Scores


def with_frame_score(boxes: Scores, score: float, peak: float) -> Scores:
    """Boxes of a step with their share of its frame score: in proportion to the box, the peak has all of it.

    ``peak``: the highest value of the step's map. So scores of events agree with the score of their alarm.

    >>> with_frame_score(Scores([[0, 1, 0, 0, 1, 1], [0, 1, 0, 0, 1, 1]], [0.4, 0.2]), 0.6, 0.4).values.tolist()
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
    """Chains, where those that overlap in time and are within ``gap`` of each other are joined: see `adjacent`.

    ``gap``: share of the picture. A joined chain has, for each step, the hull of the boxes and the highest score, and
    the track number of the best.
    """
    groups: list[list[Scores]] = []
    for part in parts:
        close = [group for group in groups if any(adjacent(part, other, gap) for other in group)]
        groups = [group for group in groups if not any(group is other for other in close)]
        groups.append([*(chain for group in close for chain in group), part])
    joined = [_joined(group) if len(group) > 1 else group[0] for group in groups]
    return sorted(joined, key=lambda chain: float(chain.extents[0, 0]))


def adjacent(chain: Scores, other: Scores, gap: float) -> bool:
    """Whether two chains share time, and their boxes there are typically no more than ``gap`` apart, side by side."""
    _, rows, other_rows = np.intersect1d(chain.extents[:, 0], other.extents[:, 0], return_indices=True)
    if not len(rows):
        return False
    return float(np.median(apart(chain.extents[rows], other.extents[other_rows]))) <= gap


def apart(boxes: Floats, other: Floats) -> Floats:
    """Share of the picture between boxes ``(N, 6)``, row by row: the wider gap of across and down, 0 if they touch.

    >>> apart(np.array([[0, 1, 0, 0, 0.2, 1]]), np.array([[0, 1, 0.5, 0.5, 1, 1]])).round(2).tolist()
    [0.3]
    """
    low, high = np.maximum(boxes[:, 2:4], other[:, 2:4]), np.minimum(boxes[:, 4:], other[:, 4:])
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
    """The rows with these indices."""
    return Scores(rows.extents[part], rows.values[part], rows.track[part])
