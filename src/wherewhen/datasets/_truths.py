"""Conversion of published annotations in frames and pixels to `Truth` in seconds and fractions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from wherewhen.core import extents as ext
from wherewhen.core.diagnostics import report
from wherewhen.core.values import Floats, Masks, Truth
from wherewhen.core.video_info import Measure

Ints = NDArray[np.int64]


def _no_boxes() -> Floats:
    return np.empty((0, 6))


@dataclass(slots=True, eq=False)
class Draft:
    """One video's annotation in 0-based, half-open frames and pixels, as an adapter reads it.

    ``spans``: (first, stop) pairs. ``boxes``: rows ``track, frame, x0, y0, x1, y1``. ``boxed_frames``:
    frames with complete box annotation; None = all. ``where``: the file, for reports.
    """

    spans: list[tuple[int, int]] = field(default_factory=list)
    categories: list[str] = field(default_factory=list)
    boxes: Floats = field(default_factory=_no_boxes)
    boxed_frames: Iterable[int] | None = None
    masks: Callable[[], Masks] | None = None
    where: object = ""


def pairs(numbers: list[int], video: str, where: object = "") -> list[tuple[int, int]]:
    """Numbers ``s e s e ...`` as pairs; a start without an end is reported and left out."""
    if len(numbers) % 2:
        report("span-malformed", f"{len(numbers)} numbers are no pairs of start and end", video, where)
    return list(zip(numbers[::2], numbers[1::2], strict=False))


def from_one(spans: Iterable[tuple[int, int]], video: str, where: object = "") -> list[tuple[int, int]]:
    """1-based frames with their end included to 0-based, half-open ones; frame 0 is reported and read as frame 1.

    >>> from_one([(165, 240)], "Abuse028_x264")
    [(164, 240)]
    """
    out = []
    for first, last in spans:
        if first == 0:
            report("span-base", f"starts at frame 0, but this file counts from 1: {first} to {last}", video, where)
        out.append((max(first, 1) - 1, last))
    return out


def runs(flags: NDArray[np.generic]) -> list[tuple[int, int]]:
    """Half-open ranges of the frames that are not zero.

    >>> runs(np.array([0, 1, 1, 0, 1]))
    [(1, 3), (4, 5)]
    """
    on = np.concatenate([[0], (np.asarray(flags) != 0).astype(np.int8), [0]])
    change = np.flatnonzero(np.diff(on))
    return [(int(a), int(b)) for a, b in zip(change[::2], change[1::2], strict=True)]


def _spans(video: str, measure: Measure, draft: Draft) -> tuple[list[tuple[int, int]], tuple[str, ...]]:
    labelled: list[tuple[tuple[int, int], str]] = []
    names = draft.categories or [""] * len(draft.spans)
    for (first, stop), name in zip(draft.spans, names, strict=True):
        text = f"frames {first} to {stop} (0-based, end excluded) of {measure.frames}"
        if stop <= first:
            report("span-reversed", f"the span ends before it starts: {text}", video, draft.where)
        elif first >= measure.frames or first < 0:
            report("span-outside", f"the span is outside the video: {text}", video, draft.where)
        else:
            if stop > measure.frames:
                kind = "span-end" if stop == measure.frames + 1 else "span-past-end"
                report(kind, f"the span passes the end and is cut: {text}", video, draft.where)
            labelled.append(((first, min(stop, measure.frames)), name))
    labelled.sort()
    for (a, _), (b, _) in pairwise(labelled):
        if b[0] < a[1]:
            report("span-overlap", f"frames {a[0]} to {a[1]} overlap {b[0]} to {b[1]}", video, draft.where)
    return [span for span, _ in labelled], tuple(name for _, name in labelled) if draft.categories else ()


def _boxes(video: str, measure: Measure, draft: Draft) -> Floats:
    rows = np.asarray(draft.boxes, np.float64).reshape(-1, 6)
    if not len(rows):
        return rows
    if not measure.width or not measure.height:
        message = f"the picture's size is needed for boxes and not known; expected width and height in {_HINT}"
        report("length-unknown", message, video, draft.where)
        return _no_boxes()
    size = [measure.width, measure.height]
    tests = (
        ("box-past-end", (rows[:, 1] < 0) | (rows[:, 1] >= measure.frames), True),
        ("box-empty", (rows[:, 4:].clip(0, size) <= rows[:, 2:4].clip(0, size)).any(1), True),
        ("box-outside", (rows[:, 2:4] < 0).any(1) | (rows[:, 4:] > size).any(1), False),
    )
    keep = np.ones(len(rows), bool)
    for kind, wrong, drop in tests:
        hits = wrong & keep
        if hits.any():
            row = rows[hits][0]
            message = f"{int(hits.sum())} boxes, the first in frame {int(row[1])}: {row[2:].tolist()} of {size}"
            report(kind, f"{message} and {measure.frames} frames", video, draft.where)
        if drop:
            keep &= ~wrong
    return rows[keep]


_HINT = "videos.json (wherewhen data probe writes it)"


def build(video: str, measure: Measure, draft: Draft) -> Truth:
    """Truth of one video; inconsistent parts are reported, and cut or left out if a listener is active."""
    spans, categories = _spans(video, measure, draft)
    boxes = _boxes(video, measure, draft)
    positive = np.zeros(measure.frames, bool)
    for first, stop in spans:
        positive[first:stop] = True
    frames = boxes[:, 1].astype(np.int64)
    if (astray := ~positive[frames]).any():
        first = frames[astray][0]
        message = f"{int(astray.sum())} boxes are outside all spans, the first in frame {first}"
        report("box-outside-span", message, video, draft.where)
    edges = measure.edges
    times = np.stack([edges[frames], edges[frames + 1]], 1)
    return Truth(
        edges,
        spans=edges[np.array(spans, np.int64).reshape(-1, 2)],
        boxes=ext.from_pixels(boxes[:, 2:], times, max(measure.width, 1), max(measure.height, 1)),
        track=boxes[:, 0].astype(np.int64),
        categories=categories,
        masks=draft.masks,
        boxed=_boxed(draft, positive),
    )


def _boxed(draft: Draft, positive: Masks) -> Masks | None:
    if draft.boxed_frames is None:
        return None
    flags = ~positive
    numbers = np.array(sorted(set(draft.boxed_frames)), np.int64)
    flags[numbers[(numbers >= 0) & (numbers < len(flags))]] = True
    return flags


def normal(measure: Measure) -> Truth:
    """Truth of a video in which nothing happens."""
    return Truth(measure.edges)
