"""When a camera may alert: times of the day and days of the week, in local time."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from wherewhen.core.errors import ConfigError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_RULE = re.compile(r"(?:([a-z]{3})(?:-([a-z]{3}))? )?(\d{1,2}):([0-5]\d)-(\d{1,2}):([0-5]\d)")


@dataclass(frozen=True)
class Period:
    """A time of the day, in minutes from midnight, on some days of the week; it may go past midnight."""

    days: tuple[int, ...]
    start: int
    end: int

    @classmethod
    def of(cls, text: str) -> Period:
        """The period that a text states; ConfigError for another text.

        >>> Period.of("fri 22:00-06:00")
        Period(days=(4,), start=1320, end=360)
        """
        wrong = ConfigError(f"schedule: expected '22:00-06:00' or 'mon-fri 18:00-08:00', got {text!r}")
        match = _RULE.fullmatch(str(text).strip().lower())
        if not match:
            raise wrong
        first, last = match[1], match[2] or match[1]
        start, end = int(match[3]) * 60 + int(match[4]), int(match[5]) * 60 + int(match[6])
        if start >= 1440 or end > 1440 or start == end or not {first, last} <= {None, *DAYS}:
            raise wrong
        number = DAYS.index(first) if first else 0
        count = (DAYS.index(last) - number) % 7 + 1 if first else 7
        return cls(tuple((number + k) % 7 for k in range(count)), start, end)

    def holds(self, day: int, minute: int) -> bool:
        """Whether it contains a minute of a day of the week (0 is Monday).

        >>> Period.of("fri 22:00-06:00").holds(5, 60), Period.of("fri 22:00-06:00").holds(4, 60)
        (True, False)
        """
        if self.start < self.end:
            return day in self.days and self.start <= minute < self.end
        return (day in self.days and minute >= self.start) or ((day - 1) % 7 in self.days and minute < self.end)


def permits(periods: tuple[Period, ...], at: float) -> bool:
    """Whether alerts are permitted at a moment in seconds since 1970; always without a period."""
    local = time.localtime(at)
    minute = local.tm_hour * 60 + local.tm_min
    return not periods or any(period.holds(local.tm_wday, minute) for period in periods)
