"""Instances to predictions: scores with temporal context, boxes beside maps, joined time steps."""

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
    """Score the first of the named views with as much past and future of all of them as ``reach`` asks for.

    ``reach``: in seconds, None = all. What comes out covers the same stretches of the first view in the same order; a
    stretch waits until every view has come as far as it reaches. ValueError where a view has nothing there.
    """
    first = names[0]
    if reach is None:
        found: dict[str, list[Instances]] = {name: [] for name in names}
        for name, part in parts:
            found[name].append(part)
        whole = {name: join_instances(some) for name, some in found.items()}
        yield whole[first], score(whole)
        return
    if reach == 0 and len(names) == 1:
        for name, part in parts:
            yield part, score({name: part})
        return
    yield from _as_far_as(parts, score, reach, names)


def _as_far_as(
    parts: Iterable[Part], score: Scorer, reach: float, names: Sequence[str]
) -> Iterator[tuple[Instances, Features]]:
    first = names[0]
    windows: dict[str, deque[Instances]] = {name: deque() for name in names}
    come = dict.fromkeys(names, -np.inf)  # what is still to come of a view begins no earlier
    waiting: deque[Instances] = deque()

    def settle(part: Instances) -> tuple[Instances, Features]:
        start, end = _start(part) - reach, _end(part) + reach
        near = {name: [p for p in some if _end(p) > start and _start(p) < end] for name, some in windows.items()}
        if missing := [name for name, some in near.items() if not some]:
            raise ValueError(f"no {missing[0]} from {start:.2f} s to {end:.2f} s, which {first} there need")
        before = sum(len(p.features) for p in near[first][: next(i for i, p in enumerate(near[first]) if p is part)])
        values = score({name: join_instances(some) for name, some in near.items()})
        return part, values[before : before + len(part.features)]

    for name, part in parts:
        come[name] = _start(part)
        while waiting and _end(waiting[0]) + reach <= min(come.values()):
            yield settle(waiting.popleft())
        past = (_start(waiting[0]) if waiting else come[first]) - reach
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


def hand_in_hand(parts: Iterable[Part], boxes: Iterable[Boxes] | None) -> tuple[Iterator[Part], Iterator[Boxes] | None]:
    """The same two streams, where boxes are drawn as parts come; so pictures that wait for them stay few.

    A method may look at all parts before its first map asks for a box.
    """
    if boxes is None:
        return iter(parts), None
    coming, drawn = iter(boxes), deque[Boxes]()

    def passed() -> Iterator[Part]:
        last = -np.inf
        for part in parts:
            while last < _end(part[1]) and (own := next(coming, None)) is not None:
                drawn.append(own)
                last = own.start
            yield part

    def told() -> Iterator[Boxes]:
        while (own := drawn.popleft() if drawn else next(coming, None)) is not None:
            yield own

    return passed(), told()


def beside(maps: Iterable[HeatMap], boxes: Iterable[Boxes] | None) -> Iterator[HeatMap]:
    """Maps that start in rising order with the tracked boxes of all frames of their steps; a map waits for them.

    None leaves maps as they are. A box without a track number is nobody's and left out.
    """
    if boxes is None:
        yield from maps
        return
    coming, held = iter(boxes), deque[tuple[float, float, Scores]]()
    for piece in maps:
        while held and held[0][1] <= piece.edges[0] + ext.TICK:
            held.popleft()
        while not held or held[-1][0] < piece.edges[-1] - ext.TICK:
            if (own := next(coming, None)) is None:
                break
            held.append((own.start, own.end, _movers(own)))
        movers = (
            Scores.chained([rows for start, end, rows in held if start < b - ext.TICK and end > a + ext.TICK])
            for a, b in pairwise(piece.edges)
        )
        yield replace(piece, movers=tuple(movers))


def _movers(boxes: Boxes) -> Scores:
    """The tracked boxes of a frame, for as long as it lasts."""
    own = boxes.track >= 0
    rows = boxes.extents[own]
    rows[:, :2] = boxes.start, boxes.end
    return Scores(rows, boxes.values[own], boxes.track[own])


class PredictionJoiner:
    """The predictions of time steps as one, while they come; what grows large lies in files.

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

    def add(self, step: Prediction) -> None:
        """The next time steps."""
        self._events += step.events
        if step.boxes is not None and self._places:
            for spool, rows in zip(self._boxes, (step.boxes.extents, step.boxes.values, step.boxes.track), strict=True):
                spool.append(rows)
        if step.frames is None or step.heat is None:
            return
        self._starts.extend(step.frames.edges[:-1])
        self._scores.extend(step.frames.values[:, 0, 0])
        self._end = float(step.frames.edges[-1])
        for name, part in step.classes.items():
            self._shares.setdefault(name, array("f")).extend(part.values[:, 0, 0])
        if self._places:
            self._heat.append(np.asarray(step.heat.values))

    def whole(self) -> Prediction:
        """All of it; ValueError if there was no time step."""
        if not self._starts:
            raise ValueError("no predictions: the video has no time step")
        edges = np.array([*self._starts, self._end])
        scores = HeatMap(np.array(self._scores, np.float32), edges)
        shares = {name: HeatMap(np.array(values, np.float32), edges) for name, values in self._shares.items()}
        events = tuple(sorted(self._events, key=lambda e: (e.start, -e.score)))
        if not self._places:
            return Prediction(scores, events=events, classes=shares)
        heat: Any = self._heat.whole()
        boxes = Scores(*(spool.whole() for spool in self._boxes)) if self._boxes[0].parts else Scores.chained([])
        return Prediction(scores, HeatMap(heat, edges), boxes, events, shares)


def join_predictions(steps: Iterable[Prediction]) -> Prediction:
    """The predictions of all time steps as one, see `PredictionJoiner`; ValueError if there is none."""
    made = PredictionJoiner()
    for step in steps:
        made.add(step)
    return made.whole()
