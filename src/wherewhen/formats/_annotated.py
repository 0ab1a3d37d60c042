"""The neutral record between our values and other tools' files: one video, its frame times, boxes and events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wherewhen.core import extents as ext
from wherewhen.core.errors import DataError
from wherewhen.core.printable import legible
from wherewhen.core.values import Event, Floats, Prediction, Scores, Truth

Whole = NDArray[np.int64]

DECIMALS = 6  # of a pixel, in files
FINEST = 2 * 10**-DECIMALS
NO_CATEGORY = "anomaly"
"""The label in files for no category; it is read as None."""


@dataclass(frozen=True, slots=True, eq=False)
class Clock:
    """Units of other tools in a video: F + 1 frame borders in seconds, picture size in pixels, file name.

    >>> Clock.steady(frames=50, rate=25, width=320, height=240).duration
    2.0
    """

    edges: Floats
    width: int
    height: int
    name: str = ""

    def __post_init__(self) -> None:
        edges = np.array(self.edges, np.float64)
        if edges.ndim != 1 or len(edges) < 2 or not np.isfinite(edges).all() or (np.diff(edges) <= 0).any():
            raise ValueError("clock: expected at least two finite, rising times")
        if self.width < 1 or self.height < 1:
            raise ValueError(f"clock: a picture has at least one pixel, got {self.width}x{self.height}")
        if PurePosixPath(self.name).is_absolute() or PureWindowsPath(self.name).is_absolute():
            raise ValueError(f"clock: a file name is written relative, got {self.name!r}")
        edges.flags.writeable = False
        object.__setattr__(self, "edges", edges)
        object.__setattr__(self, "name", legible(self.name))

    @classmethod
    def steady(cls, frames: int, rate: float, width: int, height: int, name: str = "") -> Clock:
        """A clock of ``frames`` frames at ``rate`` frames per second that starts at 0."""
        return cls(np.arange(frames + 1) / rate, width, height, name)

    @property
    def frames(self) -> int:
        """How many frames there are."""
        return len(self.edges) - 1

    @property
    def duration(self) -> float:
        """Seconds from the first border to the last."""
        return float(self.edges[-1] - self.edges[0])

    @property
    def rate(self) -> float:
        """Mean frames per second."""
        return self.frames / self.duration


def _no_boxes() -> Scores:
    return Scores(np.empty((0, 6)), np.empty(0))


@dataclass(frozen=True, slots=True, eq=False)
class Annotated:
    """The annotations of one video: boxes (a row per box and frame), events, and category names by track number.

    ``about``: further fields of our own format, by name.
    """

    id: str
    clock: Clock
    boxes: Scores = field(default_factory=_no_boxes)
    events: tuple[Event, ...] = ()
    names: Mapping[int, str] = field(default_factory=dict)
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def file(self) -> str:
        """The file name that formats show; the id where the clock has none."""
        return self.clock.name or self.id

    def label(self, track: int) -> str:
        """The label that files carry for a track."""
        return self.names.get(track) or NO_CATEGORY


@dataclass(frozen=True, slots=True, eq=False)
class FrameBoxes:
    """Boxes as other tools count: ``frame`` ``(N,)`` from 0, half-open pixels ``box`` ``(N, 4)``, track and score."""

    frame: Whole
    box: Floats
    track: Whole
    score: Floats

    def take(self, index: object) -> FrameBoxes:
        """The rows at ``index``, in that order."""
        return FrameBoxes(*(getattr(self, name)[index] for name in ("frame", "box", "track", "score")))

    def by_track(self) -> dict[int, FrameBoxes]:
        """The rows of each track in frame order; a row without a track (-1) is under its own negative key.

        Of two rows of one track in one frame that with the higher score is kept: formats have one box per track and
        frame.
        """
        order = np.lexsort((-self.score, self.frame))
        groups: dict[int, list[int]] = {}
        for row in order:
            track = int(self.track[row])
            rows = groups.setdefault(track if track >= 0 else -1 - int(row), [])
            if not rows or self.frame[rows[-1]] != self.frame[row]:
                rows.append(int(row))
        return {track: self.take(np.array(rows)) for track, rows in sorted(groups.items())}


def frame_spans(extents: Floats, clock: Clock, video: str) -> Whole:
    """Half-open frame ranges ``(N, 2)``; a row without a frame's middle counts for the frame around it."""
    edges = clock.edges
    spans = ext.frames_of(extents, edges)
    short = spans[:, 1] <= spans[:, 0]
    middles = extents[short, :2].mean(1)
    outside = (middles < 2 * edges[0] - edges[1]) | (middles > 2 * edges[-1] - edges[-2])
    if outside.any():
        raise DataError(
            f"{video}: an annotation at {middles[outside][0]:g} s is outside the video, "
            f"which lasts from {edges[0]:g} s to {edges[-1]:g} s; is this its clock?"
        )
    around = (np.searchsorted(edges, middles, "right") - 1).clip(0, clock.frames - 1)
    spans[short] = np.stack([around, around + 1], -1)
    return spans


