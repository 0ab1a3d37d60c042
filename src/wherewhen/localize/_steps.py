"""Heat maps as a stream of steps: overlaps averaged, smoothed over time, each step emitted once it is final."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from wherewhen.core import extents as ext
from wherewhen.core.values import Features, Floats, HeatMap, Scores
from wherewhen.localize._movers import along

STILL = 2 / 255  # a change of gray that is noise
FAINT = 1e-4  # a mean change of gray over time that is no motion
SOFT = 2.0  # cells of the raster: fills the inside of a mover, since its gray changes at the edge only


class Step(NamedTuple):
    """One map ``(h, w)``, the time ``[start, end)`` in seconds that it holds for, and its motion ``(H, W)``.

    ``boxes``: the movers that the map was painted from, None where it was not. ``movers``: those beside it, frame by
    frame, None where they were not tracked. ``motion``: ``detail`` smoothed over time like the map, where requested.
    """

    start: float
    end: float
    map: Features
    detail: Features | None = None
    boxes: Scores | None = None
    movers: Scores | None = None
    motion: Features | None = None


def _mean(maps: list[Features]) -> Features:
    if len(maps) == 1:
        return np.asarray(maps[0], np.float32)
    mean: Features = np.stack(maps).mean(0, dtype=np.float32)
    return mean


def _cut(pending: list[Step], since: float, until: float) -> Iterator[Step]:
    """The elementary steps in ``[since, until)``: means of all that cover them."""
    edges = sorted({since, until} | {t for s in pending for t in (s.start, s.end) if since < t < until})
    last = pending[0]
    for start, end in pairwise(edges):
        cover = [s for s in pending if s.start <= start and s.end >= end]
        details = [s.detail for s in cover if s.detail is not None]
        heat = _mean([s.map for s in cover]) if cover else last.map
        boxes = next((s.boxes for s in cover if s.boxes is not None), None if cover else last.boxes)
        movers = next((s.movers for s in cover if s.movers is not None), None if cover else last.movers)
        movers = None if movers is None else _between(movers, start, end)
        last = Step(start, end, heat, _mean(details) if details else None, boxes, movers)
        yield last


def _between(rows: Scores, start: float, end: float) -> Scores:
    """Rows cut to ``[start, end)`` seconds."""
    overlaps = (rows.extents[:, 0] < end) & (rows.extents[:, 1] > start)
    cut = rows.extents[overlaps]
    cut[:, :2] = cut[:, :2].clip(start, end)
    return Scores(cut, rows.values[overlaps], rows.track[overlaps])


def merge(pieces: Iterable[HeatMap]) -> Iterator[Step]:
    """Turn heat maps that start in rising order, and may overlap, into steps that touch and don't overlap.

    Where several maps cover a moment, their mean holds; without a map the previous one stays valid. While maps touch,
    each is final as soon as it comes, and does not wait for the next one: clips that touch overlap at the end of a
    video only, where the last one may begin earlier to be complete. A map that begins before the final part counts from
    there on.
    """
    pending: list[Step] = []
    done, last = -np.inf, np.inf
    for piece in pieces:
        touches, last = piece.edges[0] >= last - ext.TICK, float(piece.edges[-1])
        for index in range(len(piece.values)):
            detail = None if piece.detail is None else piece.detail[index]
            boxes = None if piece.boxes is None else piece.boxes[index]
            movers = None if piece.movers is None else piece.movers[index]
            start, until = float(piece.edges[index]), float(piece.edges[index + 1])
            step = Step(start, until, piece.values[index], detail, boxes, movers)
            if pending and step.start > done:
                yield from _cut(pending, max(done, pending[0].start), step.start)
                done = step.start
                pending = [s for s in pending if s.end > done] or pending[-1:]
            done = max(done, step.start) if not pending else done
            pending.append(step)
        if touches and last > done:
            final = list(_cut(pending, done, last))
            yield from final
            done = last
            pending = [s for s in pending if s.end > done] or final[-1:]
    if pending:
        end = max(s.end for s in pending)
        if end > done:
            yield from _cut(pending, done, end)


def reached(heat: Features, share: float) -> Features:
    """A map ``(h, w)`` in which each cell holds the highest score within ``share`` of the picture's sides.

    >>> reached(np.array([[0, 0, 1, 0, 0]], np.float32), 0.2).tolist()
    [[0.0, 1.0, 1.0, 1.0, 0.0]]
    """
    return Reach(heat)(share)


class Reach:
    """A map as `reached` gives it for several shares; those of the same number of cells are computed once."""

    def __init__(self, heat: Features) -> None:
        self.maps: dict[tuple[int, int], Features] = {(1, 1): heat}
        self.shape = heat.shape

    def __call__(self, share: float) -> Features:
        """The map for one share of the picture's sides."""
        height, width = self.shape
        size = 2 * round(share * height) + 1, 2 * round(share * width) + 1
        if size not in self.maps:
            import cv2

            heat = cv2.dilate(self.maps[1, 1], np.ones(size, np.uint8))
            self.maps[size] = heat.astype(np.float32, copy=False)
        return self.maps[size]


