"""Normal video scored out of fold: which score is reached how often."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from wherewhen.core.errors import ConfigError
from wherewhen.core.values import Floats

BLOCK = 10.0  # seconds of normal video in which alarms count as one
DAY = 24.0
CONFIDENCE = 0.95


@dataclass(frozen=True, eq=False)
class NormalTime:
    """Highest raw frame scores ``(K,)`` of each 10 seconds of normal videos, which last ``hours``.

    Each is by a model that was not trained on its video.
    """

    maxima: Floats
    hours: float

    def __repr__(self) -> str:
        return f"NormalTime({self.hours:.3g} hours)"

    def level(self, per_day: float) -> float:
        """The lowest raw score that is reached at most so many times a day; ConfigError for no rate.

        Of several scores between two of the maxima, the middle one.

        >>> NormalTime(np.array([0.1, 0.5, 0.3]), 24.0).level(1)
        0.4
        """
        allowed = math.floor(rate(per_day) * self.hours / DAY + 1e-9)
        falling = np.sort(self.maxima)[::-1]
        if allowed >= len(falling):
            return 0.0
        above = float(falling[allowed - 1]) if allowed else 1.0
        if above > falling[allowed]:
            return float((falling[allowed] + above) / 2)
        return min(float(np.nextafter(above, 2)), 1.0)

    def count(self, level: float) -> int:
        """How many times a raw score is reached."""
        return int((self.maxima >= level).sum())

    def bound(self, level: float, confidence: float = CONFIDENCE) -> float:
        """Upper confidence bound on how many times a day a raw score is reached.

        The exact bound of a Poisson count. It also holds for a level that was chosen by these maxima (`level`), as long
        as the maxima are independent: the share above the k-th highest of them has a known distribution.

        >>> round(NormalTime(np.array([0.1, 0.5, 0.3]), 24.0).bound(0.6), 2)
        3.0
        """
        from scipy.special import gammaincinv

        return float(gammaincinv(self.count(level) + 1, confidence)) * DAY / self.hours

    def caution(self, per_day: float) -> str | None:
        """Why this time is too short for a rate of alarms; None where it is not.

        With no alarm in a time, the rate is below 3 in that time with 95 % confidence (rule of three).
        """
        if rate(per_day) * self.hours >= DAY:
            return None
        return (
            f"{per_day:g} alarms a day can't be measured in {self.hours:.2g} hours of normal video, where one alarm is "
            f"{DAY / self.hours:.3g} a day: the threshold is above all of it, and the rate may be up to "
            f"{3 * DAY / self.hours:.3g} a day (95 % confidence); add normal video"
        )


def rate(per_day: object) -> float:
    """Alarms a day as a number; ConfigError for something else.

    >>> rate(2)
    2.0
    """
    if isinstance(per_day, bool) or not isinstance(per_day, int | float) or not 0 < per_day < float("inf"):
        raise ConfigError(f"alarms per day: expected a number above 0, got {per_day!r}")
    return float(per_day)