def to_frames(video: Annotated) -> FrameBoxes:
    """One row per box and frame, in the order of ``video.boxes``; a row over several frames is repeated in each."""
    boxes = video.boxes
    spans = frame_spans(boxes.extents, video.clock, video.id)
    counts = spans[:, 1] - spans[:, 0]
    row = np.repeat(np.arange(len(spans)), counts)
    frame = spans[row, 0] + np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    # Undoes the rounding of x / width * width.
    pixels = ext.to_pixels(boxes.extents, video.clock.width, video.clock.height).round(DECIMALS)
    return FrameBoxes(frame, pixels[row], boxes.track[row], boxes.values[row])


def rows_of(
    frame: Sequence[int] | Whole, box: Sequence[Sequence[float]] | Floats, track: Sequence[int], score: Sequence[float]
) -> FrameBoxes:
    """Lists that a reader gathered, as arrays."""
    whole = np.int64
    pixels = np.array(box, np.float64).reshape(-1, 4)
    return FrameBoxes(np.array(frame, whole), pixels, np.array(track, whole), np.array(score, np.float64))


def from_frames(rows: FrameBoxes, clock: Clock, where: str) -> Scores:
    """Boxes of frames as scores with extents, cut to the picture.

    Raises DataError, beginning with ``where``, for a frame outside the video, a reversed box or one off the picture.
    """
    bad = np.flatnonzero((rows.frame < 0) | (rows.frame >= clock.frames))
    if len(bad):
        number = int(rows.frame[bad[0]])
        raise DataError(f"{where}: frame {number} (counted from 0), but the video has {clock.frames} frames")
    low, high = rows.box[:, :2], rows.box[:, 2:]
    size = np.array([clock.width, clock.height])
    bad = np.flatnonzero((high < low - FINEST).any(1))
    if len(bad):
        raise DataError(f"{where}: box {rows.box[bad[0]].tolist()} ends before it starts")
    bad = np.flatnonzero(((high < 0) | (low > size)).any(1))
    if len(bad):
        shape = f"{clock.width}x{clock.height}"
        raise DataError(f"{where}: box {rows.box[bad[0]].tolist()} is outside the picture; is its size {shape}?")
    pixels = np.concatenate([low, np.maximum(low, high)], 1)
    times = np.stack([clock.edges[rows.frame], clock.edges[rows.frame + 1]], -1)
    return Scores(ext.from_pixels(pixels, times, clock.width, clock.height), rows.score, rows.track)


def event_frames(event: Event, clock: Clock, video: str) -> tuple[int, int]:
    """Half-open frame range of an event."""
    first, last = frame_spans(np.array([[event.start, event.end, *ext.WHOLE_PICTURE]]), clock, video)[0]
    return int(first), int(last)


def span_event(start: float, end: float, score: float, label: str | None, where: str) -> Event:
    """An event that covers the whole picture from ``start`` to ``end`` in seconds."""
    if not end > start:
        raise DataError(f"{where}: an event from {start:g} s to {end:g} s ends before it starts")
    category = None if label == NO_CATEGORY else label
    return Event(np.array([[start, end, *ext.WHOLE_PICTURE]]), score, category)


