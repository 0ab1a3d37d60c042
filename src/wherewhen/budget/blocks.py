"""Blocks of a minute: the highest score that lasts, which makes the number of alarms monotone in the threshold."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from wherewhen.core.extents import TICK
from wherewhen.core.values import Floats

BLOCK = 60.0  # seconds
DAY = 86400.0
DURATIONS = (0.5, 1.0, 2.0, 4.0, 8.0)
NONE = -np.inf  # the peak of a block without a score that lasts


@dataclass(frozen=True, eq=False)
class Blocks:
    """Blocks of camera time: ``starts`` and observed ``seconds`` ``(N,)``, ``peaks`` ``(N, D)`` for D ``durations``.

    A peak is the highest score that lasts the duration within the block. At a threshold, an alarm can start only in a
    block whose peak reaches it: such blocks are never fewer than alarms, and never more at a higher threshold.
    """

    starts: Floats
    seconds: Floats
    peaks: Floats
    durations: tuple[float, ...] = DURATIONS

    def __repr__(self) -> str:
        return f"Blocks({len(self.starts)}, {self.days:.3g} days)"

    @property
    def days(self) -> float:
        """Observed time in days."""
        return math.fsum(self.seconds) / DAY

    def of_day(self, level: float, duration: int) -> Floats:
        """Blocks ``(days,)`` of each day whose peak reaches a level; days that are observed for less than half are out.

        >>> blocks = Blocks(np.array([0.0, 43200, 86400]), np.full(3, 43200), np.array([[0.9], [0.2], [0.7]]), (1.0,))
        >>> blocks.of_day(0.5, 0).tolist()
        [1.0, 1.0]
        """
        numbers, place = np.unique(np.floor(self.starts / DAY), return_inverse=True)
        seconds = np.bincount(place, self.seconds, len(numbers))
        hot = np.bincount(place, self.peaks[:, duration] >= level, len(numbers))
        return np.asarray(hot[seconds >= DAY / 2], np.float64)

    @staticmethod
    def joined(parts: Iterable[Blocks]) -> Blocks:
        """Blocks of several stretches as one; at least one."""
        every = list(parts)
        return Blocks(
            np.concatenate([part.starts for part in every]),
            np.concatenate([part.seconds for part in every]),
            np.concatenate([part.peaks for part in every]),
            every[0].durations,
        )


class Lasting:
    """The score that lasts: the lowest of the last ``duration`` seconds, as scores of successive steps come."""

    def __init__(self, duration: float) -> None:
        self.duration = duration
        self.reset()

    def reset(self) -> None:
        """Forget the past, after a gap."""
        self.rising: deque[tuple[float, float]] = deque()  # (end, score) of steps, scores rising
        self.since: float | None = None

    def __call__(self, start: float, end: float, score: float) -> float:
        """The lowest score from ``end - duration`` to ``end``; minus infinity where less was observed.

        >>> lasting = Lasting(2.0)
        >>> [lasting(t, t + 1, score) for t, score in enumerate([0.9, 0.5, 0.7, 0.8])]
        [-inf, 0.5, 0.5, 0.7]
        """
        self.since = start if self.since is None else self.since
        while self.rising and self.rising[-1][1] >= score:
            self.rising.pop()
        self.rising.append((end, score))
        while self.rising[0][0] <= end - self.duration + TICK:
            self.rising.popleft()
        return self.rising[0][1] if end - self.since >= self.duration - TICK else NONE


@dataclass
class BlockMaker:
    """Blocks of a stream of frame scores; a gap between steps resets what lasts.

    Times are seconds from a fixed moment, such as that of the wall clock; blocks start at multiples of a minute.
    """

    durations: Sequence[float] = DURATIONS
    start: float | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.lasting = [Lasting(duration) for duration in self.durations]
        self.end = NONE
        self.seconds, self.peaks = 0.0, self._none()

    def __call__(self, start: float, end: float, score: float) -> Iterator[Blocks]:
        """Add a step of frames; gives the block that ended before it."""
        if abs(start - self.end) > TICK:
            for lasting in self.lasting:
                lasting.reset()
        block = float(np.floor((start + TICK) / BLOCK) * BLOCK)
        if self.start is not None and block != self.start:
            yield from self.close()
        self.start, self.end = block, end
        self.seconds += end - start
        self.peaks = np.maximum(self.peaks, [lasting(start, end, score) for lasting in self.lasting])

    def close(self) -> Iterator[Blocks]:
        """The block that is open, if any."""
        if self.start is not None:
            yield Blocks(np.array([self.start]), np.array([self.seconds]), self.peaks[None], tuple(self.durations))
        self.start, self.seconds, self.peaks = None, 0.0, self._none()

    def _none(self) -> Floats:
        return np.full(len(self.durations), NONE)


def blocks_of(edges: Floats, scores: Floats, durations: Sequence[float] = DURATIONS) -> Blocks:
    """The blocks of frame scores ``(F,)`` with edges ``(F + 1,)`` in seconds.

    >>> blocks_of(np.arange(121.0), np.r_[np.zeros(59), 1, 1, np.zeros(59)], (1.0, 2.0)).peaks.tolist()
    [[1.0, 0.0], [1.0, 1.0]]
    """
    maker = BlockMaker(durations)
    parts = [
        block
        for start, end, score in zip(edges[:-1], edges[1:], np.asarray(scores).reshape(-1), strict=True)
        for block in maker(float(start), float(end), float(score))
    ]
    return Blocks.joined([*parts, *maker.close()])
