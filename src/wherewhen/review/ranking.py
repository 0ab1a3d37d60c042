"""The order of the queue: what teaches most is shown first."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from wherewhen.core.database import Tables
from wherewhen.core.values import Floats
from wherewhen.review.judged import hour_of

LEAST = 0.05  # uncertainty of a score that is far from the threshold: such items come last, and come
AUDITS = 20  # one item in so many is a random span below the threshold


def priorities(
    scores: ArrayLike, thresholds: ArrayLike, groups: Sequence[Hashable], places: Sequence[Hashable],
    judged_groups: Sequence[Hashable] = (), judged_places: Sequence[Hashable] = (),
) -> Floats:  # fmt: skip
    """How much a verdict on each item teaches: uncertainty x diversity x novelty, each from 0 to 1.

    Uncertainty falls with the distance of a score from its threshold. Diversity is 1 / (1 + k), where k items of the
    same look-alike group were judged or are more uncertain; novelty is the square root of that, for the same camera and
    hour.

    Args:
        scores: of N items, from 0 to 1 ``(N,)``.
        thresholds: of the alerts ``(N,)``.
        groups: look-alike group of each item; None: it is like no other.
        places: camera and hour of each item.
        judged_groups: groups of the items that were judged already, one entry for each.
        judged_places: the same for camera and hour.

    Returns:
        Priorities ``(N,)``, the highest first.

    >>> priorities([0.5, 0.5, 0.9], [0.5] * 3, ["cat", "cat", "rain"], [1, 2, 3]).round(2).tolist()
    [1.0, 0.5, 0.2]
    """
    values, limits = np.asarray(scores, np.float64), np.asarray(thresholds, np.float64)
    distance = np.abs(values - limits) / np.maximum(np.maximum(limits, 1 - limits), 1e-9)
    uncertainty = np.maximum(1 - distance, LEAST)
    order = np.argsort(-uncertainty, kind="stable")
    diversity = 1 / (1 + _before(groups, judged_groups, order))
    novelty = 1 / np.sqrt(1 + _before(places, judged_places, order))
    product: Floats = uncertainty * diversity * novelty
    return product


def _before(names: Sequence[Hashable], judged: Sequence[Hashable], order: np.ndarray) -> Floats:
    """How many items of the same name were judged or come earlier in the order; 0 for None."""
    counts: dict[Hashable, int] = {}
    for name in judged:
        counts[name] = counts.get(name, 0) + 1
    numbers = np.zeros(len(names))
    for place in order.tolist():
        name = names[place]
        if name is not None:
            numbers[place] = counts.get(name, 0)
            counts[name] = counts.get(name, 0) + 1
    return numbers


def rank(tables: Tables) -> int:
    """Set the priorities of all items that wait for a verdict; how many changed.

    Random spans below the threshold are spread evenly through the queue: their scores must not choose them.
    """
    rows = tables.rows(
        "SELECT id, score, threshold, cluster, camera, clock, t0, video, source, priority FROM item "
        "WHERE review = 'open' AND repeat_of IS NULL AND source NOT IN ('label', 'search') ORDER BY id"
    )
    judged = tables.rows("SELECT cluster, camera, clock, t0, video FROM item WHERE verdict IS NOT NULL")
    asked = [row for row in rows if row[8] != "audit"]
    values = priorities(
        [row[1] for row in asked], [row[2] for row in asked], [row[3] for row in asked],
        [(row[4], hour_of(*row[5:8])) for row in asked],
        [row[0] for row in judged if row[0] is not None], [(row[1], hour_of(*row[2:5])) for row in judged],
    ).tolist()  # fmt: skip
    falling = sorted(values, reverse=True)
    audits = sorted(row[0] for row in rows if row[8] == "audit")  # their ids are random
    spread = {id: _between(falling, (number + 0.5) * len(falling) / len(audits)) for number, id in enumerate(audits)}
    new = spread | {row[0]: value for row, value in zip(asked, values, strict=True)}
    changed = [(new[row[0]], row[0]) for row in rows if abs(new[row[0]] - row[9]) > 1e-9]
    with tables.transaction() as changes:
        changes.executemany("UPDATE item SET priority = ? WHERE id = ?", changed)
    return len(changed)


def _between(falling: Sequence[float], place: float) -> float:
    """The priority of a place in the queue."""
    return falling[min(int(place), len(falling) - 1)] if falling else 0.0
