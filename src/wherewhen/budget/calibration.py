"""From blocks of normal footage to a threshold with a promise."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from wherewhen.budget.blocks import BLOCK, DAY, Blocks
from wherewhen.budget.bounds import CONFIDENCE, allowed, clustering, conformal, days_for, share_of_time, upper_limit
from wherewhen.budget.tail import Tail
from wherewhen.core.errors import ConfigError
from wherewhen.core.values import Floats

MEASURABLE = 5.0  # alarms a day at which their clustering is measured
USUAL = 1.0  # seconds that an alarm lasts, where no confirmed event says better


@dataclass(frozen=True)
class Calibration:
    """A threshold for at most ``per_day`` false alarms a day, and what is known about it.

    An alarm starts where the score is at ``threshold`` or above for ``duration`` seconds. ``method``: *bound* holds
    with the stated confidence, *extrapolated* is a Pareto tail without any guarantee, for footage that is too short.
    ``count``: blocks of a minute in alarm in the ``days`` of footage; ``upper``: upper confidence bound of their number
    a day; ``clustering``: variance divided by mean of daily counts; ``share``: of the footage that counts because of
    it; ``expected``: conformal bound of the mean number of alarms of a day of which at most ``cap`` are sent;
    ``missing_hours``: footage to add before a promise is possible; ``recall``: share of confirmed events that are
    still an alarm.
    """

    per_day: float
    threshold: float
    duration: float
    method: Literal["bound", "extrapolated"]
    count: int
    days: float
    upper: float
    cap: float
    confidence: float = CONFIDENCE
    clustering: float | None = None
    share: float = 1.0
    expected: float | None = None
    missing_hours: float = 0.0
    recall: float | None = None

    def plain(self) -> dict[str, Any]:
        """The fields, as JSON has them."""
        return asdict(self)

    def lines(self) -> list[str]:
        """What is promised, in words."""
        hours = self.days * 24
        measured = f"{self.count} alarms in {hours:.3g} hours of footage"
        level = f"threshold {self.threshold:.4g} for {self.duration:g} s"
        if self.method == "extrapolated":
            return [
                f"{level}: EXTRAPOLATED to {self.per_day:g} alarms a day, without a guarantee ({measured}: up to "
                f"{self.upper:.3g} a day); a promise needs {self.missing_hours:.3g} more hours of normal footage"
            ]
        text = [f"{level}: at most {self.upper:.3g} alarms a day with {self.confidence:.0%} confidence ({measured})"]
        if self.share < 1:
            text.append(
                f"alarms come in clusters (variance / mean of daily counts {self.clustering:.2g}): the footage counts "
                f"as {hours * self.share:.3g} hours"
            )
        if self.expected is not None:
            text.append(f"at most {self.expected:.3g} alarms are expected of a day, with a limit of {self.cap:g} a day")
        if self.recall is not None:
            text.append(f"{self.recall:.0%} of the confirmed events are alarms")
        return text


def calibrate(
    blocks: Blocks,
    per_day: float,
    *,
    confirmed: Floats | None = None,
    cap: float | None = None,
    confidence: float = CONFIDENCE,
) -> Calibration:
    """The lowest threshold whose number of false alarms a day is at most ``per_day`` with this confidence.

    Going down from the highest threshold, it stops before the blocks in alarm exceed the largest number whose Poisson
    upper limit is within the budget. The order is fixed, so the bound holds for the threshold that is found; several
    durations share the error between them. Where daily counts are clustered, the footage counts as less.

    Args:
        blocks: blocks of footage that is normal, or whose alarms count as false.
        per_day: wished number of false alarms a day.
        confirmed: peaks ``(E, D)`` of confirmed events for the durations of ``blocks``; they choose the duration.
        cap: most alarms that are sent a day; None: five times the budget.
        confidence: of the bound.

    Returns:
        The threshold and its duration; extrapolated where the footage is too short for the bound.

    Raises:
        ConfigError: the budget is not above 0.
        DataError: footage of fewer than 20 minutes.
    """
    if not 0 < per_day < math.inf:
        raise ConfigError(f"alarms per day: expected a number above 0, got {per_day}")
    most = math.ceil(5 * per_day) if cap is None else cap
    chosen = range(len(blocks.durations)) if confirmed is not None and len(confirmed) else [_usual(blocks)]
    sure = 1 - (1 - confidence) / len(chosen)
    options = [_bounded(blocks, index, per_day, most, sure) for index in chosen]
    valid = [(index, option) for index, option in zip(chosen, options, strict=True) if option is not None]
    if not valid:
        return _extrapolated(blocks, _usual(blocks), per_day, most, confidence)
    if confirmed is None or not len(confirmed):
        return valid[0][1]
    recalls = [float((confirmed[:, index] >= option.threshold).mean()) for index, option in valid]
    best = int(np.argmax(recalls))  # of equal ones the shortest
    fields = {**valid[best][1].plain(), "recall": recalls[best], "confidence": confidence}
    return Calibration(**fields)


def _usual(blocks: Blocks) -> int:
    return int(np.argmin(np.abs(np.asarray(blocks.durations) - USUAL)))


def _bounded(blocks: Blocks, index: int, per_day: float, cap: float, confidence: float) -> Calibration | None:
    peaks = np.sort(blocks.peaks[:, index])[::-1]
    daily = blocks.of_day(_above(peaks, math.ceil(max(per_day, MEASURABLE) * blocks.days)), index)
    ratio = clustering(daily)
    share = share_of_time(ratio, len(daily))
    days = blocks.days * share
    count = allowed(per_day * days, confidence)
    if count is None:
        return None
    level = _above(peaks, count)
    reached = int((peaks >= level).sum())
    return Calibration(
        per_day,
        level,
        blocks.durations[index],
        "bound",
        reached,
        blocks.days,
        upper_limit(count, confidence) / days,
        cap,
        confidence,
        ratio,
        share,
        conformal(blocks.of_day(level, index), cap),
    )


def _above(peaks: Floats, count: int) -> float:
    """The lowest level that at most ``count`` of the falling peaks reach."""
    return float(np.nextafter(peaks[count], np.inf)) if count < len(peaks) and np.isfinite(peaks[count]) else 0.0


def _extrapolated(blocks: Blocks, index: int, per_day: float, cap: float, confidence: float) -> Calibration:
    peaks = blocks.peaks[:, index]
    level = Tail.of(peaks).level(per_day, BLOCK)
    count = int((peaks >= level).sum())
    return Calibration(
        per_day,
        level,
        blocks.durations[index],
        "extrapolated",
        count,
        blocks.days,
        upper_limit(count, confidence) / blocks.days,
        cap,
        confidence,
        expected=conformal(blocks.of_day(level, index), cap),
        missing_hours=max(0.0, days_for(per_day, confidence) - blocks.days) * DAY / 3600,
    )
