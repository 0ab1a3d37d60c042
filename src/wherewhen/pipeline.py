"""The whole toolkit in one sentence; every stage is an iterator over an iterator.

    frames(source) -> clips -> features(backbone) -> instances(builder) -> scores(method) -> events(localizer)

A file is a camera that ends: there is no second path.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise, tee
from pathlib import Path
from typing import Any

import numpy as np

from wherewhen import extents as ext
from wherewhen import watching
from wherewhen.contracts import Backbone, Builder
from wherewhen.spool import Packed, Spool
from wherewhen.values import (
    Boxes,
    Event,
    Features,
    Floats,
    Frame,
    Grid,
    HeatMap,
    Instances,
    Paths,
    Prediction,
    Scores,
    Video,
)

Part = tuple[str, Instances]  # of a view with this name


def instances(
    video: Video | str | Path, backbone: Backbone, builder: Builder, *, crops: int = 1, gate: float = 0.0
) -> Iterator[Instances]:
    """Instances of a video, a clip at a time: what extraction keeps and detection scores."""
    pictures = watching.frames(video, backbone.clip, crops)
    seen = watching.grids(watching.clips(pictures, backbone.clip), backbone, crops=crops, gate=gate)
    return built(seen, builder, crops)


def views(
    pictures: Iterable[Frame],
    backbone: Backbone,
    builders: Mapping[str, Builder],
    boxes: Mapping[str, Iterable[Boxes]] | None = None,
    *,
    crops: int = 1,
    gate: float = 0.0,
) -> Iterator[Part]:
    """Instances of pictures as several views, each a stretch of time at a time with the name of its view.

    ``boxes``: tracked frames of the same video for the views that want to see them.
    """
    seen = watching.grids(watching.clips(pictures, backbone.clip), backbone, crops=crops, gate=gate)
    return several(seen, builders, crops, boxes)


def accompanied(stream: Iterable[Grid], boxes: Iterable[Boxes]) -> Iterator[Grid]:
    """Grids with the tracked frames that begin before their end, each frame with one grid; a grid waits for them."""
    coming = iter(boxes)
    held = next(coming, None)
    for grid in stream:
        own = []
        while held is not None and held.start < grid.span[1] - ext.TICK:
            own.append(held)
            held = next(coming, None)
        yield replace(grid, boxes=tuple(own))


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


def several(
    stream: Iterable[Grid],
    builders: Mapping[str, Builder],
    crops: int = 1,
    boxes: Mapping[str, Iterable[Boxes]] | None = None,
) -> Iterator[Part]:
    """What several builders make of the same grids, which are made once; whoever has seen least goes on first.

    ``boxes``: what grids come with, for each builder that wants to see any.
    """
    pulled = dict.fromkeys(builders, 0)
    sights = boxes or {}

    def counted(name: str, grids: Iterator[Grid]) -> Iterator[Grid]:
        for grid in grids:
            pulled[name] += 1
            yield grid

    copies = zip(builders.items(), tee(stream, len(builders)), strict=True)
    told = {
        name: (builder, accompanied(copy, sights[name]) if name in sights else copy) for (name, builder), copy in copies
    }
    running = {name: built(counted(name, copy), builder, crops) for name, (builder, copy) in told.items()}
    while running:
        name = min(running, key=lambda one: pulled[one])
        part = next(running[name], None)
        if part is None:
            del running[name]
        else:
            yield name, part


def built(stream: Iterable[Grid], builder: Builder, crops: int = 1) -> Iterator[Instances]:
    """Instances of grids; those of all crops of a clip come together and have no grid in common."""
    if crops == 1:
        yield from builder(stream)
        return
    pulled = 0

    def counted() -> Iterator[Grid]:
        nonlocal pulled
        for grid in stream:
            pulled += 1
            yield grid

    waiting: list[Instances] = []
    for part in builder(counted()):
        waiting.append(replace(part, shape=None, detail=None))
        if pulled % crops == 0:
            yield joined(waiting)
            waiting = []
    if waiting:
        yield joined(waiting)


class Joined:
    """Many stretches of one video as one, while they come; what grows large lies in a file."""

    def __init__(self) -> None:
        self.features, self.extents, self.track, self.detail = Spool(), Spool(), Spool(), Spool()
        self.shapes: list[tuple[int, int, int] | None] = []
        self.ways, self.edges = list[Scores](), list[Floats]()

    def add(self, part: Instances) -> None:
        """The next stretch."""
        if part.paths is not None:
            rows = part.paths.rows
            self.ways.append(Scores(rows.extents, rows.values, rows.track + self.features.rows))
            self.edges.append(part.paths.edges)
        self.features.append(part.features)
        self.extents.append(part.extents)
        self.track.append(part.track)
        if part.detail is not None and self.detail.rows == sum(shape[0] for shape in self.shapes if shape):
            self.detail.append(part.detail)
        self.shapes.append(part.shape)

    def whole(self) -> Instances:
        """All stretches as one; ValueError without any."""
        if not self.shapes:
            raise ValueError("no instances to join")
        grids = [shape for shape in self.shapes if shape is not None]
        even = len(grids) == len(self.shapes) and len({shape[1:] for shape in grids}) == 1
        shape = (sum(steps for steps, _, _ in grids), *grids[0][1:]) if even else None
        detail = self.detail.whole() if shape and self.detail.rows == shape[0] else None
        paths = Paths(Scores.chained(self.ways), _borders(self.edges)) if len(self.ways) == len(self.shapes) else None
        return Instances(self.features.whole(), self.extents.whole(), self.track.whole(), shape, detail, paths)


def joined(parts: Iterable[Instances]) -> Instances:
    """Many stretches of one video as one; ValueError without any."""
    made = Joined()
    for part in parts:
        made.add(part)
    return made.whole()


def _borders(stretches: Sequence[Floats]) -> Floats:
    """The borders of all frames of stretches that follow each other."""
    return np.concatenate([*(edges[:-1] for edges in stretches), stretches[-1][-1:]])


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
        whole = {name: joined(some) for name, some in found.items()}
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
        values = score({name: joined(some) for name, some in near.items()})
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


class Gathered:
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
            raise ValueError("nothing was predicted: the video gave no time step")
        edges = np.array([*self._starts, self._end])
        scores = HeatMap(np.array(self._scores, np.float32), edges)
        shares = {name: HeatMap(np.array(values, np.float32), edges) for name, values in self._shares.items()}
        events = tuple(sorted(self._events, key=lambda e: (e.start, -e.score)))
        if not self._places:
            return Prediction(scores, events=events, classes=shares)
        heat: Any = self._heat.whole()
        boxes = Scores(*(spool.whole() for spool in self._boxes)) if self._boxes[0].kept else Scores.chained([])
        return Prediction(scores, HeatMap(heat, edges), boxes, events, shares)


def together(steps: Iterable[Prediction]) -> Prediction:
    """The predictions of all time steps as one, see `Gathered`; ValueError if there is none."""
    made = Gathered()
    for step in steps:
        made.add(step)
    return made.whole()
