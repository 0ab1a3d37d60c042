"""Tube oracle: the best possible scores of the given tubes, from the ground truth; an upper bound for methods."""

from __future__ import annotations

import numpy as np

from wherewhen.baselines._grid import EXACT
from wherewhen.core import extents as ext
from wherewhen.core.contracts import Baseline
from wherewhen.core.values import Bag, Features, Floats, Truth


def overlaps(rows: Floats, truth: Floats) -> Floats:
    """IoU ``(R,)`` of boxes ``(R, 6)`` with the hull of the true boxes ``(N, 6)`` at their middle; NaN without one.

    >>> overlaps(np.array([[0, 1, 0, 0, 1, 1], [2, 3, 0, 0, 1, 1]]), np.array([[0, 1, 0, 0, 0.5, 1]])).tolist()
    [0.5, nan]
    """
    values = np.full(len(rows), np.nan)
    order = np.argsort(truth[:, 0], kind="stable")
    rising, longest = truth[order], float((truth[:, 1] - truth[:, 0]).max(initial=0))
    for number, row in enumerate(rows):
        middle = (row[0] + row[1]) / 2
        first, last = np.searchsorted(rising[:, 0], [middle - longest, middle], "right")
        now = rising[max(0, first - 1) : last]
        now = now[now[:, 1] > middle]
        if len(now):
            values[number] = ext.iou(row, ext.hull(now))
    return values


def scores(bag: Bag, truth: Truth, seed: int) -> Features:
    """For each mover its overlap with the truth as a whole, in all its parts that touch it; 0 elsewhere.

    Seconds of the truth and of the mover's boxes, weighted by IoU, over the seconds in which either has a box: S_loc of
    Wu et al., IJCAI 2021.
    """
    movers = bag.views["movers"]
    values = np.zeros(len(movers.features), np.float32)
    if movers.paths is None or not len(truth.boxes):
        return values
    rows, owner = movers.paths.rows.extents, movers.paths.rows.track
    overlap, length = overlaps(rows, truth.boxes), rows[:, 1] - rows[:, 0]
    seconds = _covered(truth)
    touched = np.bincount(owner, np.nan_to_num(overlap), len(values)) > 0
    for track in np.unique(movers.track):
        of_track = movers.track[owner] == track
        alone = length[of_track & np.isnan(overlap)].sum()
        share = float((np.nan_to_num(overlap) * length)[of_track].sum()) / (seconds + alone)
        values[(movers.track == track) & touched] = share
    return values


def _covered(truth: Truth) -> float:
    """Seconds in which there is any true box."""
    spans, until, total = truth.boxes[np.argsort(truth.boxes[:, 0]), :2], -np.inf, 0.0
    for start, end in spans:
        total += max(0.0, float(end) - max(float(start), until))
        until = max(until, float(end))
    return total


PLUGIN = Baseline(
    None, "the ground truth, as scores of the proposed tubes", scores=scores, settings=EXACT, needs=("boxes",)
)
