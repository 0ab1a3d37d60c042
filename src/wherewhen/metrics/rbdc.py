"""Regions and tracks found against false alarms per frame: RBDC and TBDC."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wherewhen.core.contracts import Metric
from wherewhen.core.errors import ConfigError, DataError
from wherewhen.core.values import Prediction, Truth
from wherewhen.metrics._pairs import paired
from wherewhen.metrics._regions import annotated_frames, frame_rows, places

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Ties = Literal["merge", "order"]

PAIRS = 2**15  # of boxes that are compared at once: so many fit into the caches of a processor


@dataclass(frozen=True, slots=True, eq=False)
class Regions:
    """Boxes of a whole test set: ``frames`` ``(N,)`` numbers that no two videos share, ``boxes`` ``(N, 4)``.

    ``marks`` ``(N,)``: the track number of a truth region, the score of a detection. Boxes are x0 y0 x1 y1.
    """

    frames: Ints
    boxes: Floats
    marks: NDArray[np.generic]

    def __post_init__(self) -> None:
        frames, boxes = np.asarray(self.frames, np.int64).reshape(-1), np.asarray(self.boxes, np.float64)
        marks = np.asarray(self.marks).reshape(-1)
        if not len(frames) == len(boxes.reshape(-1, 4)) == len(marks):
            raise DataError(f"regions: {len(frames)} frames, boxes of shape {boxes.shape}, {len(marks)} marks")
        object.__setattr__(self, "frames", frames)
        object.__setattr__(self, "boxes", boxes.reshape(-1, 4))
        object.__setattr__(self, "marks", marks)


@dataclass(frozen=True, slots=True)
class Curves:
    """False positives per frame, share of regions and share of tracks found: ``(K,)`` each, from (0, 0, 0) on."""

    fpr: Floats
    rbdr: Floats
    tbdr: Floats


def overlapping(truth: Regions, detections: Regions, beta: float, inclusive: bool = False) -> tuple[Ints, Ints]:
    """Rows of all pairs (truth, detection) of the same frame with an overlap of at least ``beta``.

    ``inclusive``: the boxes end with their last pixel, so a side is ``x1 - x0 + 1`` long; else half-open. Pairs come in
    order of their frames.
    """
    order, detection_order = (np.argsort(rows.frames, kind="stable") for rows in (truth, detections))
    frames = truth.frames[order], detections.frames[detection_order]
    low, high = (np.searchsorted(*frames, side) for side in ("left", "right"))
    ends = np.cumsum(high - low)
    sides, detection_sides = _sides(truth, order, inclusive), _sides(detections, detection_order, inclusive)
    regions, hits = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for part in _parts(ends):
        counts = high[part] - low[part]
        detection = np.repeat(np.arange(part.start, part.stop), counts)
        region = np.arange(len(detection)) + np.repeat(low[part] - np.cumsum(counts) + counts, counts)
        close = _close(sides[:, region], detection_sides[:, detection], beta)
        regions.append(order[region[close]])
        hits.append(detection_order[detection[close]])
    return np.concatenate(regions), np.concatenate(hits)


def _parts(ends: Ints) -> Iterator[slice]:
    """Rows in stretches of about `PAIRS` pairs; ``ends``: number of pairs up to and with each row."""
    start = 0
    while start < len(ends):
        before = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + PAIRS, "right")))
        yield slice(start, stop)
        start = stop


def _sides(regions: Regions, order: Ints, inclusive: bool) -> Floats:
    """x0, y0, the end of both sides and the area of boxes in an order: ``(5, N)``."""
    x0, y0, x1, y1 = regions.boxes[order].T
    more = float(inclusive)
    return np.stack([x0, y0, x1 + more, y1 + more, (x1 - x0 + more) * (y1 - y0 + more)])


def _close(a: Floats, b: Floats, beta: float) -> NDArray[np.bool_]:
    """Which pairs of boxes, as `_sides` describes them ``(5, K)``, overlap by at least ``beta``."""
    across, down = ((np.minimum(a[k + 2], b[k + 2]) - np.maximum(a[k], b[k])).clip(0) for k in (0, 1))
    both = across * down
    union = a[4] + b[4] - both
    close: NDArray[np.bool_] = (both >= beta * union) & (union > 0)
    return close


def curves(
    truth: Regions,
    detections: Regions,
    frames: int,
    *,
    alpha: float = 0.1,
    beta: float = 0.1,
    inclusive: bool = False,
    ties: Ties = "merge",
) -> Curves:
    """Detection rates over false positives per frame, from the highest score down.

    A region is found by a detection in its frame with IoU >= ``beta``; one detection may find several. A detection
    that touches no region is a false positive; one that touches only regions found before is neither. A track is
    found once ``alpha`` of its regions are. ``frames``: number of frames of the test set. ``ties="merge"``: equal
    scores are one point of the curve; ``"order"``: one point per detection, in the order given, as the published
    script does. DataError without a truth region. Source: Ramachandra and Jones 2020 (Street Scene).
    """
    if ties not in ("merge", "order"):
        raise ConfigError(f"ties: expected 'merge' or 'order', got {ties!r}")
    if not len(truth.frames) or frames < 1:
        raise DataError("no truth region: rates of found regions need at least one, and at least one frame")
    scores = np.asarray(detections.marks, np.float64)
    rank = np.empty(len(scores), np.int64)
    order = np.argsort(-scores, kind="stable")
    rank[order] = np.arange(len(scores))
    region, detection = overlapping(truth, detections, beta, inclusive)
    first = np.full(len(truth.frames), len(scores))
    np.minimum.at(first, region, rank[detection])
    false = np.ones(len(scores), bool)
    false[rank[detection]] = False
    events = [false, _counts(first, len(scores)), _counts(_track_ranks(first, truth.marks, alpha), len(scores))]
    last = np.append(scores[order][1:] != scores[order][:-1], True) if len(scores) else np.empty(0, bool)
    if ties == "order":
        last[:] = True
    totals = (frames, len(truth.frames), len(np.unique(truth.marks)))
    columns = (np.append(0, np.cumsum(e)[last]) / n for e, n in zip(events, totals, strict=True))
    return Curves(*columns)


def _counts(ranks: Ints, size: int) -> Ints:
    return np.bincount(ranks[ranks < size], minlength=size)


def _track_ranks(first: Ints, tracks: NDArray[np.generic], alpha: float) -> Ints:
    """The rank at which each track has ``alpha`` of its regions found."""
    _, track = np.unique(tracks, return_inverse=True)
    order = np.lexsort((first, track))
    size = np.bincount(track)
    start = np.cumsum(size) - size
    # The smallest k with k / size >= alpha, computed as the comparison itself is.
    need = np.ceil(alpha * size - 1e-9).astype(np.int64).clip(1)
    need += need / size < alpha
    ranks: Ints = first[order][start + need - 1]
    return ranks


def area(fpr: ArrayLike, rate: ArrayLike) -> float:
    """Area under a rate over false positives per frame in [0, 1]; a curve that ends before 1 is extended level.

    >>> area([0, 0, 0.5], [0, 0.5, 0.5])
    0.5
    """
    x, y = np.asarray(fpr, np.float64), np.asarray(rate, np.float64)
    inside = x <= 1
    end = int(inside.sum())
    at_one = y[end - 1]
    if end < len(x):
        at_one += (y[end] - y[end - 1]) * (1 - x[end - 1]) / (x[end] - x[end - 1])
    return float(np.trapezoid(np.append(y[:end], at_one), np.append(x[:end], 1.0)))


def joined_regions(predictions: Mapping[str, Prediction], truths: Mapping[str, Truth]) -> tuple[Regions, Regions, int]:
    """Truth regions, detections and the number of frames of all videos; frames of unknown truth are left out."""
    real: list[tuple[NDArray[np.generic], ...]] = []
    detections: list[tuple[NDArray[np.generic], ...]] = []
    total, tracks = 0, 0
    for _, prediction, truth in paired(predictions, truths, "boxes"):
        assert prediction.boxes is not None
        valid = annotated_frames(truth, places(truth, masks_first=False))
        number = total + np.cumsum(valid) - 1
        frame, row = frame_rows(truth.boxes, truth.edges)
        named = np.where(truth.track < 0, -1 - np.arange(len(truth.track)), truth.track)
        _, track = np.unique(named, return_inverse=True)
        real.append((number[frame], truth.boxes[row, 2:], tracks + track[row]))
        frame, row = frame_rows(prediction.boxes.extents, truth.edges)
        frame, row = frame[valid[frame]], row[valid[frame]]
        detections.append((number[frame], prediction.boxes.extents[row, 2:], prediction.boxes.values[row]))
        total, tracks = total + int(valid.sum()), tracks + len(truth.track)
    joined = [Regions(*(np.concatenate(c) for c in zip(*rows, strict=True))) for rows in (real, detections)]
    return joined[0], joined[1], total


def compute(
    predictions: Mapping[str, Prediction],
    truths: Mapping[str, Truth],
    *,
    alpha: float = 0.1,
    beta: float = 0.1,
    ties: Ties = "merge",
) -> dict[str, float]:
    """``rbdc`` and ``tbdc``: areas under the rates of found regions and tracks for up to one false alarm per frame.

    A predicted row is one detection in each frame that it covers. A truth box without a track number is a track by
    itself. Frames with truth at an unknown place don't count. DataError without a truth box. Source:
    Ramachandra and Jones 2020.
    """
    truth, detections, frames = joined_regions(predictions, truths)
    line = curves(truth, detections, frames, alpha=alpha, beta=beta, ties=ties)
    return {"rbdc": area(line.fpr, line.rbdr), "tbdc": area(line.fpr, line.tbdr)}


PLUGIN = Metric(
    compute,
    names=("rbdc", "tbdc"),
    reads=("boxes",),
    needs=("times", "boxes"),
    source="Ramachandra and Jones 2020, Street Scene",
)
