"""Frame times: raw timestamps of a stream to rising seconds, and subsampling of a faster source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from math import floor
from typing import TypeVar

JUMP = 1.0  # seconds back: from here on stamps are a new count
LEAP = 10.0  # seconds ahead: from here on a stamp is doubtful
# Formats whose stamps wrap around, and after how many ticks.
WRAPS = {"mpegts": 2**33, "mpeg": 2**33, "rtsp": 2**32, "flv": 2**32}

T = TypeVar("T")


class Clock:
    """Seconds of frames in presentation order from their stamps, by stated rules.

    Time 0 is the first frame. A stamp that rises is right. One that is missing or repeats the last one puts its frame
    one nominal step after the last. After such a frame, ahead of the stamps, they catch up: as long as they rise
    behind it, time advances at half their pace. A stamp more than a second behind the last one starts a new count,
    one step after the last frame; but one that wrapped around (after ``wrap`` ticks) continues the count.

    In a file a stamp far ahead is a pause of the recording: time passes by as much. In a ``live`` stream, one more than
    10 seconds (or 10 steps) ahead of the last starts a new count as well. Such a count begins after as many seconds as
    the stream was ``waited`` for, one step at least; the first stamp of all, after one step.

    >>> clock = Clock(tick=Fraction(1, 10), step=Fraction(1, 10))
    >>> [round(clock(stamp), 3) for stamp in (7, 8, None, 10, 10, 11, 12)]
    [0.0, 0.1, 0.2, 0.3, 0.4, 0.45, 0.5]
    """

    def __init__(self, tick: Fraction, step: Fraction, *, wrap: int | None = None, live: bool = False) -> None:
        self._tick, self._step, self._wrap, self._live = tick, step, wrap, live
        self._over, self._under = tick.numerator, tick.denominator
        self._leap = max(LEAP, 10 * float(step))
        self._zero: int | None = None
        self._stamp = 0.0
        self._start: float | None = None

    def __call__(self, stamp: int | None, waited: float = 0.0) -> float:
        """Start of the next frame in seconds; the stream was ``waited`` for so long."""
        if self._start is None:
            self._start, self._zero = 0.0, stamp
        elif stamp is None:
            self._start = self._start + float(self._step)
        else:
            self._start = self._stamped(stamp, self._start, waited)
        return self._start

    def doubts(self, stamp: int | None) -> bool:
        """Whether a stamp is so far from the last one that it needs the next one as confirmation."""
        return stamp is not None and self._zero is not None and not self._continues(self._unwrapped(stamp))

    def agrees(self, stamp: int | None) -> bool:
        """Whether a stamp continues from the last one, with a frame or two between them."""
        return stamp is not None and self._zero is not None and self._continues(self._unwrapped(stamp))

    def foreseen(self, stamp: int) -> float | None:
        """When a picture of one of the next stamps begins, if those up to it rise; None where that is not certain."""
        if self._zero is None or self._start != self._stamp or not self._continues(stamp := self._unwrapped(stamp)):
            return None
        return self.seconds(stamp)

    def _continues(self, stamp: int) -> bool:
        return self._stamp - JUMP <= self.seconds(stamp) <= self._stamp + self._leap

    def _unwrapped(self, stamp: int) -> int:
        """The stamp without wraparound: plus a multiple of ``wrap``, where that continues from the last one."""
        if not self._wrap or self._zero is None or self._continues(stamp):
            return stamp
        expected = self._zero + self._stamp / float(self._tick)
        unwrapped = stamp + round((expected - stamp) / self._wrap) * self._wrap
        return unwrapped if self._continues(unwrapped) else stamp

    def _stamped(self, stamp: int, last: float, waited: float) -> float:
        after = last + float(self._step)
        stamp = self._unwrapped(stamp)
        if self._zero is None or self._counts_anew(self.seconds(stamp)):
            after = max(after, last + waited) if self._live and self._zero is not None else after
            self._zero = stamp - round(after / self._tick)
            self._stamp = self.seconds(stamp)
            return after
        before, self._stamp = self._stamp, self.seconds(stamp)
        if self._stamp > last:
            return self._stamp
        return last + (self._stamp - before) / 2 if self._stamp > before else after

    def _counts_anew(self, seconds: float) -> bool:
        return seconds < self._stamp - JUMP or (self._live and seconds > self._stamp + self._leap)

    def seconds(self, stamp: int) -> float:
        """A stamp in seconds since the one of time 0."""
        # whole numbers first: one rounding only, so 1001 ticks of 1/30000 s are exactly 1001 / 30000
        return (stamp - (self._zero or 0)) * self._over / self._under


def timed(stamped: Iterable[tuple[T, int | None, float]], clock: Clock, doubted: bool) -> Iterator[tuple[T, float]]:
    """Items with a stamp (and the seconds waited for them), with their starts.

    ``doubted``: stamps may be damaged. Then one far from the last waits for the next: where that continues from the one
    before, the stamp between them is taken as missing.

    >>> clock = Clock(Fraction(1, 25), Fraction(1, 25))
    >>> [start for _, start in timed((("", stamp, 0.0) for stamp in (0, 1, 90_000, 3)), clock, doubted=True)]
    [0.0, 0.04, 0.08, 0.12]
    """
    held: tuple[T, int | None, float] | None = None
    try:
        for thing, stamp, waited in stamped:
            if held is not None:
                lone = clock.agrees(stamp)
                yield held[0], clock(None if lone else held[1], held[2])
                held = None
            if doubted and clock.doubts(stamp):
                held = thing, stamp, waited
                continue
            yield thing, clock(stamp, waited)
    except Exception:
        if held is not None:
            yield held[0], clock(held[1], held[2])
        raise
    if held is not None:
        yield held[0], clock(held[1], held[2])


class Thinner:
    """Selects frames so that at most ``rate`` per second are left.

    Time is cut into slots of ``1 / rate`` seconds from time 0 on and the first frame of each is kept, where a frame up
    to 0.4 nominal steps early counts to the next slot (jitter). Two frames of one slot are both kept if they are
    ``1 / rate`` apart within the precision of ``tick`` (5 % at most), so a slower source loses none. The choice depends
    on a frame and the one before only, not on where reading began.
    """

    def __init__(self, rate: float, step: float, tick: float) -> None:
        self._rate, self._step = rate, step
        self._wide = 1 / rate - 1.001 * min(tick, 0.05 / rate)
        self._last: float | None = None

    def __call__(self, start: float) -> bool:
        """Whether the next frame, which begins at so many seconds, is kept."""
        last, self._last = self._last, start
        return last is None or self.keeps(last, start)

    def keeps(self, before: float, start: float) -> bool:
        """Whether a frame is kept, by the start of the one before it; if not, then with others between them neither."""
        return self._slot(start) != self._slot(before) or start - before >= self._wide

    def _slot(self, start: float) -> int:
        return floor((start + 0.4 * self._step) * self._rate + 1e-9)
