"""Temporal detection mAP as VadCLIP's script computes it, from class probabilities per frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wherewhen.core.errors import DataError

Floats = NDArray[np.float64]
THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5)


def vadclip_proposals(column: ArrayLike) -> Floats:
    """Segments ``(N, 3)`` start, end (past the last frame), score, from one class's frame scores ``(T,)``.

    A segment is a stretch of at least 2 frames above ``max - 0.6 (max - min)``; its score is its maximum + 0.7
    times the mean of the highest ``T // 16`` scores of the video.

    >>> vadclip_proposals([0.0, 1.0, 1.0, 0.0]).tolist()
    [[1.0, 3.0, 1.7]]
    """
    scores = np.asarray(column)
    active = scores > scores.max() - 0.6 * (scores.max() - scores.min())
    change = np.diff(np.r_[False, active, False].astype(np.int8))
    starts, ends = np.flatnonzero(change == 1), np.flatnonzero(change == -1)
    long = ends - starts >= 2
    context = np.sort(scores)[::-1][: max(len(scores) // 16, 1)].mean()
    rows = [(a, b, scores[a:b].max() + 0.7 * context) for a, b in zip(starts[long], ends[long], strict=True)]
    return np.array(rows, np.float64).reshape(-1, 3)


def _average_precision(
    proposals: list[tuple[int, float, float, float]], truth: list[Floats], threshold: float
) -> float:
    left = [list(map(tuple, segments)) for segments in truth]
    total, hits, precisions = sum(map(len, left)), 0, 0.0
    for rank, (video, start, end, _) in enumerate(sorted(proposals, key=lambda row: -row[3]), 1):
        overlaps = [_overlap(start, end, *segment) for segment in left[video]]
        best = int(np.argmax(overlaps)) if overlaps else -1
        if best >= 0 and overlaps[best] >= threshold:
            del left[video][best]
            hits += 1
            precisions += hits / rank
    return precisions / total if total else 0.0


def _overlap(a0: float, a1: float, b0: float, b1: float) -> float:
    both = max(min(a1, b1) - max(a0, b0), 0.0)
    return both / (a1 - a0 + b1 - b0 - both)


def vadclip_detection_map(
    scores: Sequence[ArrayLike],
    segments: Sequence[ArrayLike],
    labels: Sequence[Sequence[str]],
    classes: Sequence[str],
    *,
    thresholds: Sequence[float] = THRESHOLDS,
    first: int | None = None,
) -> list[float]:
    """Detection mAP in [0, 1] at each tIoU threshold, compatible with VadCLIP's ``getDetectionMAP``.

    ``scores``: ``(T, C)`` class probabilities per frame of each video. ``segments``: ``(S, 2)`` frames, half-open.
    ``labels``: a class name for each segment. ``first``: only so many videos, as its ``excludeNormal`` does with
    140 (UCF-Crime) and 500 (XD-Violence). Its peculiarities are kept: a class without truth has AP 0, and a class
    without any proposal makes the whole mAP 0. For a clean number use ``temporal_map``. DataError if the lists
    differ in length. Source: Wu et al. 2024, VadCLIP.
    """
    if not len(scores) == len(segments) == len(labels):
        raise DataError(f"{len(scores)} videos' scores, {len(segments)} of segments, {len(labels)} of labels")
    tables = [np.asarray(table) for table in scores][:first]
    spans = [np.asarray(rows, np.float64).reshape(-1, 2) for rows in segments][:first]
    detections: list[list[tuple[int, float, float, float]]] = []
    truth: list[list[Floats]] = []
    for number, name in enumerate(classes):
        proposals = [vadclip_proposals(table[:, number]) for table in tables]
        detections.append([(video, *row) for video, rows in enumerate(proposals) for row in rows.tolist()])
        truth.append([rows[[label == name for label in names]] for rows, names in zip(spans, labels, strict=False)])
    if not all(detections):
        return [0.0] * len(thresholds)
    return [
        float(np.mean([_average_precision(f, t, threshold) for f, t in zip(detections, truth, strict=True)]))
        for threshold in thresholds
    ]
