"""When a frame begins: raw stamps of a stream become seconds that rise, and a faster source is thinned out."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import floor

from wherewhen.video.shot import Shot

JUMP = 1.0


class Clock:
    """Seconds of frames in presentation order from their stamps, by stated rules.

    Time 0 is the first frame. A stamp that rises is right. One that is missing or repeats the last one puts its frame
    one nominal step after the last. A frame so pushed ahead of the stamps lets them catch up: as long as they rise
    behind it, time goes on at half their pace. A stamp more than a second behind the last one starts a new count,
    one step after the last frame.

    >>> clock = Clock(tick=Fraction(1, 10), step=Fraction(1, 10))
    >>> [round(clock(stamp), 3) for stamp in (7, 8, None, 10, 10, 11, 12)]
    [0.0, 0.1, 0.2, 0.3, 0.4, 0.45, 0.5]
    """

    def __init__(self, tick: Fraction, step: Fraction) -> None:
        self._tick, self._step = tick, step
        self._over, self._under = tick.numerator, tick.denominator
        self._zero: int | None = None
        self._stamp = 0.0
        self._start: float | None = None

    def __call__(self, stamp: int | None) -> float:
        """Start of the next frame in seconds."""
        if self._start is None:
            self._start, self._zero = 0.0, stamp
        elif stamp is None:
            self._start = self._start + float(self._step)
        else:
            self._start = self._stamped(stamp, self._start)
        return self._start

    def _stamped(self, stamp: int, last: float) -> float:
        after = last + float(self._step)
        if self._zero is None or self.seconds(stamp) < self._stamp - JUMP:
            self._zero = stamp - round(after / self._tick)
            self._stamp = self.seconds(stamp)
            return after
        before, self._stamp = self._stamp, self.seconds(stamp)
        if self._stamp > last:
            return self._stamp
        return last + (self._stamp - before) / 2 if self._stamp > before else after

    def seconds(self, stamp: int) -> float:
        """What a stamp says, in seconds since the one of time 0."""
        # whole numbers first: one rounding only, so 1001 ticks of 1/30000 s are exactly 1001 / 30000
        return (stamp - (self._zero or 0)) * self._over / self._under


def thinned(shots: Iterator[Shot], rate: float, step: float, tick: float) -> Iterator[tuple[Shot, bool]]:
    """Say of every shot whether it is kept so that at most ``rate`` frames per second are left.

    Time is cut into slots of ``1 / rate`` seconds from time 0 on and the first frame of each is kept, where a frame up
    to 0.4 nominal steps early counts to the next slot (jitter). Two frames of one slot are both kept if they lie
    ``1 / rate`` apart as far as the stamps' ``tick`` tells (5 % at most), so a slower source loses none. This looks at
    a frame and the one before only: where reading began makes no difference.
    """
    last, slot = None, None
    wide = 1 / rate - 1.001 * min(tick, 0.05 / rate)
    for shot in shots:
        now = floor((shot.start + 0.4 * step) * rate + 1e-9)
        apart = last is not None and shot.start - last >= wide
        yield shot, now != slot or apart
        last, slot = shot.start, now
