"""Times of imported features: in seconds where known, else as shares of the video."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wherewhen.core.errors import DataError
from wherewhen.core.values import Floats, Truth
from wherewhen.data_tools.features.labels import Labels

SECONDS, RELATIVE = "seconds", "relative"
LEAST, MOST = 0.9, 1.1  # shares of a video that its features cover without a word


@dataclass(frozen=True)
class Clips:
    """Timing of features; None where unknown. ``segments``: spans that each video was averaged into."""

    frames: int | None = None
    stride: int | None = None
    rate: float | None = None
    segments: int | None = None

    @property
    def has_seconds(self) -> bool:
        """Whether they define seconds by themselves."""
        return self.frames is not None and self.rate is not None and self.segments is None

    def span(self, count: int) -> int:
        """How many frames so many features cover, from the first to the last; 0 where that is not known.

        >>> Clips(16, 8).span(3)
        32
        """
        return 0 if self.frames is None or self.segments else (count - 1) * (self.stride or self.frames) + self.frames


@dataclass(frozen=True, eq=False)
class Clock:
    """Begin and end of each feature ``(T, 2)``, the borders of the video's frames ``(F + 1,)``, both in one unit.

    ``share``: of the video's frames that the features cover, None where its length is not known. ``truth``: what
    really happens, in the same unit, where that is known.
    """

    times: Floats
    edges: Floats
    share: float | None = None
    truth: Truth | None = None

    def odd(self) -> str:
        """What is odd about the share, in words; empty where nothing is."""
        if self.share is None or LEAST <= self.share <= MOST:
            return ""
        return f"{self.share:.0%} of the video"


def seconds_of(name: str, labels: Labels) -> float | None:
    """How long a video is, where that is known."""
    if name in labels.truths and not labels.relative:
        edges = labels.truths[name].edges
        return float(edges[-1] - edges[0])
    return labels.rows[name].seconds if name in labels.rows else None


def clock_of(name: str, count: int, clips: Clips, labels: Labels, unit: str) -> Clock:
    """When each of a video's features was, in the unit of all; DataError where that can't be."""
    truth = labels.truths.get(name) if unit == SECONDS or labels.relative else None
    span, step = clips.span(count), clips.stride or clips.frames or 1
    if truth is not None and clips.frames is not None and span:
        first, last = np.arange(count) * step, len(truth.edges) - 1
        if first[-1] >= last:
            message = f"{count} features of {clips.frames} frames every {step} take {span} frames, the video has {last}"
            raise DataError(
                f"{message}; check --frames-per-clip and --stride, and that time is the first axis (--axes)"
            )
        times = _shared(truth.edges[first], truth.edges[np.minimum(first + clips.frames, last)])
        return Clock(times, np.array(truth.edges), span / last, truth)
    if unit == RELATIVE:
        times, edges = _even(count, 0.0, 1.0)
        return Clock(times, edges if truth is None else np.array(truth.edges), None, truth)
    seconds = seconds_of(name, labels)
    if clips.has_seconds and clips.frames is not None and clips.rate is not None:
        edges, first = np.arange(span + 1) / clips.rate, np.arange(count) * step
        share = span / clips.rate / seconds if seconds else None
        return Clock(_shared(edges[first], edges[first + clips.frames]), edges, share)
    if seconds is None:
        raise DataError("its length is unknown, but other videos' lengths are known; complete the table")
    begin = float(truth.edges[0]) if truth is not None else 0.0
    times, edges = _even(count, begin, begin + seconds)
    return Clock(times, edges if truth is None else np.array(truth.edges), None, truth)


def _shared(starts: Floats, ends: Floats) -> Floats:
    """Begin and end ``(T, 2)`` of the time that each clip answers for: of two that overlap, each for its half.

    The time between two clips belongs to the later one; both as in `sampling.clips`.

    >>> _shared(np.array([0.0, 1.0, 5.0]), np.array([2.0, 3.0, 7.0])).tolist()
    [[0.0, 1.5], [1.5, 3.0], [3.0, 7.0]]
    """
    borders = np.where(ends[:-1] > starts[1:], (ends[:-1] + starts[1:]) / 2, ends[:-1])
    return np.stack([np.concatenate([starts[:1], borders]), np.concatenate([borders, ends[-1:]])], 1)


def _even(count: int, begin: float, end: float) -> tuple[Floats, Floats]:
    """So many equal spans: begin and end of each, and the borders."""
    edges = np.linspace(begin, end, count + 1)
    return np.stack([edges[:-1], edges[1:]], 1), edges
