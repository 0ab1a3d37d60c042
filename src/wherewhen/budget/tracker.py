"""The threshold over months: it rises after each false alarm, and falls back to the calibrated one."""

from __future__ import annotations

from dataclasses import dataclass

from wherewhen.budget.blocks import BLOCK, DAY
from wherewhen.budget.tail import MOST


@dataclass
class Tracker:
    """A threshold of rarity, which is updated once per block.

    ``u <- max(floor, u + step (false - per_day / blocks a day))``. For any sequence of blocks, whatever its
    distribution, the false alarms of N days are at most ``per_day N + (8 + step - first) / step``: each raises ``u`` by
    ``step``, and no block is rarer than 8. Confirmed alarms do not change it. The floor keeps the budget a limit: in a
    quiet month the threshold doesn't fall until something alarms.
    """

    floor: float
    per_day: float
    step: float = 1.0
    level: float = -1.0

    def __post_init__(self) -> None:
        self.level = max(self.floor, self.level)

    def __call__(self, false_alarm: bool) -> None:
        """The end of a block: whether it had an alarm that is false, or not judged."""
        self.level = max(self.floor, self.level + self.step * (false_alarm - self.per_day * BLOCK / DAY))

    def most(self, days: float) -> float:
        """The most false alarms in so many days from now on.

        >>> Tracker(floor=3.2, per_day=1).most(days=30)
        35.8
        """
        return self.per_day * days + (MOST + self.step - self.level) / self.step
