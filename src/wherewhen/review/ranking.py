"""The order of the queue in the database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from wherewhen.core.database import Tables
from wherewhen.core.values import Floats
from wherewhen.review.judged import LABEL, SEARCH, hour_of
from wherewhen.review.order import LEAST, priorities, uncertainty

AUDITS = 20  # one item in so many is a random span below the threshold


def rank(tables: Tables) -> int:
    """Set the priorities of all items that wait for a verdict; how many changed.

    Random spans below the threshold are spread evenly through the queue: their scores must not choose them.
    """
    rows = tables.rows(
        "SELECT id, score, threshold, cluster, camera, clock, t0, video, source, priority, verdict IS NOT NULL "
        "FROM item WHERE (review = 'open' OR verdict IS NOT NULL) AND repeat_of IS NULL ORDER BY id"
    )
    scored = [row for row in rows if row[8] != "audit"]
    values = priorities(
        _worth(scored), [row[3] for row in scored], [(row[4], hour_of(*row[5:8])) for row in scored],
        np.array([row[10] for row in scored], bool),
    ).tolist()  # fmt: skip
    new = {row[0]: value for row, value in zip(scored, values, strict=True) if not row[10]}
    falling = sorted(new.values(), reverse=True)
    audits = [row[0] for row in rows if row[8] == "audit" and not row[10]]  # in the order of their ids, which is random
    for number, id in enumerate(audits):
        new[id] = _at(falling, (number + 0.5) * len(falling) / len(audits))
    changed = [(new[row[0]], row[0]) for row in rows if row[0] in new and abs(new[row[0]] - row[9]) > 1e-9]
    with tables.transaction() as changes:
        changes.executemany("UPDATE item SET priority = ? WHERE id = ?", changed)
    return len(changed)


def _worth(rows: Sequence[Sequence[Any]]) -> Floats:
    """What each item is worth by itself: of a label, how far the score contradicts it, and of a search, the score.

    ``rows``: with score, threshold and source at 1, 2 and 8.
    """
    scores, thresholds = (np.array([row[number] for row in rows], np.float64) for number in (1, 2))
    uncertain, sources = uncertainty(scores, thresholds), np.array([row[8] for row in rows])
    worth: Floats = np.where(sources == LABEL, 1 + LEAST - uncertain, uncertain)
    return np.where(sources == SEARCH, scores.clip(LEAST, 1), worth)


def _at(falling: Sequence[float], place: float) -> float:
    """The priority at a place of the queue."""
    return falling[min(int(place), len(falling) - 1)] if falling else 0.0
