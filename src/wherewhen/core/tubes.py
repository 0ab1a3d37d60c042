"""Tubes from tracks: the path of one mover, the union of movers that touch, and equal parts of them.

A tube is rows ``(N, 6)`` in time order that share a track number; times are seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from wherewhen.core import extents as ext
from wherewhen.core.errors import ConfigError
from wherewhen.core.values import Boxes, Floats, Masks, Scores

Kind = Literal["unary", "multivariate", "frame"]
Whole = NDArray[np.int64]

SUB_TUBE = 64 / 25  # seconds: 64 frames at 25 a second
MOST_UNIONS = 200  # of movers that touch, in one window


@dataclass(frozen=True)
class TubeConfig:
    """Settings of `built`.

    Args:
        shortest: seconds that a tube must last.
        longest: seconds; longer tubes are cut into even parts. Null keeps them.
        multivariate: add the unions of movers that touch.
        unions: pairs joins each two that touch, for as long as either has a box; groups joins any number, connected by
            contacts, in the frames in which they touch (several intersecting objects, as in Wu et al., 2021).
        touching: consecutive frames that two movers must touch.
        contact: IoU above which two movers touch.
        window: seconds of video that tubes are made of at a time, so that those of a stream come in time; null waits
            for the end.
        frame: add a tube of the whole picture where there is no other (fallback), always, or never.
    """

    shortest: float = 0.6
    longest: float | None = None
    multivariate: bool = True
    unions: Literal["pairs", "groups"] = "pairs"
    touching: int = 8
    contact: float = 0.0
    window: float | None = None
    frame: Literal["fallback", "always", "never"] = "fallback"

    def __post_init__(self) -> None:
        if self.shortest < 0 or self.touching < 1:
            raise ConfigError(f"tubes: shortest is at least 0 seconds and touching at least 1; got {self}")
        if not 0 <= self.contact < 1:
            raise ConfigError(f"tubes: contact is an IoU from 0 to below 1; got {self.contact}")
        for name in ("longest", "window"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigError(f"tubes: {name} is above 0 seconds or null; got {value}")


@dataclass(frozen=True, slots=True, eq=False)
class Tubes:
    """Tubes of a stretch of video: ``rows`` with track numbers 0 to T - 1, and of each tube its kind and class name.

    Rows lie tube by tube, each in time order. ``members``: the tracks that a tube is made of.
    """

    rows: Scores
    kinds: tuple[Kind, ...]
    names: tuple[str, ...]
    members: tuple[tuple[int, ...], ...]

    def __len__(self) -> int:
        return len(self.kinds)


def built(stream: Iterable[Boxes], config: TubeConfig | None = None) -> Iterator[Tubes]:
    """Tubes of tracked frames (`linking.link`), a ``window`` at a time, or once at the end.

    >>> frames = [Boxes(t, t + 1, [[t, t + 1, 0, 0, 1, 1]], [1.0], track=[7]) for t in range(3)]
    >>> [tube.members for tube in built(frames)]
    [((7,),)]
    """
    settings = config or TubeConfig()
    held: list[Boxes] = []
    for boxes in stream:
        if settings.window is not None and held and boxes.start - held[0].start >= settings.window - 1e-9:
            yield of(held, settings)
            held = []
        held.append(boxes)
    if held:
        yield of(held, settings)


def of(frames: list[Boxes], config: TubeConfig | None = None) -> Tubes:
    """The tubes of tracked frames in time order; ValueError without a frame."""
    if not frames:
        raise ValueError("no frames for tubes")
    settings = config or TubeConfig()
    rows = Scores.chained(frames)
    class_names = {int(t): name for boxes in frames for t, name in zip(boxes.track, boxes.names, strict=False)}
    single = by_track(rows)
    candidates: list[tuple[Kind, tuple[int, ...], Scores]] = [
        ("unary", (track,), tube) for track, tube in single.items()
    ]
    if settings.multivariate:
        starts = np.array([boxes.start for boxes in frames])
        joined = multivariate(rows, starts, settings.touching, settings.contact, settings.unions)
        candidates += [("multivariate", members, tube) for members, tube in joined]
    cut = [(kind, members, part) for kind, members, tube in candidates for part in limited(tube, settings)]
    if settings.frame == "always" or (settings.frame == "fallback" and not cut):
        cut.append(("frame", (), whole_picture(frames)))
    kinds = tuple(kind for kind, _, _ in cut)
    names = tuple(class_names.get(members[0], "") if kind == "unary" else "" for kind, members, _ in cut)
    return Tubes(numbered([tube for _, _, tube in cut]), kinds, names, tuple(members for _, members, _ in cut))


def by_track(rows: Scores) -> dict[int, Scores]:
    """The rows of each track number, -1 left out, in time order."""
    order = np.lexsort((rows.extents[:, 0], rows.track))
    order = order[rows.track[order] >= 0]
    numbers, first = np.unique(rows.track[order], return_index=True)
    parts = np.split(order, first[1:]) if len(first) else []
    return {int(n): _take(rows, part) for n, part in zip(numbers, parts, strict=True)}


def numbered(tubes: list[Scores]) -> Scores:
    """Tubes as one set of rows that counts them from 0."""
    if not tubes:
        return Scores(np.empty((0, 6)), np.empty(0))
    track = np.repeat(np.arange(len(tubes)), [len(tube.values) for tube in tubes])
    return Scores(np.concatenate([t.extents for t in tubes]), np.concatenate([t.values for t in tubes]), track)


def multivariate(
    rows: Scores, starts: Floats, touching: int = 8, contact: float = 0.0, unions: Literal["pairs", "groups"] = "pairs"
) -> list[tuple[tuple[int, ...], Scores]]:
    """Unions of movers that touch for at least ``touching`` frames in a row, with their members.

    ``starts`` ``(F,)``: when each frame begins. Movers touch where their IoU is above ``contact``. A union is the hull
    of its boxes, frame by frame. Of ``pairs``: two movers, as long as either has a box; three are never joined, so
    crowds don't form chains. Of ``groups``: movers connected by contacts that share a mover and overlap in time, in the
    frames in which they touch. At most `MOST_UNIONS`, those that touch longest. Source: Wu et al. 2021, arXiv
    2108.03825: a multivariate tube "contains multiple intersecting objects"; the rule itself is not published.
    """
    frame = np.searchsorted(starts, rows.extents[:, 0] + 1e-9, "right") - 1
    together = _contacts(rows, frame, touching, contact)
    if unions == "groups":
        return _groups(rows, frame, together)
    spans = {pair: sum(len(run) for run in runs) for pair, runs in together.items()}
    longest = sorted(sorted(spans, key=lambda pair: -spans[pair])[:MOST_UNIONS])
    rows_of = {track: np.flatnonzero(rows.track == track) for track in {track for pair in longest for track in pair}}
    return [((a, b), _joined(rows, frame, np.concatenate([rows_of[a], rows_of[b]]), a)) for a, b in longest]


def _contacts(rows: Scores, frame: Whole, touching: int, contact: float) -> dict[tuple[int, int], list[Whole]]:
    """Which tracks touch, and in which runs of at least ``touching`` frames."""
    pairs: dict[tuple[int, int], list[int]] = {}
    order = np.argsort(frame, kind="stable")
    moments, first = np.unique(frame[order], return_index=True)
    for moment, indices in zip(moments.tolist(), np.split(order, first[1:]) if len(first) else [], strict=True):
        indices = indices[rows.track[indices] >= 0]
        boxes, tracks = rows.extents[indices], rows.track[indices]
        a, b = np.nonzero(np.triu(_touch(boxes[:, None], boxes[None], contact), 1))
        for left, right in zip(tracks[a].tolist(), tracks[b].tolist(), strict=True):
            pairs.setdefault((min(left, right), max(left, right)), []).append(moment)
    contacts = {}
    for pair, moments_of in sorted(pairs.items()):
        runs = np.split(np.array(moments_of), np.flatnonzero(np.diff(moments_of) > 1) + 1)
        lasting = [run for run in runs if len(run) >= touching]
        if lasting and pair[0] != pair[1]:
            contacts[pair] = lasting
    return contacts


def _touch(boxes: Floats, other: Floats, contact: float) -> Masks:
    return ext.iou(boxes, other) > contact if contact else ext.intersection(boxes, other) > 0


def _groups(
    rows: Scores, frame: Whole, contacts: dict[tuple[int, int], list[Whole]]
) -> list[tuple[tuple[int, ...], Scores]]:
    """Connected components of contacts, two of which are connected where they share a mover and overlap in time."""
    runs = [(pair, run) for pair, runs_of_pair in contacts.items() for run in runs_of_pair]
    by_mover: dict[int, list[int]] = {}
    for number, (pair, _) in enumerate(runs):
        for mover in pair:
            by_mover.setdefault(mover, []).append(number)
    group = list(range(len(runs)))

    def root(number: int) -> int:
        while group[number] != number:
            group[number] = number = group[group[number]]
        return number

    for numbers in by_mover.values():
        until, last = -1, -1
        for number in sorted(numbers, key=lambda k: int(runs[k][1][0])):
            if runs[number][1][0] <= until:
                group[root(number)] = root(last)
            until, last = max(until, int(runs[number][1][-1])), number
    moments: dict[int, set[tuple[int, int]]] = {}
    for number, (pair, run) in enumerate(runs):
        moments.setdefault(root(number), set()).update((mover, k) for mover in pair for k in run.tolist())
    row_of = {key: k for k, key in enumerate(zip(rows.track.tolist(), frame.tolist(), strict=True))}
    groups = []
    for touched in sorted(moments.values(), key=lambda keys: -len({k for _, k in keys}))[:MOST_UNIONS]:
        members = tuple(sorted({mover for mover, _ in touched}))
        indices = np.array([row_of[key] for key in sorted(touched)])
        groups.append((members, _joined(rows, frame, indices, members[0])))
    return sorted(groups, key=lambda union: (union[0], float(union[1].extents[0, 0])))


def _joined(rows: Scores, frame: Whole, indices: Whole, number: int) -> Scores:
    """The hull of some rows in each frame, in time order, and the mean of their values."""
    indices = indices[np.argsort(frame[indices], kind="stable")]
    first = np.unique(frame[indices], return_index=True)[1]
    boxes, values = rows.extents[indices], np.add.reduceat(rows.values[indices], first)
    low, high = np.minimum.reduceat(boxes, first), np.maximum.reduceat(boxes, first)
    extents = np.stack([low[:, 0], high[:, 1], low[:, 2], low[:, 3], high[:, 4], high[:, 5]], 1)
    return Scores(extents, values / np.diff([*first, len(indices)]), np.full(len(first), number))


def limited(tube: Scores, config: TubeConfig) -> list[Scores]:
    """A tube in even parts no longer than ``longest``; none where it is shorter than ``shortest``."""
    if length(tube) < config.shortest - 1e-9:
        return []
    return [tube] if config.longest is None else divided(tube, config.longest)


def length(tube: Scores) -> float:
    """Seconds from a tube's begin to its end."""
    return float(tube.extents[:, 1].max() - tube.extents[:, 0].min())