def frame_event(first: int, last: int, clock: Clock, score: float, label: str | None, where: str) -> Event:
    """An event over the frames ``[first, last)``, counted from 0."""
    if not 0 <= first < last <= clock.frames:
        raise DataError(
            f"{where}: frames {first} to {last} (from 0, half-open), but the video has {clock.frames} frames"
        )
    return span_event(float(clock.edges[first]), float(clock.edges[last]), score, label, where)


def clock_of(video: str, clocks: Mapping[str, Clock] | None, source: Path, default: Clock | None = None) -> Clock:
    """The caller's clock of a video, else ``default``, that of the file; DataError without both."""
    by_video = clocks or {}
    if video in by_video:
        return by_video[video]
    if default is not None:
        return default
    matches = get_close_matches(video, by_video, 1)
    hint = f"; did you mean {matches[0]!r}?" if matches else "."
    raise DataError(f"{source}: the file has no frame times and picture size of {video!r}; give a clock for it{hint}")


def from_prediction(video: str, prediction: Prediction, clock: Clock) -> Annotated:
    """A prediction as input of a format: its boxes and its events.

    >>> from_prediction("a", Prediction(), Clock.steady(10, 25, 320, 240)).boxes.values.tolist()
    []
    """
    boxes = prediction.boxes if prediction.boxes is not None else _no_boxes()
    return Annotated(video, clock, boxes, prediction.events)


def from_truth(video: str, truth: Truth, width: int, height: int, name: str = "") -> Annotated:
    """Ground truth as input of a format: every score is 1, every span an event over the whole picture.

    A track is named after the first span that overlaps its first box.

    >>> truth = Truth(edges=[0, 1, 2, 3], spans=[[1, 3]], categories=("fall",))
    >>> from_truth("a", truth, 320, 240).events[0].category
    'fall'
    """
    labels = truth.categories or (None,) * len(truth.spans)
    spans = list(zip(truth.spans.tolist(), labels, strict=True))
    names: dict[int, str] = {}
    for row in np.argsort(truth.boxes[:, 0], kind="stable"):
        start, end = truth.boxes[row, :2]
        label = next((label for (first, last), label in spans if start < last and end > first), None)
        if label is not None:
            names.setdefault(int(truth.track[row]), label)
    names.pop(-1, None)
    boxes = Scores(truth.boxes, np.ones(len(truth.boxes)), truth.track)
    events = tuple(Event(np.array([[*span, *ext.WHOLE_PICTURE]]), 1.0, label) for span, label in spans)
    return Annotated(video, Clock(truth.edges, width, height, name), boxes, events, names)


def events_as_boxes(video: Annotated) -> Annotated:
    """The same video with its events' boxes in place of its boxes: track = number of the event, one box per frame.

    Several boxes of an event in a frame become their hull.
    """
    if not video.events:
        return replace(video, boxes=_no_boxes(), names={})
    lengths = [len(event.extents) for event in video.events]
    number = np.repeat(np.arange(len(lengths)), lengths)
    scores = np.array([event.score for event in video.events])
    chains = Scores(np.concatenate([event.extents for event in video.events]), scores[number], number)
    rows = to_frames(replace(video, boxes=chains))
    keys, group = np.unique(np.stack([rows.track, rows.frame], -1), axis=0, return_inverse=True)
    low, high = np.full((len(keys), 2), np.inf), np.full((len(keys), 2), -np.inf)
    np.minimum.at(low, group.reshape(-1), rows.box[:, :2])
    np.maximum.at(high, group.reshape(-1), rows.box[:, 2:])
    hulls = FrameBoxes(keys[:, 1], np.concatenate([low, high], 1), keys[:, 0], scores[keys[:, 0]])
    names = {k: event.category for k, event in enumerate(video.events) if event.category}
    return replace(video, boxes=from_frames(hulls, video.clock, video.id), names=names)
