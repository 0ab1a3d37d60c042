"""Which items to ask about first: those whose verdict teaches most; and which items look alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wherewhen.core.values import Floats, Masks

ALIKE = 0.95  # cosine of two features from which items are look-alikes


def clusters(features: ArrayLike, alike: float = ALIKE) -> NDArray[np.int64]:
    """Numbers ``(N,)`` of groups of look-alikes, from 0 on, for features ``(N, D)``.

    Each item joins the first group whose first item it resembles, by the cosine of both features; else it begins one
    (Hartigan 1975, leader algorithm). Groups don't change as items come.

    >>> clusters([[1.0, 0, 0], [0, 1, 0], [0.9, 0.1, 0], [0, 0, 1]]).tolist()
    [0, 1, 0, 2]
    """
    rows = np.asarray(features, np.float64)
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    leaders = np.empty_like(rows)
    groups, count = np.zeros(len(rows), np.int64), 0
    for number, row in enumerate(rows):
        alikes = np.flatnonzero(leaders[:count] @ row >= alike)
        if len(alikes):
            groups[number] = alikes[0]
            continue
        leaders[count], groups[number] = row, count
        count += 1
    return groups


def priorities(
    scores: Floats, thresholds: Floats, groups: Sequence[Hashable], places: Sequence[Hashable], judged: Masks
) -> Floats:
    """How much the verdict of each item would teach, from 0 to 1: uncertainty x diversity x novelty.

    Uncertainty falls from 1 at the threshold to 0 at the scores 0 and 1. Diversity is 1 / (1 + number of judged or more
    uncertain look-alikes), novelty the inverse root of that for camera and hour.

    Args:
        scores: highest score of each item, in [0, 1].
        thresholds: of the model, for each item.
        groups: look-alikes; None for an item that has none.
        places: camera and hour of each item.
        judged: which items have a verdict already; their priority is 0.

    >>> open = np.zeros(3, bool)
    >>> priorities(np.array([0.5, 0.5, 0.75]), np.full(3, 0.5), [1, 1, 2], ["a 1", "a 2", "a 3"], open).tolist()
    [1.0, 0.5, 0.5]
    """
    scores, thresholds = np.asarray(scores, np.float64), np.asarray(thresholds, np.float64)
    room = np.where(scores >= thresholds, 1 - thresholds, thresholds)
    uncertainty = (1 - np.abs(scores - thresholds) / np.maximum(room, 1e-9)).clip(0, 1)
    alike, nearby = Counter[Hashable](), Counter[Hashable]()
    result = np.zeros(len(scores))
    for number in sorted(range(len(scores)), key=lambda k: (not judged[k], -uncertainty[k])):
        group = ("single", number) if groups[number] is None else groups[number]
        if not judged[number]:
            novelty = (1 + nearby[places[number]]) ** -0.5
            result[number] = uncertainty[number] / (1 + alike[group]) * novelty
        alike[group] += 1
        nearby[places[number]] += 1
    return result
