"""The time of day of pictures: from the times of a stream and the moments at which its pictures arrive."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

JUMP = 20.0  # seconds between two pictures that no delay explains: a camera is silent for 15 at most
WINDOW = 10  # minutes whose fastest picture is the anchor


@dataclass
class Now:
    """The time of day, or that of a replay: ``speed`` times as fast from ``start`` on."""

    speed: float = 1.0
    start: float | None = None

    def __post_init__(self) -> None:
        self._began = time.monotonic()
        self._from = time.time() if self.start is None else self.start

    def __call__(self) -> float:
        """Seconds since 1970."""
        if self.speed == 1.0 and self.start is None:
            return time.time()
        return self._from + (time.monotonic() - self._began) * self.speed

    def seconds_until(self, moment: float) -> float:
        """Seconds of the machine's clock until a moment; 0 where it has passed."""
        return max(0.0, (moment - self()) / self.speed)


@dataclass
class WallClock:
    """Seconds since 1970 of a stream's times in seconds: ``anchor + time``.

    The anchor is the lowest ``arrival - time`` of the last ten minutes: a picture can arrive late and never early, and
    the clock of a camera runs a little too fast or too slow. It starts again where the clock of the machine or of the
    stream jumps. ``latency`` is that of the last picture beyond the fastest one, ``drift`` how far the anchor moved
    since it started, in seconds.
    """

    anchor: float | None = field(default=None, init=False)
    latency: float = field(default=0.0, init=False)
    jumps: int = field(default=0, init=False)
    _first: float = field(default=0.0, init=False)
    _last: tuple[float, float] | None = field(default=None, init=False)
    _lowest: dict[float, float] = field(default_factory=dict, init=False)  # of each minute, by its number

    def __call__(self, time: float, arrival: float) -> float:
        """The time of day of a picture.

        >>> clock = WallClock()
        >>> [clock(t, arrival) for t, arrival in ((0, 100.4), (1, 101.1), (2, 102.5))]
        [100.4, 101.1, 102.1]
        """
        offset = arrival - time
        if self._last is not None:
            between = abs((time - self._last[0]) - (arrival - self._last[1]))
            if between > JUMP or time < self._last[0] or arrival < self._last[1]:
                self._lowest.clear()
                self.jumps += 1
        self._last, minute = (time, arrival), time // 60
        if not self._lowest:
            self._first = offset
        self._lowest[minute] = min(offset, self._lowest.get(minute, offset))
        for old in [number for number in self._lowest if number <= minute - WINDOW]:
            del self._lowest[old]
        self.anchor = min(self._lowest.values())
        self.latency = offset - self.anchor
        return self.anchor + time

    @property
    def drift(self) -> float:
        """Seconds by which the anchor moved since it started."""
        return 0.0 if self.anchor is None else self.anchor - self._first
