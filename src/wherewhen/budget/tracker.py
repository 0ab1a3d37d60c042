"""The threshold over months: it rises after each false alarm, and falls back to the calibrated one."""

from __future__ import annotations

from dataclasses import dataclass

from wherewhen.budget.blocks import BLOCK, DAY
from wherewhen.budget.tail import MOST


@dataclass
class Tracker:
    """A threshold of rarity, which rises with every alarm that is false or not judged, and falls back with time.

    ``u <- max(floor, u + step (false - per_day days))``. For any sequence of scores, whatever its distribution, the
    alarms of N days that are false or not judged at their end are at most ``per_day N + (8 + step - first) / step``:
    ``u`` rises by ``step`` with each, and nothing alarms where it is above 8, the highest rarity. An alarm that is
    confirmed later takes its step back; each confirmation that is withdrawn can add one to the limit. The floor keeps
    the budget a limit: in a quiet month the threshold doesn't fall until something alarms. It may change at any time.
    """

    floor: float
    per_day: float
    step: float = 1.0
    level: float = -1.0

    def __post_init__(self) -> None:
        self.level = max(self.floor, self.level)

    def __call__(self, false_alarm: bool) -> None:
        """The end of a block: whether it had an alarm that is false, or not judged."""
        self.count(int(false_alarm))
        self.elapse(BLOCK)

    def count(self, alarms: int) -> None:
        """Alarms that are false or not judged; -1 for one that is confirmed later."""
        self.level = max(self.floor, self.level + self.step * alarms)

    def elapse(self, seconds: float) -> None:
        """Observed time."""
        self.level = max(self.floor, self.level - self.step * self.per_day * seconds / DAY)

    def most(self, days: float) -> float:
        """The most false alarms in so many days from now on.

        >>> Tracker(floor=3.2, per_day=1).most(days=30)
        35.8
        """
        return self.per_day * days + (MOST + self.step - self.level) / self.step
