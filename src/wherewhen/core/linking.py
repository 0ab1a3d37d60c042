"""Tracking: links boxes of single frames to tracks, causally, with gaps filled."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from wherewhen.core import extents as ext
from wherewhen.core.errors import ConfigError
from wherewhen.core.values import Boxes, Floats

FOLLOW = 0.6  # gain of the correction of the place
TURN = 0.25  # of the velocity
GROW = 0.4  # of the size
TICK = 1e-9  # seconds, for sums that aren't exact


@dataclass(frozen=True)
class LinkConfig:
    """Settings of `link`.

    Args:
        high: boxes of at least this confidence start tracks and are linked first.
        low: boxes of lower confidence only continue tracks; below this value they are left out.
        overlap: least IoU between the predicted place of a track and a box of high confidence.
        overlap_low: the same for boxes of lower confidence.
        widen: share of its size by which each box is enlarged on each side for the first overlap, so that small, fast
            objects still overlap.
        gap: seconds without a box after which a track ends. Output is delayed by as much.
        confirm: least number of boxes of a track.
        most: largest number of simultaneous tracks; the latest are kept.
    """

    high: float = 0.5
    low: float = 0.1
    overlap: float = 0.2
    overlap_low: float = 0.4
    widen: float = 0.3
    gap: float = 1.0
    confirm: int = 3
    most: int = 300

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.high <= 1:
            raise ConfigError(f"tracks: expected 0 <= low <= high <= 1; got {self.low} and {self.high}")
        if not 0 < self.overlap <= 1 or not 0 < self.overlap_low <= 1 or not 0 <= self.widen <= 2:
            raise ConfigError(f"tracks: expected overlaps in (0, 1] and widen in [0, 2]; got {self}")
        if not 0 <= self.gap <= 60 or self.confirm < 1 or self.most < 1:
            raise ConfigError(f"tracks: gap is 0 to 60 seconds, confirm and most at least 1; got {self}")


@dataclass(slots=True)
class _Track:
    """A tracked object: center, size and velocity in shares of the picture and seconds."""

    number: int
    center: Floats
    size: Floats
    speed: Floats
    time: float
    last_seen: float
    hits: int
    row: Floats
    value: float
    names: Counter[str] = field(default_factory=Counter)

    def place(self, time: float) -> Floats:
        """The predicted box ``(4,)`` at a time."""
        center = self.center + self.speed * (time - self.time)
        return np.concatenate([center - self.size / 2, center + self.size / 2])

    def update(self, row: Floats, value: float, time: float) -> None:
        """Update it with an assigned box."""
        center, size = (row[2:4] + row[4:]) / 2, row[4:] - row[2:4]
        step = max(time - self.time, 1e-6)
        residual = center - (self.center + self.speed * step)
        self.center = self.center + self.speed * step + max(FOLLOW, 1 / (self.hits + 1)) * residual
        self.speed = self.speed + max(TURN, 1 / (self.hits + 1)) * residual / step
        self.size = self.size + max(GROW, 1 / (self.hits + 1)) * (size - self.size)
        self.time = self.last_seen = time
        self.row, self.value, self.hits = row, value, self.hits + 1


@dataclass(slots=True)
class _Waiting:
    """A frame whose tracks may still get rows."""

    boxes: Boxes
    rows: list[Floats] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    tracks: list[_Track] = field(default_factory=list)


def link(stream: Iterable[Boxes], config: LinkConfig | None = None) -> Iterator[Boxes]:
    """The same frames in the same order, with only boxes that belong to a track, and its number.

    Boxes of high confidence are matched to the predicted places of tracks, then the others to tracks that are left;
    gaps are interpolated linearly. A frame is returned once ``gap`` seconds and ``confirm`` frames have passed, or the
    stream ends, so results don't depend on how it is cut. Two stages: Zhang et al., ByteTrack, ECCV 2022; enlarged
    boxes: Yang et al., C-BIoU, WACV 2023.

    >>> frames = [Boxes(t, t + 1, [[t, t + 1, 0.1 * t, 0, 0.1 * t + 0.3, 1]], [0.9]) for t in range(4)]
    >>> [boxes.track.tolist() for boxes in link(frames)]
    [[0], [0], [0], [0]]
    """
    settings = config or LinkConfig()
    linker = _Linker(settings)
    for boxes in stream:
        linker.add(boxes)
        yield from linker.ready(boxes.start)
    yield from linker.rest()


class _Linker:
    def __init__(self, config: LinkConfig) -> None:
        self._config = config
        self._tracks: list[_Track] = []
        self._waiting: deque[_Waiting] = deque()
        self._next = 0

    def add(self, boxes: Boxes) -> None:
        """Match a frame's boxes."""
        config, time = self._config, boxes.start
        self._waiting.append(_Waiting(boxes))
        before = self._waiting[-2].boxes.start if len(self._waiting) > 1 else time
        self._tracks = [t for t in self._tracks if t.last_seen >= before or time - t.last_seen <= config.gap + TICK]
        sure = np.flatnonzero(boxes.values >= config.high)
        unsure = np.flatnonzero((boxes.values < config.high) & (boxes.values >= config.low))
        unmatched = self._match(self._tracks, boxes, sure, config.overlap, config.widen)
        fresh = [t for t in self._tracks if before <= t.last_seen < time]
        self._match(fresh, boxes, unsure, config.overlap_low, 0.0)
        for index in unmatched:
            self._begin(boxes, int(index))
        if len(self._tracks) > config.most:
            self._tracks = sorted(self._tracks, key=lambda t: (-t.last_seen, t.number))[: config.most]

    def _match(
        self, tracks: list[_Track], boxes: Boxes, which: NDArray[np.int64], least: float, widen: float
    ) -> NDArray[np.int64]:
        """Assign boxes to tracks; the boxes that are left."""
        if not len(which) or not tracks:
            return which
        from scipy.optimize import linear_sum_assignment

        places = _widened(np.stack([track.place(boxes.start) for track in tracks]), widen)
        overlap = ext.iou(places[:, None], _widened(boxes.extents[which, 2:], widen)[None])
        rows, columns = linear_sum_assignment(np.where(overlap >= least, overlap, 0), maximize=True)
        good = overlap[rows, columns] >= least
        for track, index in zip(rows[good], which[columns[good]], strict=True):
            self._continue(tracks[track], boxes, int(index))
        return np.delete(which, columns[good])

    def _continue(self, track: _Track, boxes: Boxes, index: int) -> None:
        row, value = boxes.extents[index], float(boxes.values[index])
        self._fill(track, row, value, boxes.start)
        track.update(row, value, boxes.start)
        self._note(track, boxes, index)

    def _begin(self, boxes: Boxes, index: int) -> None:
        row = boxes.extents[index]
        center, size = (row[2:4] + row[4:]) / 2, row[4:] - row[2:4]
        value = float(boxes.values[index])
        track = _Track(self._next, center, size, np.zeros(2), boxes.start, boxes.start, 1, row, value)
        self._next += 1
        self._tracks.append(track)
        self._note(track, boxes, index)

    def _note(self, track: _Track, boxes: Boxes, index: int) -> None:
        if boxes.names:
            track.names[boxes.names[index]] += 1
        _put(self._waiting[-1], track, boxes.extents[index], float(boxes.values[index]))

    def _fill(self, track: _Track, row: Floats, value: float, time: float) -> None:
        """Interpolated rows for the frames since the last box of a track."""
        for frame in self._waiting:
            if track.last_seen < frame.boxes.start < time:
                share = (frame.boxes.start - track.last_seen) / (time - track.last_seen)
                between = track.row + share * (row - track.row)
                between[:2] = frame.boxes.start, frame.boxes.end
                _put(frame, track, between, min(track.value, value))

    def ready(self, now: float) -> Iterator[Boxes]:
        """Frames that are final."""
        config = self._config
        while len(self._waiting) > config.confirm and now - self._waiting[0].boxes.start > config.gap + TICK:
            yield self._linked(self._waiting.popleft())

    def rest(self) -> Iterator[Boxes]:
        """The remaining frames at the end."""
        while self._waiting:
            yield self._linked(self._waiting.popleft())

    def _linked(self, frame: _Waiting) -> Boxes:
        indices = sorted(
            (k for k, track in enumerate(frame.tracks) if track.hits >= self._config.confirm),
            key=lambda k: frame.tracks[k].number,
        )
        tracks = [frame.tracks[k] for k in indices]
        names = tuple(_name(track) for track in tracks) if any(t.names for t in tracks) else ()
        return replace(
            frame.boxes,
            extents=np.array([frame.rows[k] for k in indices]).reshape(-1, 6),
            values=np.array([frame.values[k] for k in indices]),
            names=names,
            track=np.array([track.number for track in tracks], np.int64),
            detected=frame.boxes.detected,
        )


def _put(frame: _Waiting, track: _Track, row: Floats, value: float) -> None:
    frame.tracks.append(track)
    frame.rows.append(row)
    frame.values.append(value)


def _name(track: _Track) -> str:
    """Its most frequent class name."""
    return max(sorted(track.names), key=lambda name: track.names[name], default="")


def _widened(boxes: Floats, share: float) -> Floats:
    """Boxes ``(N, 4)`` enlarged on each side, as rows ``(N, 6)`` without time."""
    margin = share * (boxes[:, 2:] - boxes[:, :2])
    return np.concatenate([np.zeros((len(boxes), 2)), boxes[:, :2] - margin, boxes[:, 2:] + margin], 1)
