"""Motion features of a mover from its boxes: path, speed relative to its size, change of shape, neighbors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wherewhen.core import extents as ext
from wherewhen.core.values import Boxes, Features, Floats

NAMES = (
    "right", "down", "speed", "fastest", "straight", "size", "aspect", "aspect_change", "size_change", "growth",
    "touched", "nearest",
)  # fmt: skip
"""The names of the features of a mover."""

STRIDE = 0.4  # seconds between the two places of a velocity: boxes jitter
FAR = 3.0  # largest gap, in the sizes of the mover
LEAST = 1e-3  # share of the picture: least side of a box


def manner(rows: Floats, others: Sequence[Floats]) -> Features:
    """How one mover moves ``(K,)``, K = len(`NAMES`), from its boxes ``(n, 6)`` in time order.

    Velocities are in the mover's mean width and height per second, so that they don't depend on its distance from the
    camera. ``others``: boxes ``(m, 6)`` of the other movers at each row; ``touched`` is the share of rows in which one
    overlaps it, ``nearest`` the least gap to any, in sizes of the mover, at most `FAR`.

    >>> walk = np.array([[t, t + 1, 0.1 * t, 0.2, 0.1 * t + 0.1, 0.4] for t in range(3)])
    >>> dict(zip(NAMES, manner(walk, [np.empty((0, 6))] * 3).round(3).tolist()))["right"]
    1.0
    """
    sides = np.maximum(rows[:, 4:] - rows[:, 2:4], LEAST)
    size = sides.mean(0)
    velocity = _velocities(rows, size)
    speed = np.hypot(*velocity.T)
    way = float(speed.sum())
    shape, large = np.log(sides[:, 0] / sides[:, 1]), np.log(sides).mean(1)
    gaps = np.array([_gap(row, boxes, size) for row, boxes in zip(rows, others, strict=True)])
    values = [
        *velocity.mean(0), speed.mean(), np.quantile(speed, 0.9),
        float(np.hypot(*velocity.sum(0))) / way if way > 0 else 0.0,
        large.mean(), shape.mean(), shape.std(), large.std(), large[-1] - large[0],
        float((gaps <= 0).mean()), gaps.min(),
    ]  # fmt: skip
    return np.array(values, np.float32)


def _velocities(rows: Floats, size: Floats) -> Floats:
    """Velocities ``(n', 2)`` in sizes of the mover per second, between rows `STRIDE` apart; zero for a single box."""
    if len(rows) < 2:
        return np.zeros((1, 2))
    step = (rows[-1, 0] - rows[0, 0]) / (len(rows) - 1)
    apart = min(max(1, round(STRIDE / max(step, 1e-6))), len(rows) - 1)
    centers = (rows[:, 2:4] + rows[:, 4:]) / 2
    seconds = np.maximum(rows[apart:, 0] - rows[:-apart, 0], 1e-6)
    moved: Floats = (centers[apart:] - centers[:-apart]) / size / seconds[:, None]
    return moved


def _gap(row: Floats, others: Floats, size: Floats) -> float:
    """Distance from a box to the nearest other one in sizes of the mover, 0 where they overlap, at most `FAR`."""
    if not len(others):
        return FAR
    low = np.maximum(others[:, 2:4] - row[4:], row[2:4] - others[:, 4:]) / size
    return float(min(FAR, np.hypot(*low.clip(0).T).min()))


def beside(frames: Sequence[Boxes], rows: Floats, members: Sequence[int]) -> list[Floats]:
    """Boxes ``(m, 6)`` of the tracks outside of ``members``, at each row ``(n, 6)`` of a tube."""
    starts = np.array([boxes.start for boxes in frames])
    at = np.searchsorted(starts, rows[:, 0] + 1e-9, "right") - 1
    others = []
    for moment in at.clip(0).tolist():
        boxes = frames[moment]
        others.append(ext.check(boxes.extents[~np.isin(boxes.track, members)]))
    return others
