"""Which items to ask about first: those whose verdict teaches most; and which items look alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np

from wherewhen.core.values import Features, Floats, Masks

ALIKE = 0.95  # cosine of two features from which items are look-alikes
LEAST = 0.05  # uncertainty of the most certain item: its verdict can be a surprise too


class Groups:
    """Groups of look-alikes, which don't change as items come: each has a leader, its first item.

    An item joins the group of its camera whose leader it resembles most, by the cosine of both features, if that is
    0.95 or more; else it leads a new one (Hartigan 1975, leader algorithm).

    >>> groups = Groups()
    >>> [groups.add("yard", np.array(row)) for row in ([1.0, 0, 0], [0, 1, 0], [0.9, 0.1, 0])]
    [1, 2, 1]
    """

    def __init__(self, newest: int = 0) -> None:
        self._leaders: dict[str, tuple[list[int], list[Features]]] = {}
        self._newest = newest  # the highest number of a group

    def lead(self, camera: str, number: int, feature: Features) -> None:
        """Note the leader of a group that exists; ``feature``: ``(D,)``."""
        numbers, leaders = self._leaders.setdefault(camera, ([], []))
        numbers.append(number)
        leaders.append(_unit(feature))

    def add(self, camera: str, feature: Features) -> int:
        """The number of the group that an item of a camera with this feature ``(D,)`` joins or leads."""
        numbers, leaders = self._leaders.get(camera, ([], []))
        likeness = np.stack(leaders) @ _unit(feature) if leaders else np.empty(0)
        if len(likeness) and likeness.max() >= ALIKE:
            return numbers[int(likeness.argmax())]
        self._newest += 1
        self.lead(camera, self._newest, feature)
        return self._newest


def _unit(feature: Features) -> Features:
    unit: Features = feature / max(float(np.linalg.norm(feature)), 1e-12)
    return unit


def uncertainty(scores: Floats, thresholds: Floats) -> Floats:
    """How uncertain a model is of items ``(N,)``: from 1 at the threshold down to 0.05 at the scores 0 and 1.

    ``scores``, ``thresholds``: ``(N,)`` in [0, 1].

    >>> uncertainty(np.array([0.25, 0.5, 0.75]), np.full(3, 0.5)).tolist()
    [0.525, 1.0, 0.525]
    """
    room = np.where(scores >= thresholds, 1 - thresholds, thresholds)
    distance = (np.abs(scores - thresholds) / np.maximum(room, 1e-9)).clip(0, 1)
    values: Floats = 1 - (1 - LEAST) * distance
    return values


def priorities(worth: Floats, groups: Sequence[Hashable], places: Sequence[Hashable], judged: Masks) -> Floats:
    """How much the verdict of each item would teach, from 0 to 1: worth x diversity x novelty.

    Diversity is 1 / (1 + number of judged or worthier look-alikes), novelty the inverse root of that for camera and
    hour.

    Args:
        worth: of each item by itself, above 0, such as its `uncertainty`.
        groups: look-alikes; None for an item that has none.
        places: camera and hour of each item.
        judged: which items have a verdict already; their priority is 0.

    >>> open = np.zeros(3, bool)
    >>> priorities(np.array([1.0, 1.0, 0.5]), [1, 1, 2], ["a 1", "a 2", "a 3"], open).tolist()
    [1.0, 0.5, 0.5]
    """
    alike, nearby = Counter[Hashable](), Counter[Hashable]()
    result = np.zeros(len(worth))
    for number in sorted(range(len(worth)), key=lambda k: (not judged[k], -worth[k])):
        group = ("single", number) if groups[number] is None else groups[number]
        if not judged[number]:
            novelty = (1 + nearby[places[number]]) ** -0.5
            result[number] = worth[number] / (1 + alike[group]) * novelty
        alike[group] += 1
        nearby[places[number]] += 1
    return result
