"""Heat maps to frame scores, boxes, tubes and events, as a stream."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import numpy as np
from scipy import ndimage

from wherewhen.core import extents as ext
from wherewhen.core.calibration import calibrate
from wherewhen.core.contracts import LocalizerAbilities
from wherewhen.core.errors import ConfigError
from wherewhen.core.values import Event, Features, Floats, HeatMap, Masks, Prediction, Scores
from wherewhen.localize._events import best, chains, merged, picked, with_frame_score
from wherewhen.localize._movers import apart, free, inside, paths
from wherewhen.localize._steps import Step, merge, sharpen, smooth, weighted


def frame_score(heat: Features, top: int) -> float:
    """Mean of the ``top`` highest cells of a map ``(h, w)``."""
    flat = heat.ravel()
    return float(np.sort(flat)[-min(top, len(flat)) :].mean())


def components(heat: Features, level: float, most: int) -> tuple[Floats, Floats]:
    """Boxes ``(N, 4)`` (x0 y0 x1 y1, fractions) and peaks ``(N,)`` of the connected regions at or above ``level``.

    The ``most`` highest peaks, best first; cells that touch at a corner are connected.

    >>> boxes, peaks = components(np.array([[0, 0.9], [0, 0]], np.float32), 0.5, 3)
    >>> boxes.tolist(), peaks.round(2).tolist()
    ([[0.5, 0.0, 1.0, 0.5]], [0.9])
    """
    labels, count = ndimage.label(heat >= level, np.ones((3, 3)))
    if not count:
        return np.empty((0, 4)), np.empty(0)
    inner, peaks = np.flatnonzero(labels), np.full(count, -np.inf)
    np.maximum.at(peaks, labels.ravel()[inner] - 1, heat.ravel()[inner])
    order = np.argsort(-peaks, kind="stable")[:most]
    slices = ndimage.find_objects(labels)
    h, w = heat.shape
    boxes = [
        [slices[i][1].start / w, slices[i][0].start / h, slices[i][1].stop / w, slices[i][0].stop / h] for i in order
    ]
    return np.array(boxes), peaks[order]


@dataclass(frozen=True)
class RegionsConfig:
    """Settings of the localizer.

    Args:
        smooth_seconds: Gaussian sigma over time.
        follow: share of the picture by which high scores may move in a second while time is smoothed.
        smooth_cells: Gaussian sigma over the picture, in cells.
        sharpen: how far the map is lowered inside a cell where little moves, from 0 (not at all) to 1.
        motion: power of the motion at each place, relative to the highest in the picture, that the map is multiplied
            by; 0 is none. Frame scores don't depend on it.
        top: how many of the highest cells make the frame score.
        level: regions are where the map reaches this share of its peak.
        most: regions per step at most.
        link: least IoU of two boxes of neighboring steps that belong to one tube.
        alarm: the calibrated frame score at which an alarm starts; no event has a lower score.
        keep: an alarm lasts while the calibrated frame score stays at or above this, with an alarm from 0.5; with an
            alarm from another score it moves in proportion, and is never above it.
        gap_seconds: a shorter pause doesn't end an alarm or a tube.
        cooldown_seconds: time after an alarm in which no other one starts.
        shortest_seconds: shorter alarms and events are dropped.
        longest_seconds: a longer alarm is reported in parts, so that no event waits for its end.
        merge: events of one alarm that overlap in time are merged where their boxes are no more than this share of
            the picture apart.
        within: share of the smaller of two movers covered by the other, from which only the better is reported; a mover
            is reported in place of a region. Null reports all.
        inside: score of a mover beside a map: the value that this share of its box doesn't exceed, 1 is the highest.
    """

    smooth_seconds: float = 0.5
    follow: float = 0.13
    smooth_cells: float = 0.7
    sharpen: float = 0.8
    motion: float = 0.0
    top: int = 3
    level: float = 0.5
    most: int = 3
    link: float = 0.2
    alarm: float = 0.5
    keep: float = 0.4
    gap_seconds: float = 1.0
    cooldown_seconds: float = 0.0
    shortest_seconds: float = 0.3
    longest_seconds: float = 300.0
    merge: float = 0.1
    within: float | None = 0.7
    inside: float = 0.9

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and value < 0:
                raise ConfigError(f"regions: {name} can't be negative, got {value}")
        for name in ("sharpen", "level", "link", "alarm", "keep", "merge", "within", "inside"):
            if (share := getattr(self, name)) is not None and share > 1:
                raise ConfigError(f"regions: {name} is a share from 0 to 1, got {share}")
        for name in ("top", "most"):
            if getattr(self, name) < 1:
                raise ConfigError(f"regions: {name} must be at least 1, got {getattr(self, name)}")

    @property
    def low(self) -> float:
        """The calibrated frame score at which an open alarm continues."""
        return min(self.alarm, 2 * self.alarm * self.keep)


@dataclass
class _Tubes:
    """Greedy linking of boxes over time: the highest IoU first, a tube ends after a pause."""

    link: float
    gap: float
    next: int = 0
    open: dict[int, Floats] = field(default_factory=dict)

    def __call__(self, rows: Floats) -> list[int]:
        """Track numbers of the boxes ``(N, 6)`` of one step."""
        if len(rows):
            self.open = {k: row for k, row in self.open.items() if rows[0, 0] - row[1] <= self.gap}
        track = [-1] * len(rows)
        pairs: list[tuple[float, int, int]] = []
        if len(rows) and self.open:
            overlaps = ext.iou(rows[:, None], np.stack([*self.open.values()])).tolist()
            pairs = [(value, i, k) for i, row in enumerate(overlaps) for k, value in zip(self.open, row, strict=True)]
        matched: set[int] = set()
        for overlap, i, k in sorted(pairs, key=lambda pair: (-pair[0], pair[1], pair[2])):
            if overlap >= self.link and track[i] < 0 and k not in matched:
                track[i] = k
                matched.add(k)
        for i, row in enumerate(rows):
            if track[i] < 0:
                track[i], self.next = self.next, self.next + 1
            self.open[track[i]] = row
        return track


class StepResult(NamedTuple):
    """Result of a step: regions, movers, which regions ``(R,)`` contain no mover, and the peak of the map.

    Numbers of movers beside a map are even, those of regions odd, so that none is both.
    """

    regions: Scores
    movers: Scores
    alone: Masks
    peak: float

    @property
    def boxes(self) -> Scores:
        """Movers, and regions without a mover."""
        return Scores.chained([self.movers, picked(self.regions, np.flatnonzero(self.alone))])


NO_BOXES = Scores(np.empty((0, 6)), np.empty(0))


@dataclass
class _Alarm:
    """Starts where a frame score reaches the alarm level, ends after a pause, and returns its events then.

    Boxes of tracked movers (``ways``) give one event per path, with the scores of the movers.
    ``regions``: of each step, see `_events.with_frame_score`; ``alone``: whether they
    contain no mover. ``quiet``: no other alarm starts before this time in seconds.
    """

    config: RegionsConfig
    regions: list[Scores] = field(default_factory=list)
    alone: list[Masks] = field(default_factory=list)
    ways: list[Scores] = field(default_factory=list)
    start: float | None = None
    last: float = 0.0
    quiet: float = -np.inf

    def __call__(self, step: Step, score: float, localized: StepResult) -> tuple[Event, ...]:
        closed: tuple[Event, ...] = ()
        if self.start is not None and step.start - self.last >= self.config.gap_seconds:
            closed = self.close()
            if closed:
                self.quiet = self.last + self.config.cooldown_seconds
        elif self.start is not None and step.start - self.start >= self.config.longest_seconds:
            closed = self.close()
        ready = step.start >= self.quiet and score >= self.config.alarm
        if ready or (self.start is not None and score >= self.config.low):
            self.start = step.start if self.start is None else self.start
            self.last = step.end
            self.regions.append(with_frame_score(localized.regions, score, localized.peak))
            self.alone.append(localized.alone)
            self.ways.append(localized.movers)
        return closed

    def close(self) -> tuple[Event, ...]:
        """The events of the open alarm: paths of movers and lasting tubes, else its best region of each step."""
        start, c = self.start, self.config
        regions, ways = Scores.chained(self.regions), Scores.chained(self.ways)
        alone = np.concatenate([np.zeros(0, bool), *self.alone])
        self.start, self.regions, self.alone, self.ways = None, [], [], []
        if start is None or self.last - start < c.shortest_seconds:
            return ()
        events = paths(ways, c.alarm, c.low, c.gap_seconds, c.shortest_seconds, c.within)
        tubes = self._lasting(regions, start, alone)
        if not events and not tubes and len(regions.values):  # no mover scores high enough: movers are ignored
            tubes = self._lasting(regions, start) or [best(regions)]
        tube_events = (Event(tube.extents, float(tube.values.max())) for tube in tubes)
        return tuple(sorted((*events, *tube_events), key=lambda event: event.start))

    def _lasting(self, regions: Scores, start: float, chosen: Masks | None = None) -> list[Scores]:
        """The tubes of regions that last long enough, merged where adjacent."""
        c = self.config
        selected = regions if chosen is None else picked(regions, np.flatnonzero(chosen))
        need = max(c.shortest_seconds, 0.25 * (self.last - start)) - ext.TICK
        tubes = [
            tube
            for tube in chains(selected, c.low)
            if tube.extents[-1, 1] - tube.extents[0, 0] >= need and tube.values.max() >= c.alarm
        ]
        return merged(tubes, c.merge)


class Regions:
    """Smooth and calibrate maps, cut them into regions, link these into tubes, and choose events.

    Where a map was painted from movers, their boxes and paths replace regions and tubes. Movers beside a map with high
    scores replace the regions that contain them; map, frame scores and times of alarms stay the same.

    ``threshold``: the raw frame score that becomes 0.5. Gives one Prediction per time step; an event comes with the
    step that closes it.
    """

    Config: ClassVar[type] = RegionsConfig
    abilities: ClassVar[LocalizerAbilities] = LocalizerAbilities(
        score_settings=("smooth_seconds", "follow", "smooth_cells", "top")
    )

    def __init__(self, config: RegionsConfig, threshold: float = 0.5) -> None:
        self.config, self.threshold = config, threshold

    def raw(self, pieces: Iterable[HeatMap]) -> Iterator[tuple[Step, float]]:
        """Smoothed maps and their frame scores before calibration."""
        c = self.config
        for step, score in self._smoothed(pieces, motion=c.motion > 0):
            if step.boxes is None:
                step = step._replace(map=weighted(sharpen(step.map, step.detail, c.sharpen), step.motion, c.motion))
            yield step, score

    def scores(self, pieces: Iterable[HeatMap]) -> Iterator[tuple[float, float, float]]:
        """Start and end of each time step, in seconds, and its frame score before calibration."""
        return ((step.start, step.end, score) for step, score in self._smoothed(pieces))

    def _smoothed(self, pieces: Iterable[HeatMap], motion: bool = False) -> Iterator[tuple[Step, float]]:
        """Maps smoothed over time and over the picture, before motion changes them, and their frame scores."""
        c = self.config
        for step in smooth(merge(pieces), c.smooth_seconds, c.follow, motion):
            if step.boxes is not None:
                yield step, float(step.boxes.values.max(initial=0.0))
                continue
            heat = step.map
            if c.smooth_cells > 0:
                heat = ndimage.gaussian_filter(heat, c.smooth_cells, mode="nearest")
            yield step._replace(map=heat), frame_score(heat, c.top)

    def __call__(self, pieces: Iterable[HeatMap]) -> Iterator[Prediction]:
        """Localize heat maps that start in rising order."""
        tubes = _Tubes(self.config.link, self.config.gap_seconds)
        alarm = _Alarm(self.config)
        for step, raw in self.raw(pieces):
            heat = calibrate(step.map, self.threshold)
            score = float(calibrate(np.array([raw], np.float32), self.threshold)[0])
            edges = np.array([step.start, step.end])
            localized = self._localized(step, heat, tubes)
            closed = alarm(step, score, localized)
            boxes = localized.boxes if step.boxes is None else apart(localized.movers, self.config.within)
            frames = HeatMap(np.array([score]), edges)
            yield Prediction(frames, HeatMap(heat[None], edges), boxes, closed, threshold=self.threshold)
        if closed := alarm.close():
            yield Prediction(events=closed)

    def _localized(self, step: Step, heat: Features, tubes: _Tubes) -> StepResult:
        c = self.config
        if step.boxes is not None:
            rows = step.boxes.extents.copy()
            rows[:, :2] = step.start, step.end
            values = calibrate(step.boxes.values.astype(np.float32), self.threshold).astype(np.float64)
            movers = Scores(rows, values, step.boxes.track)
            return StepResult(NO_BOXES, movers, np.zeros(0, bool), float(values.max(initial=0.0)))
        peak = float(heat.max())
        least = c.level * max(peak, 1e-6)
        places, peaks = components(heat, least, c.most)
        rows = np.concatenate([np.tile([step.start, step.end], (len(places), 1)), places], 1)
        numbers = np.array(tubes(rows), np.int64)
        if step.movers is None:
            return StepResult(Scores(rows, peaks, numbers), NO_BOXES, np.ones(len(rows), bool), peak)
        values = inside(heat, step.movers.extents, c.inside)
        out = values >= least
        movers = Scores(step.movers.extents[out], values[out], 2 * step.movers.track[out])
        return StepResult(Scores(rows, peaks, 2 * numbers + 1), movers, free(rows, movers.extents, c.within), peak)


PLUGIN = Regions
