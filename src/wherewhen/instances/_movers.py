"""Grids and tracked boxes to tubes as instances, one window of time after the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from wherewhen.core import extents as ext
from wherewhen.core import tubes
from wherewhen.core.contracts import BuilderAbilities, RoiSpec, TrackSource
from wherewhen.core.tubes import Tubes
from wherewhen.core.values import Boxes, Features, Grid, Instances, Paths, Scores, unit
from wherewhen.instances._manner import NAMES, beside, manner
from wherewhen.instances._pool import pool, whole_picture
from wherewhen.instances._shares import placed
from wherewhen.instances._tubes_config import TubesConfig, effective, in_training


def windows(grids: Iterable[Grid], seconds: float | None) -> Iterator[tuple[list[Grid], list[Boxes]]]:
    """Tracked frames a window at a time, with the grids of their time; None waits for the end.

    A grid without a tracked frame counts as one frame without boxes.
    """
    held: deque[Grid] = deque()
    frames: list[Boxes] = []
    covered = -np.inf
    for grid in grids:
        held.append(grid)
        for boxes in _frames(grid, covered):
            if frames and seconds is not None and boxes.start - frames[0].start >= seconds - ext.TICK:
                yield list(held), frames
                frames = []
                while held and held[0].span[1] <= boxes.start:
                    held.popleft()
            frames.append(boxes)
            covered = boxes.end
    if frames:
        yield list(held), frames


def _frames(grid: Grid, covered: float) -> tuple[Boxes, ...]:
    start, end = max(covered, grid.span[0]), grid.span[1]
    return grid.boxes or ((Boxes(start, end),) if end > start + ext.TICK else ())


@dataclass
class Movers:
    """Tubes of windows as instances, with a number for each mover that stays the same from window to window.

    ``whole``: features of whole pictures in place of those inside the boxes. Features of crops are added later.
    """

    config: TubesConfig
    whole: bool = False
    next: int = 0
    numbers: dict[tuple[str, tuple[int, ...]], int] = field(default_factory=dict)

    def __call__(self, grids: Sequence[Grid], frames: list[Boxes]) -> Instances:
        """The instances of one window."""
        parts = tubes.of(frames, self.config.shape)
        if self.config.part is not None:
            parts = tubes.sub_tubes(parts, self.config.part)
        rows, order = in_time(parts.rows, len(parts))
        numbers = self._numbers(parts, order)
        features = self._features(grids, rows, len(parts))
        borders = np.searchsorted(rows.track, np.arange(len(parts) + 1))
        hulls = np.stack([ext.hull(rows.extents[a:b]) for a, b in pairwise(borders.tolist())])
        if self.whole:
            return Instances(features, whole_picture(hulls), numbers)
        if self.config.manner:
            motion = np.zeros((len(parts), len(NAMES)), np.float32)
            for index, (k, (a, b)) in enumerate(zip(order.tolist(), pairwise(borders.tolist()), strict=True)):
                if parts.kinds[k] != "frame":  # the whole picture does not move
                    way = rows.extents[a:b]
                    motion[index] = manner(way, beside(frames, way, parts.members[k]))
            features = np.concatenate([features, motion], 1)
        edges = np.array([*(boxes.start for boxes in frames), frames[-1].end])
        return Instances(features, hulls, numbers, paths=Paths(rows, edges))

    def _features(self, grids: Sequence[Grid], rows: Scores, count: int) -> Features:
        """Pooled features of each of ``count`` tubes ``(count, D)``; D = 0 where crops give the features."""
        if self.config.features == "crop" and not self.whole:
            return np.empty((count, 0), np.float32)
        places = whole_picture(rows.extents) if self.whole else ext.widened(rows.extents, self.config.margin)
        features = pool(cells(grids), places, rows.track)[1]
        return unit(features) if self.config.l2 else features

    def _numbers(self, parts: Tubes, order: NDArray[np.intp]) -> NDArray[np.int64]:
        """Track numbers of parts in ``order``: of their movers, or a new one for each part.

        Movers that are not in this window are forgotten.
        """
        if self.config.track == "part":
            self.next += len(order)
            return np.arange(self.next - len(order), self.next)
        keys = list(zip(parts.kinds, parts.members, strict=True))
        numbers = {}
        for key in keys:
            if key not in numbers:
                numbers[key] = self.numbers.get(key, self.next)
                self.next = max(self.next, numbers[key] + 1)
        self.numbers = numbers  # type: ignore[assignment]
        return np.array([numbers[key] for key in keys], np.int64)[order]


class Windowed:
    """A builder that makes instances of tracked boxes a window at a time; ``whole``: see `Movers`."""

    Config: ClassVar[type] = TubesConfig
    abilities: ClassVar[BuilderAbilities] = BuilderAbilities(
        effective_settings=effective, training_settings=in_training
    )
    whole: ClassVar[bool]

    def __init__(self, config: TubesConfig) -> None:
        self.config = config

    @property
    def wait(self) -> float:
        """Largest delay of grids in seconds: a window and the gap of a track."""
        return self.config.wait

    @property
    def track_source(self) -> TrackSource:
        """The source of its boxes."""
        return self.config.track_source

    @property
    def roi(self) -> RoiSpec | None:
        """How its instances are cropped; None for features of whole pictures and for pooled ones."""
        return None if self.whole else self.config.roi

    def __call__(self, grids: Iterable[Grid]) -> Iterator[Instances]:
        """The tubes of each window."""
        movers = Movers(self.config, self.whole)
        for window, frames in windows(grids, self.config.shape.window):
            yield movers(window, frames)


def in_time(rows: Scores, count: int) -> tuple[Scores, NDArray[np.intp]]:
    """Rows of ``count`` tubes, renumbered in order of their begin, and the former number of each."""
    starts = np.full(count, np.inf)
    np.minimum.at(starts, rows.track, rows.extents[:, 0])
    order = np.argsort(starts, kind="stable")
    rank = np.empty(count, np.int64)
    rank[order] = np.arange(count)
    track = rank[rows.track]
    by = np.argsort(track, kind="stable")
    return Scores(rows.extents[by], rows.values[by], track[by]), order


def cells(grids: Sequence[Grid]) -> Instances:
    """Grids as cells in order of time; ValueError where they are of several sizes."""
    sizes = {grid.features.shape[1:] for grid in grids}
    if len(sizes) > 1:
        raise ValueError(f"tubes need grids of one size, got {sorted(sizes)}")
    parts = [placed(grid, grid.features) for grid in grids]
    steps = sum(len(part.extents) for part in parts) // int(np.prod(grids[0].features.shape[1:3]))
    flat, places = (np.concatenate([getattr(part, name) for part in parts]) for name in ("features", "extents"))
    return Instances(flat, places, shape=(steps, *grids[0].features.shape[1:3]))
