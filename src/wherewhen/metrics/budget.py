"""Recall of events within a budget of false alarms a day, for alarms that last a second."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from wherewhen.budget.blocks import NONE, BlockMaker, Blocks, Lasting
from wherewhen.budget.bounds import upper_limit
from wherewhen.core.contracts import Metric
from wherewhen.core.errors import ConfigError, DataError
from wherewhen.core.values import Floats, Prediction, Truth
from wherewhen.metrics._pairs import paired
from wherewhen.metrics.delay import TOLERANCE, quiet_frames
from wherewhen.metrics.frame import frame_scores

BUDGETS = (1.0, 10.0, 100.0)
BOUND = "false_alarms_per_day_bound"


def lasting_peaks(scores: Floats, edges: Floats, spans: Floats, duration: float) -> Floats:
    """The highest score ``(S,)`` that lasts a duration, or all of a shorter span, within each span.

    >>> lasting_peaks(np.array([0.1, 0.9, 0.5, 0.1]), np.arange(5.0), np.array([[0.0, 4.0], [1.0, 2.0]]), 2.0).tolist()
    [0.5, 0.9]
    """
    peaks = []
    for start, end in spans:
        lasting, best = Lasting(min(duration, end - start)), NONE
        for first, last, score in zip(edges[:-1], edges[1:], scores, strict=True):
            if first < end and last > start:
                best = max(best, lasting(max(first, start), min(last, end), float(score)))
        peaks.append(best)
    return np.array(peaks, np.float64)


def quiet_blocks(scores: Floats, edges: Floats, quiet: np.ndarray, duration: float) -> list[Blocks]:
    """The blocks of the quiet frames ``(F,)`` of a video."""
    maker, parts = BlockMaker((duration,)), []
    for start, end, score, calm in zip(edges[:-1], edges[1:], scores, quiet, strict=True):
        if calm:
            parts += list(maker(float(start), float(end), float(score)))
    return [*parts, *maker.close()]


def compute(
    predictions: Mapping[str, Prediction],
    truths: Mapping[str, Truth],
    *,
    duration: float = 1.0,
    tolerance: float = TOLERANCE,
    budgets: Sequence[float] = BUDGETS,
) -> dict[str, float]:
    """Recall within a budget of false alarms a day, where an alarm is a score that lasts ``duration`` seconds.

    ``recall@b/day``: share of spans with an alarm at the lowest threshold that at most b blocks of a minute a day reach
    in quiet time, more than ``tolerance`` seconds from every span. ``false_alarms_per_day_bound@b/day``: upper 95 %
    confidence bound on the false alarms a day at that threshold; it exceeds the budget where quiet time is short. The
    threshold is chosen on the test videos, so both tell what is possible, not what a calibrated camera has. DataError
    without a span, or without quiet time.
    """
    if tolerance < 0 or duration < 0:
        raise ConfigError(f"budget: expected seconds, 0 or more, got tolerance {tolerance} and duration {duration}")
    peaks, parts = [], []
    for _, prediction, truth in paired(predictions, truths, "frames"):
        scores, edges = frame_scores(prediction, truth).astype(np.float64), truth.edges
        peaks.append(lasting_peaks(scores, edges, truth.spans, duration))
        parts += quiet_blocks(scores, edges, quiet_frames(edges, truth.spans, tolerance), duration)
    tops = np.concatenate([np.empty(0), *peaks])
    if not parts or not len(tops):
        lacking = "span in the truth" if parts else "quiet time: every frame is within the tolerance of a span"
        raise DataError(f"recall within a budget of false alarms: no {lacking}")
    blocks = Blocks.joined(parts)
    falling = np.sort(blocks.peaks[:, 0])[::-1]
    numbers = {}
    for budget in budgets:
        count = min(int(budget * blocks.days + 1e-9), len(falling))
        level = np.nextafter(falling[count], np.inf) if count < len(falling) else NONE
        numbers[f"recall@{budget:g}/day"] = float((tops >= level).mean())
        numbers[f"{BOUND}@{budget:g}/day"] = upper_limit(count) / blocks.days
    return numbers


UPPER = tuple(f"{BOUND}@{budget:g}/day" for budget in BUDGETS)

PLUGIN = Metric(
    compute,
    names=(*(f"recall@{budget:g}/day" for budget in BUDGETS), *UPPER),
    reads=("frames",),
    needs=("times", "events", "quiet"),
    source="defined in docs/metrics.md",
    lower_is_better=UPPER,
)
