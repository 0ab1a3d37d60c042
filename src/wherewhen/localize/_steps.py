"""Heat maps as a stream of steps: overlaps averaged, time smoothed, each step given out once it is final."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from wherewhen.values import Features, HeatMap


class Step(NamedTuple):
    """One map ``(h, w)`` and the time ``[start, end)`` in seconds that it holds for."""

    start: float
    end: float
    map: Features


def _cut(pending: list[Step], since: float, until: float) -> Iterator[Step]:
    """The elementary steps in ``[since, until)``: means of all that cover them."""
    edges = sorted({since, until} | {t for s in pending for t in (s.start, s.end) if since < t < until})
    last = pending[0].map
    for start, end in pairwise(edges):
        cover = [s.map for s in pending if s.start <= start and s.end >= end]
        last = np.mean(cover, 0, dtype=np.float32) if cover else last
        yield Step(start, end, last)


def merge(pieces: Iterable[HeatMap]) -> Iterator[Step]:
    """Turn heat maps that start in rising order, and may overlap, into steps that touch and don't overlap.

    Where several maps cover a moment, their mean holds; where none does, the map before holds on.
    """
    pending: list[Step] = []
    done = -np.inf
    for piece in pieces:
        for index in range(len(piece.values)):
            step = Step(float(piece.edges[index]), float(piece.edges[index + 1]), piece.values[index])
            if pending and step.start > done:
                yield from _cut(pending, max(done, pending[0].start), step.start)
                done = step.start
                pending = [s for s in pending if s.end > done] or pending[-1:]
            done = max(done, step.start) if not pending else done
            pending.append(step)
    if pending:
        end = max(s.end for s in pending)
        if end > done:
            yield from _cut(pending, done, end)


def smooth(steps: Iterable[Step], sigma: float) -> Iterator[Step]:
    """Gaussian mean over time, ``sigma`` in seconds, cut at three sigma; a step waits only for that much future."""
    if sigma <= 0:
        yield from steps
        return
    reach = 3 * sigma
    window: deque[Step] = deque()
    waiting: deque[Step] = deque()

    def settle(step: Step) -> Step:
        center = (step.start + step.end) / 2
        near = [s for s in window if abs((s.start + s.end) / 2 - center) <= reach]
        offsets = np.array([(s.start + s.end) / 2 - center for s in near])
        weights = np.exp(-0.5 * (offsets / sigma) ** 2) * [s.end - s.start for s in near]
        mean = np.tensordot(weights / weights.sum(), np.stack([s.map for s in near]), 1)
        return Step(step.start, step.end, mean.astype(np.float32))

    for step in steps:
        middle = (step.start + step.end) / 2
        while waiting and (waiting[0].start + waiting[0].end) / 2 + reach < middle:
            ready = waiting.popleft()
            yield settle(ready)
            while window and (window[0].start + window[0].end) / 2 + reach < (ready.start + ready.end) / 2:
                window.popleft()
        window.append(step)
        waiting.append(step)
    for step in waiting:
        yield settle(step)
