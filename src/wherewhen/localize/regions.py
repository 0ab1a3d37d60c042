"""Heat maps to frame scores, boxes, tubes and events, as a stream."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from wherewhen import extents as ext
from wherewhen.errors import ConfigError
from wherewhen.localize._movers import apart, told
from wherewhen.localize._steps import Step, merge, sharpen, smooth
from wherewhen.values import Event, Features, Floats, HeatMap, Prediction, Scores


def calibrate(values: Features, threshold: float) -> Features:
    """Bend raw scores in [0, 1] so that ``threshold`` becomes 0.5; order is kept.

    >>> calibrate(np.array([0.0, 0.2, 1.0]), 0.2).tolist()
    [0.0, 0.5, 1.0]
    """
    theta = float(np.clip(threshold, 1e-6, 1 - 1e-6))
    bent = np.where(values <= theta, 0.5 * values / theta, 0.5 + 0.5 * (values - theta) / (1 - theta))
    return np.clip(bent, 0, 1)


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
    peaks = np.asarray(ndimage.maximum(heat, labels, np.arange(1, count + 1)), np.float64)
    order = np.argsort(-peaks, kind="stable")[:most]
    found = ndimage.find_objects(labels)
    h, w = heat.shape
    boxes = [[found[i][1].start / w, found[i][0].start / h, found[i][1].stop / w, found[i][0].stop / h] for i in order]
    return np.array(boxes), peaks[order]


@dataclass(frozen=True)
class RegionsConfig:
    """Settings of the localizer.

    Args:
        smooth_seconds: Gaussian sigma over time.
        follow: share of the picture by which what is hot may move in a second while time is smoothed.
        smooth_cells: Gaussian sigma over the picture, in cells.
        sharpen: how far the map is lowered inside a cell where little moves, from 0 (not at all) to 1.
        top: how many of the highest cells make the frame score.
        level: a region is what reaches this share of the map's peak.
        most: boxes per step at most.
        link: two boxes of neighboring steps are one tube from this IoU on.
        gap_seconds: a shorter pause doesn't end an event or a tube.
        shortest_seconds: shorter events are dropped.
        longest_seconds: an alarm that lasts longer is told in pieces, so that nothing waits for its end.
        keep: an event lasts while the calibrated frame score stays at or above this.
        within: of two known movers only the better one is told where one lies in the other by this share.
    """

    smooth_seconds: float = 0.5
    follow: float = 0.13
    smooth_cells: float = 0.7
    sharpen: float = 0.5
    top: int = 3
    level: float = 0.5
    most: int = 3
    link: float = 0.2
    gap_seconds: float = 1.0
    shortest_seconds: float = 0.3
    longest_seconds: float = 300.0
    keep: float = 0.4
    within: float = 0.7

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 0:
                raise ConfigError(f"regions: {name} can't be negative, got {value}")
        for name in ("sharpen", "level", "link", "keep", "within"):
            if getattr(self, name) > 1:
                raise ConfigError(f"regions: {name} is a share from 0 to 1, got {getattr(self, name)}")
        for name in ("top", "most"):
            if getattr(self, name) < 1:
                raise ConfigError(f"regions: {name} must be at least 1, got {getattr(self, name)}")


@dataclass
class _Tubes:
    """Greedy linking of boxes over time: the highest IoU first, a tube forgets after a pause."""

    link: float
    gap: float
    next: int = 0
    open: dict[int, Floats] = field(default_factory=dict)

    def __call__(self, rows: Floats) -> list[int]:
        """Track numbers of the boxes ``(N, 6)`` of one step."""
        if len(rows):
            self.open = {k: row for k, row in self.open.items() if rows[0, 0] - row[1] <= self.gap}
        track = [-1] * len(rows)
        pairs = [(float(ext.iou(row, old)), i, k) for i, row in enumerate(rows) for k, old in self.open.items()]
        taken: set[int] = set()
        for overlap, i, k in sorted(pairs, key=lambda pair: (-pair[0], pair[1], pair[2])):
            if overlap >= self.link and track[i] < 0 and k not in taken:
                track[i] = k
                taken.add(k)
        for i, row in enumerate(rows):
            if track[i] < 0:
                track[i], self.next = self.next, self.next + 1
            self.open[track[i]] = row
        return track


@dataclass
class _Alarm:
    """Opens when a score reaches 0.5, closes after a pause, and then says which events it held.

    Boxes of known ``movers`` make one event for each mover's way.
    """

    config: RegionsConfig
    rows: list[tuple[Floats, float, int]] = field(default_factory=list)
    start: float | None = None
    last: float = 0.0
    movers: bool = False

    def __call__(self, step: Step, score: float, boxes: Scores) -> tuple[Event, ...]:
        closed: tuple[Event, ...] = ()
        over = self.start is not None and step.start - self.start >= self.config.longest_seconds
        if over or (self.start is not None and step.start - self.last >= self.config.gap_seconds):
            closed = self.close()
        if score >= 0.5 or (self.start is not None and score >= self.config.keep):
            self.start = step.start if self.start is None else self.start
            self.last = step.end
            self.movers = step.boxes is not None
            self.rows += zip(boxes.extents, boxes.values, boxes.track.tolist(), strict=True)
        return closed

    def close(self) -> tuple[Event, ...]:
        """The events of the open alarm: its tubes that last, else its best box of each step."""
        if self.start is None or self.last - self.start < self.config.shortest_seconds or not self.rows:
            self.start, self.rows = None, []
            return ()
        if self.movers:
            rows = Scores(*(np.array(part) for part in zip(*self.rows, strict=True)))
            self.start, self.rows, c = None, [], self.config
            return told(rows, c.keep, c.gap_seconds, c.shortest_seconds, c.within)
        tubes: dict[int, list[tuple[Floats, float]]] = {}
        best: dict[float, tuple[Floats, float]] = {}
        for row, value, track in self.rows:
            if value >= self.config.keep:
                tubes.setdefault(track, []).append((row, value))
            if value > best.get(row[0], (row, -1.0))[1]:
                best[row[0]] = (row, value)
        need = max(self.config.shortest_seconds, 0.25 * (self.last - self.start))
        lasting = [t for t in tubes.values() if t[-1][0][1] - t[0][0][0] >= need and max(v for _, v in t) >= 0.5]
        chains = lasting or [[best[t] for t in sorted(best)]]
        self.start, self.rows = None, []
        return tuple(Event(np.stack([r for r, _ in c]), float(max(v for _, v in c))) for c in chains)


class Regions:
    """Smooth, calibrate, cut into regions, link them into tubes and say which events they make.

    Where the movers that a map was painted from are known, their boxes and ways stand in for regions and tubes.

    ``threshold``: the raw frame score that becomes 0.5. Gives one Prediction per time step; an event comes with the
    step that closes it.
    """

    Config = RegionsConfig

    def __init__(self, config: RegionsConfig, threshold: float = 0.5) -> None:
        self.config, self.threshold = config, threshold

    def raw(self, pieces: Iterable[HeatMap]) -> Iterator[tuple[Step, float]]:
        """Smoothed maps and their frame scores before calibration."""
        for step in smooth(merge(pieces), self.config.smooth_seconds, self.config.follow):
            heat = step.map
            if step.boxes is not None:
                yield step, float(step.boxes.values.max(initial=0.0))
                continue
            if self.config.smooth_cells > 0:
                heat = ndimage.gaussian_filter(heat, self.config.smooth_cells, mode="nearest")
            score = frame_score(heat, self.config.top)
            yield Step(step.start, step.end, sharpen(heat, step.detail, self.config.sharpen)), score

    def __call__(self, pieces: Iterable[HeatMap]) -> Iterator[Prediction]:
        """Localize heat maps that start in rising order."""
        tubes = _Tubes(self.config.link, self.config.gap_seconds)
        alarm = _Alarm(self.config)
        for step, raw in self.raw(pieces):
            heat = calibrate(step.map, self.threshold)
            score = float(calibrate(np.array([raw], np.float32), self.threshold)[0])
            edges = np.array([step.start, step.end])
            boxes = self._boxes(step, heat, tubes)
            closed = alarm(step, score, boxes)
            boxes = boxes if step.boxes is None else apart(boxes, self.config.within)
            yield Prediction(HeatMap(np.array([score]), edges), HeatMap(heat[None], edges), boxes, closed)
        if closed := alarm.close():
            yield Prediction(events=closed)

    def _boxes(self, step: Step, heat: Features, tubes: _Tubes) -> Scores:
        if step.boxes is not None:
            rows = step.boxes.extents.copy()
            rows[:, :2] = step.start, step.end
            return Scores(
                rows,
                calibrate(step.boxes.values.astype(np.float32), self.threshold).astype(np.float64),
                step.boxes.track,
            )
        found, peaks = components(heat, self.config.level * max(float(heat.max()), 1e-6), self.config.most)
        rows = np.concatenate([np.tile([step.start, step.end], (len(found), 1)), found], 1)
        return Scores(rows, peaks, np.array(tubes(rows), np.int64))


PLUGIN = Regions
