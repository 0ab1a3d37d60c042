"""How many events a model misses, estimated from random clips below its threshold that a person judged."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from wherewhen.review.judged import CONFIRMED

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Misses:
    """Judged random clips without an alarm, and how many of them show an event.

    ``low``, ``high``: 95 % interval of the share of such clips that show one (Clopper and Pearson 1934).
    """

    audited: int
    missed: int
    low: float
    high: float


def misses(verdicts: Iterable[str]) -> Misses:
    """The estimate from the verdicts of audit items; those that are unsure don't count.

    >>> misses(["false"] * 20)
    Misses(audited=20, missed=0, low=0.0, high=0.1684)
    """
    from scipy.stats import beta

    shows = [verdict in CONFIRMED for verdict in verdicts if verdict != "unsure"]
    n, k = len(shows), sum(shows)
    tail = (1 - CONFIDENCE) / 2
    low = float(beta.ppf(tail, k, n - k + 1)) if k else 0.0
    high = float(beta.ppf(1 - tail, k + 1, n - k)) if k < n else 1.0
    return Misses(n, k, round(low, 4), round(high, 4))