def smooth(steps: Iterable[Step], sigma: float, speed: float = 0.0, motion: bool = False) -> Iterator[Step]:
    """Gaussian mean over time, ``sigma`` in seconds, cut at three sigma; a step waits only for that much future.

    Steps touch and don't overlap, as `merge` gives them: the next one has its middle after the end of the last one.

    ``speed``: share of the picture by which high scores may move in a second, so that past and future of a mover count
    for it, and isolated peaks are averaged out. Scores of tracked movers are smoothed along their paths, and the map is
    painted from them. ``motion``: smooth the motion of each place too.
    """
    if sigma <= 0:
        yield from (step._replace(motion=step.detail) if motion else step for step in steps)
        return
    reach = 3 * sigma
    window: deque[tuple[Step, Reach]] = deque()
    waiting: deque[Step] = deque()

    def settle(step: Step) -> Step:
        center = (step.start + step.end) / 2
        close = [pair for pair in window if abs((pair[0].start + pair[0].end) / 2 - center) <= reach]
        neighbors = [s for s, _ in close]
        offsets = np.array([(s.start + s.end) / 2 - center for s in neighbors])
        weights = np.exp(-0.5 * (offsets / sigma) ** 2) * [s.end - s.start for s in neighbors]
        if step.boxes is not None:
            weighted = [(s.boxes, weight) for s, weight in zip(neighbors, weights, strict=True) if s.boxes is not None]
            boxes = along(
                step.boxes,
                [boxes_of_step for boxes_of_step, _ in weighted],
                np.array([weight for _, weight in weighted]),
            )
            picture = ext.painted(boxes.extents, boxes.values, step.map.shape)
            return step._replace(map=picture, boxes=boxes)
        maps = [reach_of(speed * abs(offset)) for (_, reach_of), offset in zip(close, offsets.tolist(), strict=True)]
        mean = np.tensordot(weights / weights.sum(), np.stack(maps), 1)
        moving = _mean_detail(step, neighbors, weights) if motion else None
        return step._replace(map=mean.astype(np.float32), motion=moving)

    for step in steps:
        window.append((step, Reach(step.map)))
        waiting.append(step)
        while waiting and (waiting[0].start + waiting[0].end) / 2 + reach <= step.end:
            ready = waiting.popleft()
            yield settle(ready)
            while (window[0][0].start + window[0][0].end) / 2 + reach < (ready.start + ready.end) / 2:
                window.popleft()
    for step in waiting:
        yield settle(step)


def _mean_detail(step: Step, neighbors: Sequence[Step], weights: Floats) -> Features | None:
    """Weighted mean of the motion of ``neighbors`` on the raster of a step; None where it has none."""
    if step.detail is None:
        return None
    rated = [
        (s.detail, weight)
        for s, weight in zip(neighbors, weights.tolist(), strict=True)
        if s.detail is not None and s.detail.shape == step.detail.shape
    ]
    total = sum(weight for _, weight in rated)
    mean = np.tensordot([weight / total for _, weight in rated], np.stack([detail for detail, _ in rated]), 1)
    return np.asarray(mean, np.float32)


def weighted(heat: Features, motion: Features | None, power: float) -> Features:
    """A map ``(h, w)`` on the raster ``(H, W)`` of motion, times a power of the motion relative to the highest of all.

    Without motion, or with power 0, the map is unchanged.

    >>> weighted(np.ones((2, 2), np.float32), np.eye(2, dtype=np.float32), 0.0).tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    """
    if motion is None or power <= 0:
        return heat
    import cv2

    rows, columns = motion.shape
    soft = cv2.GaussianBlur(motion.astype(np.float32), (0, 0), SOFT) + FAINT
    fine = heat if heat.shape == motion.shape else cv2.resize(heat, (columns, rows), interpolation=cv2.INTER_LINEAR)
    product: Features = (fine * (soft / soft.max()) ** power).astype(np.float32)
    return product


def sharpen(heat: Features, detail: Features | None, strength: float) -> Features:
    """A map ``(h, w)`` on the raster ``(H, W)`` of motion, lowered by up to ``strength`` where little moves.

    Motion is relative to the maximum near a cell, so that slow movers are outlined as well as fast ones; without motion
    the map is unchanged.
    """
    if detail is None or strength <= 0:
        return heat
    import cv2

    rows, columns = detail.shape
    h, w = heat.shape
    reach = (2 * max(1, round(columns / w)) + 1, 2 * max(1, round(rows / h)) + 1)
    soft = cv2.GaussianBlur(detail.astype(np.float32), (0, 0), SOFT) + STILL
    share = soft / cv2.dilate(soft, np.ones(reach[::-1], np.uint8))
    fine = cv2.resize(heat.astype(np.float32), (columns, rows), interpolation=cv2.INTER_LINEAR)
    sharp: Features = fine * (1 - strength + strength * share)
    return sharp
