"""Instances to predictions: scores with temporal context, boxes for maps, joined time steps."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from wherewhen.core import extents as ext
from wherewhen.core.spill import Packed, Spool
from wherewhen.core.values import Boxes, Event, Features, HeatMap, Instances, Prediction, Scores
from wherewhen.extraction.assembly import Part, join_instances

Scorer = Callable[[Mapping[str, Instances]], Features]


def scored(
    parts: Iterable[Part], score: Scorer, reach: float | None, names: Sequence[str]
) -> Iterator[tuple[Instances, Features]]:
    """Score the first of the named views with ``reach`` seconds of past and future of all of them.

    ``reach``: None = the whole video. The output covers the same stretches of the first view in the same order; a
    stretch waits until every view covers its context. ValueError where a view has no instances there.
    """
    first = names[0]
    if reach is None:
        instances: dict[str, list[Instances]] = {name: [] for name in names}
        for name, part in parts:
            instances[name].append(part)
        whole = {name: join_instances(sets) for name, sets in instances.items()}
        yield whole[first], score(whole)
        return
    if reach == 0 and len(names) == 1:
        for name, part in parts:
            yield part, score({name: part})
        return
    yield from _scored_with_context(parts, score, reach, names)


def _scored_with_context(
    parts: Iterable[Part], score: Scorer, reach: float, names: Sequence[str]
) -> Iterator[tuple[Instances, Features]]:
    first = names[0]
    windows: dict[str, deque[Instances]] = {name: deque() for name in names}
    latest = dict.fromkeys(names, -np.inf)  # later stretches of a view start no earlier
    waiting: deque[Instances] = deque()

    def settle(part: Instances) -> tuple[Instances, Features]:
        start, end = _start(part) - reach, _end(part) + reach
        context = {name: [p for p in sets if _end(p) > start and _start(p) < end] for name, sets in windows.items()}
        if missing := [name for name, sets in context.items() if not sets]:
            raise ValueError(f"no {missing[0]} from {start:.2f} s to {end:.2f} s, which {first} there need")
        before = sum(
            len(p.features) for p in context[first][: next(i for i, p in enumerate(context[first]) if p is part)]
        )
        values = score({name: join_instances(sets) for name, sets in context.items()})
        return part, values[before : before + len(part.features)]

    for name, part in parts:
        latest[name] = _start(part)
        while waiting and _end(waiting[0]) + reach <= min(latest.values()):
            yield settle(waiting.popleft())
        past = (_start(waiting[0]) if waiting else latest[first]) - reach
        for window in windows.values():
            while window and _end(window[0]) <= past:
                window.popleft()
        windows[name].append(part)
        if name == first:
            waiting.append(part)
    for part in waiting:
        yield settle(part)


def _start(part: Instances) -> float:
    return float(part.extents[0, 0])


def _end(part: Instances) -> float:
    return float(part.extents[:, 1].max())


def interleaved(parts: Iterable[Part], boxes: Iterable[Boxes] | None) -> tuple[Iterator[Part], Iterator[Boxes] | None]:
    """The same two streams; boxes are read along with the parts, so that few decoded pictures wait for them.

    A method may read all parts before its first map needs a box.
    """
    if boxes is None:
        return iter(parts), None
    unread, buffered = iter(boxes), deque[Boxes]()

    def parts_and_boxes() -> Iterator[Part]:
        last = -np.inf
        for part in parts:
            while last < _end(part[1]) and (frame_boxes := next(unread, None)) is not None:
                buffered.append(frame_boxes)
                last = frame_boxes.start
            yield part

    def buffered_boxes() -> Iterator[Boxes]:
        while (frame_boxes := buffered.popleft() if buffered else next(unread, None)) is not None:
            yield frame_boxes

    return parts_and_boxes(), buffered_boxes()


def beside(maps: Iterable[HeatMap], boxes: Iterable[Boxes] | None) -> Iterator[HeatMap]:
    """Maps in order of time with the tracked boxes of the frames of their steps; a map waits for its boxes.

    None leaves the maps unchanged. Boxes without a track number are left out.
    """
    if boxes is None:
        yield from maps
        return
    coming, window = iter(boxes), deque[tuple[float, float, Scores]]()
    for piece in maps:
        while window and window[0][1] <= piece.edges[0] + ext.TICK:
            window.popleft()
        while not window or window[-1][0] < piece.edges[-1] - ext.TICK:
            if (frame_boxes := next(coming, None)) is None:
                break
            window.append((frame_boxes.start, frame_boxes.end, _movers(frame_boxes)))
        movers = (
            Scores.chained([rows for start, end, rows in window if start < b - ext.TICK and end > a + ext.TICK])
            for a, b in pairwise(piece.edges)
        )
        yield replace(piece, movers=tuple(movers))


def _movers(boxes: Boxes) -> Scores:
    """The tracked boxes of a frame, with its start and end."""
    is_tracked = boxes.track >= 0
    rows = boxes.extents[is_tracked]
    rows[:, :2] = boxes.start, boxes.end
    return Scores(rows, boxes.values[is_tracked], boxes.track[is_tracked])


class PredictionJoiner:
    """Joins the predictions of time steps; large arrays are written to temporary files.

    ``exact``: heat maps keep their precision however many they are, else see `Packed`. ``places``: whether heat maps
    and boxes are kept at all.
    """

    def __init__(self, exact: bool = True, places: bool = True) -> None:
        self._places = places
        self._heat: Spool | Packed = Spool() if exact else Packed()
        self._boxes = (Spool(), Spool(), Spool())  # extents, values, track
        self._starts, self._scores, self._end = array("d"), array("f"), 0.0
        self._shares: dict[str, array[float]] = {}
        self._events: list[Event] = []
        self._threshold = 0.5

    def add(self, step: Prediction) -> None:
        """Add the next time steps."""
        self._events += step.events
        if step.boxes is not None and self._places:
            for spool, rows in zip(self._boxes, (step.boxes.extents, step.boxes.values, step.boxes.track), strict=True):
                spool.append(rows)
        if step.frames is None or step.heat is None:
            return
        self._threshold = step.threshold
        self._starts.extend(step.frames.edges[:-1])
        self._scores.extend(step.frames.values[:, 0, 0])
        self._end = float(step.frames.edges[-1])
        for name, part in step.classes.items():
            self._shares.setdefault(name, array("f")).extend(part.values[:, 0, 0])
        if self._places:
            self._heat.append(np.asarray(step.heat.values))

    def whole(self) -> Prediction:
        """All time steps as one; ValueError without any."""
        if not self._starts:
            raise ValueError("no predictions: the video has no time step")
        edges = np.array([*self._starts, self._end])
        scores = HeatMap(np.array(self._scores, np.float32), edges)
        shares = {name: HeatMap(np.array(values, np.float32), edges) for name, values in self._shares.items()}
        events = tuple(sorted(self._events, key=lambda e: (e.start, -e.score)))
        if not self._places:
            return Prediction(scores, events=events, classes=shares, threshold=self._threshold)
        heat: Any = self._heat.whole()
        boxes = Scores(*(spool.whole() for spool in self._boxes)) if self._boxes[0].parts else Scores.chained([])
        return Prediction(scores, HeatMap(heat, edges), boxes, events, shares, self._threshold)


def join_predictions(steps: Iterable[Prediction]) -> Prediction:
    """The predictions of all time steps as one, see `PredictionJoiner`; ValueError if there is none."""
    joiner = PredictionJoiner()
    for step in steps:
        joiner.add(step)
    return joiner.whole()
