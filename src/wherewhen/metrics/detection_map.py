"""Average precision of events: of spans in time and of tubes in time and place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wherewhen.core.contracts import Metric, classes_of
from wherewhen.core.errors import DataError
from wherewhen.core.values import Event, Floats, Prediction, Scores, Truth
from wherewhen.metrics._curves import operating_points
from wherewhen.metrics._pairs import paired
from wherewhen.metrics._regions import annotated_frames, places
from wherewhen.metrics._vadclip import THRESHOLDS, vadclip_detection_map, vadclip_proposals
from wherewhen.metrics.tiou import box_iou
from wherewhen.metrics.wsstad import Tubes, tubes

__all__ = ["compute", "detection_ap", "hits", "span_iou", "tube_iou", "vadclip_detection_map", "vadclip_proposals"]

TUBE_THRESHOLDS = (0.1, 0.2, 0.5)
ScoredOverlaps = tuple[Floats, Floats]

ROUNDING = 1e-9  # of an overlap that is a sum: 0.1 may come as 0.09999999999999999


def span_iou(predicted: ArrayLike, truth: ArrayLike) -> Floats:
    """Overlap in time ``(N, S)`` of spans ``(N, 2)`` with spans ``(S, 2)``, in seconds, half-open.

    >>> span_iou([[0, 2]], [[1, 3], [5, 6]]).round(3).tolist()
    [[0.333, 0.0]]
    """
    a, b = np.asarray(predicted, np.float64).reshape(-1, 1, 2), np.asarray(truth, np.float64).reshape(1, -1, 2)
    both = (np.minimum(a[..., 1], b[..., 1]) - np.maximum(a[..., 0], b[..., 0])).clip(0)
    union = a[..., 1] - a[..., 0] + b[..., 1] - b[..., 0] - both
    overlap: Floats = np.divide(both, union, out=np.zeros_like(both), where=union > 0)
    return overlap


def tube_iou(predicted: Tubes, truth: Tubes, within: NDArray[np.bool_]) -> Floats:
    """Overlap ``(N, S)`` of tubes: sum of box overlaps over shared frames, over the frames that either has.

    Equal to the overlap in time times the mean overlap of boxes while both last. ``within`` ``(F,)``: frames that
    count.
    """
    overlap = np.zeros((len(predicted.scores), len(truth.scores)))
    use = within[predicted.frame]
    tube, frame, boxes = predicted.tube[use], predicted.frame[use], predicted.boxes[use]
    lasting = np.bincount(tube, minlength=len(overlap))
    for number in range(len(truth.scores)):
        of_truth = (truth.tube == number) & within[truth.frame]
        row_of = np.full(len(within), -1)
        row_of[truth.frame[of_truth]] = np.flatnonzero(of_truth)
        shared = row_of[frame] >= 0
        total = np.bincount(tube[shared], box_iou(boxes[shared], truth.boxes[row_of[frame[shared]]]), len(overlap))
        union = lasting + of_truth.sum() - np.bincount(tube[shared], minlength=len(overlap))
        overlap[:, number] = np.divide(total, union, out=np.zeros(len(overlap)), where=union > 0)
    return overlap


def hits(scores: ArrayLike, overlaps: ArrayLike, threshold: float) -> NDArray[np.bool_]:
    """Which of one video's detections ``(N,)`` are correct, from the highest score down.

    ``overlaps`` ``(N, S)``. Each takes the truth that it overlaps most among those still free, if by at least the
    threshold; a truth is matched once. Of equal scores the larger overlap comes first, then the larger next one.

    >>> hits([0.9, 0.8], [[0.6], [0.7]], 0.5).tolist()
    [True, False]
    """
    values, table = np.asarray(scores, np.float64).reshape(-1), np.array(overlaps, np.float64)
    correct = np.zeros(len(values), bool)
    if not table.size:
        return correct
    keys = np.concatenate([-values[:, None], np.sort(-table, 1), -table], 1)
    for row in np.lexsort(keys.T[::-1]):
        best = int(table[row].argmax())
        if table[row, best] >= threshold - ROUNDING:
            correct[row] = True
            table[:, best] = -1.0
    return correct


def detection_ap(videos: Sequence[ScoredOverlaps], threshold: float, interpolated: bool = True) -> float:
    """Average precision of detections over videos of ``(scores (N,), overlaps (N, S))``.

    ``interpolated`` takes the highest precision at any larger recall (ActivityNet), else that of each step; equal
    scores are one point. DataError if no video holds a truth. Source: Caba Heilbron et al. 2015.

    >>> detection_ap([(np.array([0.9, 0.8]), np.array([[0.1], [0.7]]))], 0.5)
    0.5
    """
    total = sum(np.shape(overlaps)[1] for _, overlaps in videos)
    if not total:
        raise DataError("no event in the truth: average precision needs at least one")
    scores = np.concatenate([np.asarray(values, np.float64).reshape(-1) for values, _ in videos])
    correct = np.concatenate([hits(values, overlaps, threshold) for values, overlaps in videos])
    _, tp, fp = operating_points(scores, correct)
    if not len(tp):
        return 0.0
    precision = tp / (tp + fp)
    if interpolated:
        precision = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(tp, prepend=0) * precision) / total)


def _truth_tubes(truth: Truth) -> tuple[Tubes, list[str | None]]:
    """Boxes that share a track, or a span if they have none, as tubes; and the category of each."""
    spans = truth.spans
    shared = np.zeros((len(truth.boxes), max(len(spans), 1)))
    if len(spans):
        low, high = np.maximum(truth.boxes[:, :1], spans[:, 0]), np.minimum(truth.boxes[:, 1:2], spans[:, 1])
        shared = (high - low).clip(0)
    by_span = truth.track.max(initial=-1) + 1 + shared.argmax(1)
    names, number = np.unique(np.where(truth.track < 0, by_span, truth.track), return_inverse=True)
    per_tube = np.zeros((len(names), shared.shape[1]))
    np.add.at(per_tube, number, shared)
    categories = [truth.categories[best] if truth.categories else None for best in per_tube.argmax(1)]
    return tubes(Scores(truth.boxes, np.zeros(len(number)), number), truth.edges), categories


def _event_tubes(events: Sequence[Event], edges: Floats) -> Tubes:
    rows = np.concatenate([np.empty((0, 6)), *(event.extents for event in events)])
    number = np.repeat(np.arange(len(events)), [len(event.extents) for event in events])
    event_tubes = tubes(Scores(rows, np.zeros(len(rows)), number), edges)
    return replace(event_tubes, scores=np.array([event.score for event in events], np.float64))


def _numbers(
    name: str,
    videos: list[tuple[ScoredOverlaps, list[str | None], list[str | None]]],
    thresholds: Sequence[float],
    interpolated: bool,
) -> dict[str, float]:
    """AP of all events alike, and its mean over classes where truth and events have names; ``a+b`` is of both."""
    kinds: dict[str, Callable[[float], float]] = {
        f"{name}_ap": lambda threshold: detection_ap([judged for judged, _, _ in videos], threshold, interpolated)
    }
    classes = sorted({c for _, _, real in videos for names in real for c in classes_of(names)})
    if classes and any(c is not None for _, named, _ in videos for c in named):
        parts = [[_of_class(*video, c) for video in videos] for c in classes]
        kinds[f"{name}_map"] = lambda threshold: float(
            np.mean([detection_ap(p, threshold, interpolated) for p in parts])
        )
    numbers: dict[str, float] = {}
    for kind, number in kinds.items():
        values = [number(threshold) for threshold in thresholds]
        numbers[kind] = float(np.mean(values))
        numbers |= {f"{kind}@{threshold:g}": value for threshold, value in zip(thresholds, values, strict=True)}
    return numbers


def _of_class(scored: ScoredOverlaps, predicted: list[str | None], real: list[str | None], name: str) -> ScoredOverlaps:
    rows, columns = (np.array([name in classes_of(n) for n in names], bool) for names in (predicted, real))
    return scored[0][rows], scored[1][rows][:, columns]


def compute(
    predictions: Mapping[str, Prediction],
    truths: Mapping[str, Truth],
    *,
    thresholds: Sequence[float] = THRESHOLDS,
    tube_thresholds: Sequence[float] = TUBE_THRESHOLDS,
    interpolated: bool = True,
) -> dict[str, float]:
    """Average precision of events against spans (``temporal_``) and against tubes of truth boxes (``tube_``).

    ``temporal_ap@t``, ``tube_ap@t``: at least ``t`` overlap, class names ignored; ``temporal_map@t``,
    ``tube_map@t``: mean over the classes of the truth, only where truth and events have names; without ``@`` the
    mean over thresholds. A span of several classes (``a+b``) is one event for ``ap`` and one of each class for ``map``:
    the class-wise annotation of XD-Violence that VadCLIP is judged by writes it once for each. Truth boxes without a
    track number form one tube per span. Numbers of tubes are absent without truth boxes. DataError if the truth holds
    no span. Source: Caba Heilbron et al. 2015 (ActivityNet); Weinzaepfel et al. 2015 (tubes).
    """
    in_time, in_place = [], []
    for _, prediction, truth in paired(predictions, truths, "events"):
        events = prediction.events
        scores = np.array([event.score for event in events], np.float64)
        event_names: list[str | None] = [event.category for event in events]
        spans = np.array([(event.start, event.end) for event in events]).reshape(-1, 2)
        real: list[str | None] = list(truth.categories) or [None] * len(truth.spans)
        in_time.append(((scores, span_iou(spans, truth.spans)), event_names, real))
        valid = annotated_frames(truth, places(truth, masks_first=False))
        real_tubes, categories = _truth_tubes(truth)
        in_place.append(
            ((scores, tube_iou(_event_tubes(events, truth.edges), real_tubes, valid)), event_names, categories)
        )
    numbers = _numbers("temporal", in_time, thresholds, interpolated)
    if any(categories for _, _, categories in in_place):
        numbers |= _numbers("tube", in_place, tube_thresholds, interpolated)
    return numbers


PLUGIN = Metric(
    compute,
    names=tuple(
        f"{kind}{number}{at}"
        for kind, at_all in (("temporal", THRESHOLDS), ("tube", TUBE_THRESHOLDS))
        for number in ("_ap", "_map")
        for at in ("", *(f"@{threshold:g}" for threshold in at_all))
    ),
    reads=("events",),
    needs=("times", "events"),
    source="Caba Heilbron et al. 2015, ActivityNet; Weinzaepfel et al. 2015; Wu et al. 2024 (VadCLIP variant)",
)
