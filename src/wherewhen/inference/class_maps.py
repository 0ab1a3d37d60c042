"""Classes of events by the likelihoods at their place, and scores of frames for each class.

Both are one stage of the stream.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from wherewhen.core import extents as ext
from wherewhen.core.contracts import Localizer
from wherewhen.core.values import Boxes, Event, Features, Floats, HeatMap, Instances, Prediction
from wherewhen.inference.score_maps import pictures
from wherewhen.inference.scoring import beside

SHARP = 4  # power of a place's score with which it has a say in an event's name
SLACK = 60.0  # seconds that a localizer may take to tell of it


@dataclass(frozen=True, slots=True, eq=False)
class ClassMap:
    """Likelihoods of C classes on a grid: values ``(T, h, w, C)``, T + 1 time edges in seconds.

    ``detail``: how much moves, on a finer raster ``(T, H, W)``. ``scores``: how odd it is at all ``(T, h, w)``, where
    that is known better than by the sum of classes.
    """

    values: Features
    edges: Floats
    detail: Features | None = None
    scores: Features | None = None

    @property
    def heat(self) -> HeatMap:
        """Any class at all."""
        any_of = self.values.sum(-1).clip(0, 1) if self.scores is None else self.scores
        return HeatMap(any_of, self.edges, self.detail)

    @property
    def totals(self) -> Floats:
        """How much of each class there is in each picture ``(T, C)``; odd places count sharply."""
        values: Floats = self.values.astype(np.float64)
        if self.scores is None:
            values *= values.sum(-1, keepdims=True).clip(0, 1) ** (SHARP - 1)
        totals: Floats = values.sum((1, 2))
        return totals


def class_maps(answered: Iterable[tuple[Instances, Features]]) -> Iterator[ClassMap]:
    """Scores and likelihoods of classes ``(N, 1 + C)`` of instances as maps, a time step at a time.

    A class counts by how odd it is there, sharply: where nothing is, some class always is the likeliest.
    """
    for span, picture, detail in pictures(answered):
        weight = picture[None, ..., :1] ** SHARP
        yield ClassMap(picture[None, ..., 1:] * weight, span, detail, picture[None, ..., 0])


def named(
    pieces: Iterable[ClassMap], localizer: Localizer, classes: Sequence[str], movers: Iterable[Boxes] | None = None
) -> Iterator[Prediction]:
    """Predictions of a localizer, each event with the class that has most likelihood in its boxes.

    ``movers``: tracked frames that come beside the maps. Frame scores are divided among the classes by `Shares`. Only
    as much of the past is kept as an event can last.
    """
    longest = float(localizer.config.longest_seconds) + SLACK
    recent: deque[ClassMap] = deque()
    shares = Shares(len(classes))

    def heard() -> Iterator[HeatMap]:
        for piece in pieces:
            recent.append(ClassMap(piece.values.astype(np.float16), piece.edges))
            shares.hear(piece)
            while recent[0].edges[-1] < piece.edges[0] - longest:
                recent.popleft()
            yield piece.heat

    for prediction in localizer(beside(heard(), movers)):
        told = tuple(replace(event, category=classes[winner(event, recent)]) for event in prediction.events)
        by_class = {} if prediction.frames is None else dict(zip(classes, shares.of(prediction.frames), strict=True))
        yield replace(prediction, events=told, classes=by_class)


class Shares:
    """Divides frame scores among C classes, by how much of each there is in the pictures of that time.

    So the scores of all classes add up to the frame's own. What was last seen holds on; of nothing at all every class
    has the same.
    """

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.seen: deque[tuple[float, float, Floats]] = deque()

    def hear(self, piece: ClassMap) -> None:
        """What is seen next, in order of time."""
        self.seen.extend(zip(piece.edges[:-1].tolist(), piece.edges[1:].tolist(), piece.totals, strict=True))

    def of(self, frames: HeatMap) -> Iterator[HeatMap]:
        """Frame scores of each class; no later call asks for an earlier time."""
        steps = [self._share(start, end) for start, end in pairwise(frames.edges.tolist())]
        for values in np.stack(steps, 1):
            yield HeatMap(frames.values * values[:, None, None].astype(np.float32), frames.edges)

    def _share(self, start: float, end: float) -> Floats:
        """The part of each class ``(C,)`` of what is seen from ``start`` to ``end``, in seconds."""
        while len(self.seen) > 1 and self.seen[0][1] <= start:
            if self.seen[1][0] >= end:
                break
            self.seen.popleft()
        near = [(min(end, e) - max(start, s), total) for s, e, total in self.seen if s < end and e > start]
        if not near and self.seen:
            near = [(1.0, self.seen[0][2])]
        total = sum((lasts * one for lasts, one in near), np.zeros(self.classes))
        if not total.sum() > 0:
            return np.full(self.classes, 1 / self.classes)
        return np.asarray(total / total.sum())


def winner(event: Event, maps: Iterable[ClassMap]) -> int:
    """The class that has most likelihood, by time and area, where and when an event is."""
    total: Floats = np.zeros(0)
    for piece in maps:
        near = event.extents[(event.extents[:, 0] < piece.edges[-1]) & (event.extents[:, 1] > piece.edges[0])]
        for row in near:
            shared = np.minimum(row[1], piece.edges[1:]) - np.maximum(row[0], piece.edges[:-1])
            h, w = piece.values.shape[1:3]
            down, across = ext.shares(row[None, [3, 5]], h)[0], ext.shares(row[None, [2, 4]], w)[0]
            values = piece.values.astype(np.float64)
            found = np.einsum("t,r,c,trcv->v", shared.clip(0), down, across, values, optimize=True)
            total = total + found if len(total) else found
    return int(total.argmax()) if len(total) else 0
