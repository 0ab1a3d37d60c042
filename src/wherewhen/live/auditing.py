"""Random quiet clips of a camera, which people judge too: what they show is what alerts miss."""

from __future__ import annotations

import math
import random
from collections import deque
from typing import NamedTuple

from wherewhen.budget.blocks import BLOCK, DAY
from wherewhen.core.database import IS_EVENT
from wherewhen.core.extents import TICK
from wherewhen.live.database import Database
from wherewhen.review.building import AUDIT
from wherewhen.review.ranking import AUDITS

WINDOW = 7 * DAY  # seconds of the past whose events set how many there are
FIRST = 3600.0  # seconds that count as observed from the beginning
LEAST = 1 / DAY  # a second: one a day


class Quiet(NamedTuple):
    """A span of quiet time in seconds since 1970, and its highest score."""

    start: float
    end: float
    score: float


class Auditor:
    """Chooses random spans of 5 s below the threshold from the steps of a camera, as they come.

    One of 20 items of the camera is such a span, and one a day at least. Each quiet moment is as likely as any other:
    it ends a span with a probability that depends on the events of the last seven days alone (a Poisson process). Spans
    don't overlap, and lie within quiet time without a gap.
    """

    def __init__(self, database: Database, camera: str, chance: random.Random | None = None) -> None:
        self._database, self._camera = database, camera
        self._chance = chance or random.Random()
        self._steps: deque[Quiet] = deque()  # of quiet time, without a gap
        self._since, self._end, self._read_at = 0.0, -math.inf, -math.inf
        self.rate = LEAST  # spans a second

    def __call__(self, start: float, end: float, score: float, quiet: bool) -> Quiet | None:
        """Add a step of time in seconds since 1970; gives the span that ends with it, if there is one.

        ``quiet``: whether its score is below the threshold, no alert lasts, and the camera sees as usual.
        """
        if abs(end - self._read_at) >= BLOCK:
            self.rate, self._read_at = self._counted(end), end
        if not quiet or abs(start - self._end) > TICK:
            self._steps.clear()
            self._since = start
        self._end = end
        if not quiet:
            self._since = end
            return None
        self._steps.append(Quiet(start, end, score))
        while self._steps[0].end <= end - AUDIT + TICK:
            self._steps.popleft()
        if end - self._since < AUDIT - TICK or self._chance.random() >= -math.expm1(-self.rate * (end - start)):
            return None
        span = Quiet(end - AUDIT, end, max(step.score for step in self._steps))
        self._steps.clear()
        self._since = end
        return span

    def _counted(self, now: float) -> float:
        """Spans a second, from the events and the observed minutes that the database has of the last days."""
        query = f"SELECT COUNT(*) FROM item WHERE camera = ? AND t0 >= ? AND {IS_EVENT}"
        ((events,),) = self._database.rows(query, self._camera, now - WINDOW)
        query = "SELECT COALESCE(SUM(seconds), 0) FROM block WHERE camera = ? AND t >= ?"
        ((seconds,),) = self._database.rows(query, self._camera, now - WINDOW)
        return max(LEAST, float(events) / (AUDITS - 1) / max(float(seconds), FIRST))
