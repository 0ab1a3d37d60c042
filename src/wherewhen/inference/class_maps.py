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

SHARP = 4  # power of a cell's score that weights its classes
SLACK = 60.0  # seconds by which a localizer may report an event late


@dataclass(frozen=True, slots=True, eq=False)
class ClassMap:
    """Likelihoods of C classes on a grid: values ``(T, h, w, C)``, T + 1 time edges in seconds.

    ``detail``: amount of motion on a finer raster ``(T, H, W)``. ``scores``: anomaly scores ``(T, h, w)``; None: the
    sum over the classes.
    """

    values: Features
    edges: Floats
    detail: Features | None = None
    scores: Features | None = None

    @property
    def heat(self) -> HeatMap:
        """Heat map of the anomaly scores of all classes together."""
        scores = self.values.sum(-1).clip(0, 1) if self.scores is None else self.scores
        return HeatMap(scores, self.edges, self.detail)

    @property
    def totals(self) -> Floats:
        """Amount of each class in each picture ``(T, C)``, weighted by the power `SHARP` of the scores."""
        values: Floats = self.values.astype(np.float64)
        if self.scores is None:
            values *= values.sum(-1, keepdims=True).clip(0, 1) ** (SHARP - 1)
        totals: Floats = values.sum((1, 2))
        return totals


def class_maps(answered: Iterable[tuple[Instances, Features]]) -> Iterator[ClassMap]:
    """Scores and likelihoods of classes ``(N, 1 + C)`` of instances as maps, a time step at a time.

    Likelihoods are weighted by the power `SHARP` of the score: without an anomaly they mean nothing.
    """
    for span, picture, detail in pictures(answered):
        weight = picture[None, ..., :1] ** SHARP
        yield ClassMap(picture[None, ..., 1:] * weight, span, detail, picture[None, ..., 0])


def named(
    pieces: Iterable[ClassMap], localizer: Localizer, classes: Sequence[str], movers: Iterable[Boxes] | None = None
) -> Iterator[Prediction]:
    """Predictions of a localizer, each event with the class that has most likelihood in its boxes.

    ``movers``: tracked boxes of the frames of the maps. Frame scores are divided among the classes by `Shares`. Maps
    are kept for the longest duration of an event.
    """
    longest = float(localizer.config.longest_seconds) + SLACK
    recent: deque[ClassMap] = deque()
    shares = Shares(len(classes))

    def heat_maps() -> Iterator[HeatMap]:
        for piece in pieces:
            recent.append(ClassMap(piece.values.astype(np.float16), piece.edges))
            shares.add(piece)
            while recent[0].edges[-1] < piece.edges[0] - longest:
                recent.popleft()
            yield piece.heat

    for prediction in localizer(beside(heat_maps(), movers)):
        events = tuple(replace(event, category=classes[winner(event, recent)]) for event in prediction.events)
        by_class = {} if prediction.frames is None else dict(zip(classes, shares.of(prediction.frames), strict=True))
        yield replace(prediction, events=events, classes=by_class)


class Shares:
    """Divides frame scores among C classes, by the amount of each class in the pictures of that time.

    The scores of the classes add up to the frame's score. Without pictures of that time the last ones count; without
    any likelihood all classes have equal shares.
    """

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.steps: deque[tuple[float, float, Floats]] = deque()

    def add(self, piece: ClassMap) -> None:
        """Add the next map, in order of time."""
        self.steps.extend(zip(piece.edges[:-1].tolist(), piece.edges[1:].tolist(), piece.totals, strict=True))

    def of(self, frames: HeatMap) -> Iterator[HeatMap]:
        """Frame scores of each class; times of successive calls must not decrease."""
        steps = [self._share(start, end) for start, end in pairwise(frames.edges.tolist())]
        for values in np.stack(steps, 1):
            yield HeatMap(frames.values * values[:, None, None].astype(np.float32), frames.edges)

    def _share(self, start: float, end: float) -> Floats:
        """The share of each class ``(C,)`` from ``start`` to ``end``, in seconds."""
        while len(self.steps) > 1 and self.steps[0][1] <= start:
            if self.steps[1][0] >= end:
                break
            self.steps.popleft()
        overlaps = [(min(end, e) - max(start, s), total) for s, e, total in self.steps if s < end and e > start]
        if not overlaps and self.steps:
            overlaps = [(1.0, self.steps[0][2])]
        total = sum((seconds * values for seconds, values in overlaps), np.zeros(self.classes))
        if not total.sum() > 0:
            return np.full(self.classes, 1 / self.classes)
        return np.asarray(total / total.sum())


def winner(event: Event, maps: Iterable[ClassMap]) -> int:
    """Index of the class with the largest likelihood in the extents of an event, weighted by time and area."""
    total: Floats = np.zeros(0)
    for piece in maps:
        extents = event.extents[(event.extents[:, 0] < piece.edges[-1]) & (event.extents[:, 1] > piece.edges[0])]
        for row in extents:
            shared = np.minimum(row[1], piece.edges[1:]) - np.maximum(row[0], piece.edges[:-1])
            h, w = piece.values.shape[1:3]
            down, across = ext.shares(row[None, [3, 5]], h)[0], ext.shares(row[None, [2, 4]], w)[0]
            values = piece.values.astype(np.float64)
            likelihoods = np.einsum("t,r,c,trcv->v", shared.clip(0), down, across, values, optimize=True)
            total = total + likelihoods if len(total) else likelihoods
    return int(total.argmax()) if len(total) else 0