def divided(tube: Scores, seconds: float = SUB_TUBE) -> list[Scores]:
    """A tube cut evenly into M = ceil(its length / ``seconds``) parts, as far as it has rows.

    Wu et al. 2021 score such parts, arXiv 2108.03825; the default is 64 frames at 25 a second.

    >>> tube = Scores([[t, t + 1, 0, 0, 1, 1] for t in range(5)], np.ones(5), np.zeros(5))
    >>> [len(part.values) for part in divided(tube, 2.0)]
    [2, 1, 2]
    """
    count = min(max(1, ceil(length(tube) / seconds - 1e-9)), len(tube.values))
    borders = np.linspace(0, len(tube.values), count + 1).round().astype(int)
    return [_take(tube, np.arange(a, b)) for a, b in pairwise(borders)]


def sub_tubes(tubes: Tubes, seconds: float = SUB_TUBE) -> Tubes:
    """Every tube in even parts, as they are scored."""
    parts = [(number, part) for number, tube in by_track(tubes.rows).items() for part in divided(tube, seconds)]
    numbers = [number for number, _ in parts]
    kinds, names = tuple(tubes.kinds[k] for k in numbers), tuple(tubes.names[k] for k in numbers)
    return Tubes(numbered([part for _, part in parts]), kinds, names, tuple(tubes.members[k] for k in numbers))


def whole_picture(frames: list[Boxes]) -> Scores:
    """One tube of the whole picture over all frames."""
    rows = [[boxes.start, boxes.end, *ext.WHOLE_PICTURE] for boxes in frames]
    return Scores(np.array(rows), np.zeros(len(rows)), np.zeros(len(rows), np.int64))


def _take(rows: Scores, which: NDArray[np.int64]) -> Scores:
    return Scores(rows.extents[which], rows.values[which], rows.track[which])
