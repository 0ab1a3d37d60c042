"""Alarms for an operator: delay, false alarm rate, and recall at a budget of false alarms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wherewhen.core.contracts import Metric
from wherewhen.core.errors import ConfigError, DataError
from wherewhen.core.values import Prediction, Truth
from wherewhen.metrics._pairs import paired
from wherewhen.metrics.frame import frame_scores

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
TOLERANCE = 2.0  # seconds from a span within which an alarm isn't false
BUDGETS = (1.0, 10.0, 60.0)


def first_alarms(scores: ArrayLike, edges: ArrayLike, spans: ArrayLike, threshold: float) -> Floats:
    """Seconds ``(S,)`` from the start of each span to the first alarm within it; NaN if there is none.

    ``scores`` ``(F,)`` of frames with ``edges`` ``(F + 1,)``; a frame is in alarm from its start if its score is at
    or above the threshold, and belongs to a span if its middle does. An alarm that lasts since before has delay 0.

    >>> first_alarms([0, 0, 1, 0], [0, 1, 2, 3, 4], [[1, 4], [3, 4]], 0.5).tolist()
    [1.0, nan]
    """
    borders, rows = np.asarray(edges, np.float64), np.asarray(spans, np.float64).reshape(-1, 2)
    middles = (borders[1:] + borders[:-1]) / 2
    alarms = np.flatnonzero(np.asarray(scores).reshape(-1) >= threshold)
    if not len(alarms):
        return np.full(len(rows), np.nan)
    number = np.searchsorted(middles[alarms], rows[:, 0])
    first = alarms[number.clip(0, len(alarms) - 1)]
    inside = (number < len(alarms)) & (middles[first] < rows[:, 1])
    return np.where(inside, (borders[first] - rows[:, 0]).clip(0), np.nan)


def quiet_frames(edges: ArrayLike, spans: ArrayLike, tolerance: float) -> Bools:
    """Frames ``(F,)`` whose middle is more than ``tolerance`` seconds from every span: an alarm in them is false.

    >>> quiet_frames([0, 1, 2, 3, 4], [[0, 1]], 1).tolist()
    [False, False, True, True]
    """
    borders = np.asarray(edges, np.float64)
    middles = (borders[1:] + borders[:-1]) / 2
    quiet = np.ones(len(middles), bool)
    for start, end in np.asarray(spans, np.float64).reshape(-1, 2):
        quiet &= (middles < start - tolerance) | (middles >= end + tolerance)
    return quiet


def alarm_starts(scores: ArrayLike, quiet: ArrayLike) -> Floats:
    """Levels ``(N, 2)``: one false alarm begins at any threshold in ``(low, high]``, a row per frame that can begin it.

    A false alarm is a longest stretch of quiet frames in alarm; where it borders on frames that aren't quiet, it
    is cut.

    >>> alarm_starts([0.2, 0.9, 0.5, 0.6], [True, True, True, True]).round(1).tolist()
    [[-inf, 0.2], [0.2, 0.9], [0.5, 0.6]]
    """
    values, calm = np.asarray(scores, np.float64).reshape(-1), np.asarray(quiet, bool).reshape(-1)
    before = np.append(-np.inf, np.where(calm[:-1], values[:-1], -np.inf))
    rising = calm & (values > before)
    return np.stack([before[rising], values[rising]], -1)


def false_alarms(levels: ArrayLike, threshold: float) -> int:
    """Number of false alarms at a threshold, from :func:`alarm_starts` of all videos.

    >>> false_alarms([[-np.inf, 0.2], [0.2, 0.9], [0.5, 0.6]], 0.55)
    2
    """
    low, high = np.asarray(levels, np.float64).reshape(-1, 2).T
    return int(np.sum((low < threshold) & (threshold <= high)))


def recall_at_budget(peaks: ArrayLike, levels: ArrayLike, hours: float, budget: float) -> float:
    """Highest share of spans with an alarm, going down with the threshold until false alarms exceed the budget.

    ``peaks`` ``(S,)``: highest score within each span; ``levels``: :func:`alarm_starts`; ``budget``: false alarms
    per hour of ``hours`` quiet hours. The search ends where the budget is first exceeded: a low threshold that joins
    all alarms to one doesn't count as few alarms.

    >>> recall_at_budget([0.7, 0.3], [[-np.inf, 0.2], [0.2, 0.5]], hours=1, budget=0)
    0.5
    """
    tops, (low, high) = np.asarray(peaks, np.float64).reshape(-1), np.asarray(levels, np.float64).reshape(-1, 2).T
    if not len(tops):
        raise DataError("no span in the truth: recall of events needs at least one")
    thresholds = np.unique(np.concatenate([tops[np.isfinite(tops)], high]))[::-1]
    begun = len(high) - np.searchsorted(np.sort(high), thresholds)
    gone = len(low) - np.searchsorted(np.sort(low), thresholds)
    allowed = np.logical_and.accumulate(begun - gone <= budget * hours)
    return float(np.mean(tops >= thresholds[allowed].min())) if allowed.any() else 0.0


@dataclass(frozen=True, slots=True)
class _Watch:
    """One video: delays and highest scores of its spans, levels of its false alarms, quiet seconds and alarmed ones."""

    delays: Floats
    peaks: Floats
    levels: Floats
    quiet: float
    alarmed: float


def _one_video(prediction: Prediction, truth: Truth, threshold: float, tolerance: float) -> _Watch:
    scores = frame_scores(prediction, truth).astype(np.float64)
    middles, lengths = (truth.edges[1:] + truth.edges[:-1]) / 2, np.diff(truth.edges)
    ranges = np.searchsorted(middles, truth.spans)
    peaks = np.array([scores[first:last].max(initial=-np.inf) for first, last in ranges])
    quiet = quiet_frames(truth.edges, truth.spans, tolerance)
    return _Watch(
        first_alarms(scores, truth.edges, truth.spans, threshold),
        peaks,
        alarm_starts(scores, quiet),
        float(lengths[quiet].sum()),
        float(lengths[quiet & (scores >= threshold)].sum()),
    )


def compute(
    predictions: Mapping[str, Prediction],
    truths: Mapping[str, Truth],
    *,
    threshold: float = 0.5,
    tolerance: float = TOLERANCE,
    budgets: Sequence[float] = BUDGETS,
) -> dict[str, float]:
    """Delay, false alarms and recall of alarms = frames with a score at or above ``threshold``.

    ``detection_delay``: mean seconds from a span's start to the first alarm in it, over the spans that have one;
    ``detection_delay_median``; ``missed_events``: share of the spans without one. ``false_alarms_per_hour`` and
    ``false_alarms_per_camera_day``: alarms more than ``tolerance`` seconds from every span, per hour (24 hours) of
    such quiet time; ``false_alarm_share``: share of the quiet time in alarm. ``recall@b/h`` for each of the
    ``budgets``: highest share of spans found with at most b false alarms per quiet hour, at any threshold.
    Numbers that need a span, or quiet time, are absent without one.
    """
    if tolerance < 0:
        raise ConfigError(f"tolerance: expected seconds, 0 or more, got {tolerance}")
    videos = [_one_video(p, t, threshold, tolerance) for _, p, t in paired(predictions, truths, "frames")]
    delays, peaks = (np.concatenate([getattr(video, name) for video in videos]) for name in ("delays", "peaks"))
    levels, hours = np.concatenate([video.levels for video in videos]), sum(video.quiet for video in videos) / 3600
    numbers: dict[str, float] = {}
    detected = delays[~np.isnan(delays)]
    if len(detected):
        numbers |= {"detection_delay": float(detected.mean()), "detection_delay_median": float(np.median(detected))}
    if len(delays):
        numbers["missed_events"] = 1 - len(detected) / len(delays)
    if hours:
        rate = false_alarms(levels, threshold) / hours
        share = sum(video.alarmed for video in videos) / 3600 / hours
        numbers |= {"false_alarms_per_hour": rate, "false_alarms_per_camera_day": 24 * rate, "false_alarm_share": share}
    if len(delays) and hours:
        numbers |= {f"recall@{budget:g}/h": recall_at_budget(peaks, levels, hours, budget) for budget in budgets}
    return numbers


LOWER = (
    "detection_delay",
    "detection_delay_median",
    "missed_events",
    "false_alarms_per_hour",
    "false_alarms_per_camera_day",
    "false_alarm_share",
)

PLUGIN = Metric(
    compute,
    names=(
        *LOWER,
        *(f"recall@{budget:g}/h" for budget in BUDGETS),
    ),
    reads=("frames",),
    needs=("times",),
    source="defined in docs/metrics.md",
    lower_is_better=LOWER,
)
