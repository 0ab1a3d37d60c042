"""Confidence bounds on the number of alarms a day."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

CONFIDENCE = 0.95
CLUSTERED = 1.5  # ratio of variance to mean of daily counts from which exposure is reduced
LEAST_DAYS = 3  # for a variance


def upper_limit(count: int, confidence: float = CONFIDENCE) -> float:
    """Upper confidence limit of the mean of a Poisson count.

    >>> [round(upper_limit(count), 2) for count in range(5)]
    [3.0, 4.74, 6.3, 7.75, 9.15]
    """
    from scipy.special import gammaincinv

    return float(gammaincinv(count + 1, confidence))


def allowed(limit: float, confidence: float = CONFIDENCE) -> int | None:
    """The largest count whose `upper_limit` is at most ``limit``; None if zero alarms would not be enough.

    >>> [allowed(limit) for limit in (1, 3, 7, 14, 30)]
    [None, 0, 2, 7, 20]
    """
    if upper_limit(0, confidence) > limit:
        return None
    count = int(limit)
    while upper_limit(count, confidence) > limit:
        count -= 1
    return count


def clustering(daily: ArrayLike) -> float | None:
    """Variance divided by mean of daily counts ``(days,)``: 1 for independent alarms; None where it can't be measured.

    >>> round(clustering([0, 0, 6, 0, 0, 6]), 2)
    4.8
    """
    counts = np.asarray(daily, np.float64)
    if len(counts) < LEAST_DAYS or not counts.sum():
        return None
    return float(counts.var(ddof=1) / counts.mean())


def share_of_time(ratio: float | None, days: int) -> float:
    """Share of the footage that counts, where `clustering` is ``ratio`` over so many days.

    It is less than 1 where the ratio is above 1.5 and above what independent alarms show in 95 of 100 cases.

    >>> share_of_time(4.0, 30), share_of_time(1.6, 4)
    (0.25, 1.0)
    """
    from scipy.stats import chi2

    if ratio is None or ratio <= max(CLUSTERED, chi2.ppf(CONFIDENCE, days - 1) / (days - 1)):
        return 1.0
    return 1 / ratio


def conformal(daily: ArrayLike, cap: float) -> float | None:
    """Bound of the expected number of alarms of the next day, where at most ``cap`` a day are sent.

    ``n / (n + 1) mean + cap / (n + 1)`` of n daily counts ``(n,)``: conformal risk control (Angelopoulos et al., ICLR
    2024), which assumes only that days are exchangeable. None without a day.

    >>> conformal([0, 1, 0, 1], cap=3)
    1.0
    """
    counts = np.minimum(np.asarray(daily, np.float64), cap)
    n = len(counts)
    return float(counts.sum() + cap) / (n + 1) if n else None


def days_for(per_day: float, confidence: float = CONFIDENCE) -> float:
    """Days without an alarm that are needed for a promise of ``per_day`` alarms.

    >>> round(days_for(1), 1)
    3.0
    """
    return math.inf if per_day <= 0 else upper_limit(0, confidence) / per_day
