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
"""What each of the numbers of a mover is."""

STRIDE = 0.4  # seconds between two places that a velocity is told from: boxes tremble
FAR = 3.0  # own sizes, from which on it makes no difference how far others are
LEAST = 1e-3  # share of the picture that a box is taken to have at least on each side


def manner(rows: Floats, others: Sequence[Floats]) -> Features:
    """How one mover moves ``(K,)``, K = len(`NAMES`), from its boxes ``(n, 6)`` in time order.

    Velocities are in its own mean width and height per second, so that who is far away, and small, counts as who is
    near: the perspective of the scene drops out. ``others``: boxes ``(m, 6)`` of the others at each of its rows;
    ``touched`` is the share of rows in which one overlaps it, ``nearest`` the least gap to any, in its own sizes, at
    most `FAR`.

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
    near = np.array([_gap(row, some, size) for row, some in zip(rows, others, strict=True)])
    found = [
        *velocity.mean(0), speed.mean(), np.quantile(speed, 0.9),
        float(np.hypot(*velocity.sum(0))) / way if way > 0 else 0.0,
        large.mean(), shape.mean(), shape.std(), large.std(), large[-1] - large[0],
        float((near <= 0).mean()), near.min(),
    ]  # fmt: skip
    return np.array(found, np.float32)


def _velocities(rows: Floats, size: Floats) -> Floats:
    """Velocities ``(n', 2)`` in own sizes per second, between places `STRIDE` apart; zero for a single box."""
    if len(rows) < 2:
        return np.zeros((1, 2))
    step = (rows[-1, 0] - rows[0, 0]) / (len(rows) - 1)
    apart = min(max(1, round(STRIDE / max(step, 1e-6))), len(rows) - 1)
    centers = (rows[:, 2:4] + rows[:, 4:]) / 2
    seconds = np.maximum(rows[apart:, 0] - rows[:-apart, 0], 1e-6)
    moved: Floats = (centers[apart:] - centers[:-apart]) / size / seconds[:, None]
    return moved


def _gap(row: Floats, others: Floats, size: Floats) -> float:
    """Distance from the rim of a box to the nearest other one in own sizes, 0 where they overlap, at most `FAR`."""
    if not len(others):
        return FAR
    low = np.maximum(others[:, 2:4] - row[4:], row[2:4] - others[:, 4:]) / size
    return float(min(FAR, np.hypot(*low.clip(0).T).min()))


def beside(frames: Sequence[Boxes], rows: Floats, members: Sequence[int]) -> list[Floats]:
    """Boxes ``(m, 6)`` of everybody else at each of the rows ``(n, 6)`` of a tube that is made of some tracks."""
    starts = np.array([boxes.start for boxes in frames])
    at = np.searchsorted(starts, rows[:, 0] + 1e-9, "right") - 1
    found = []
    for moment in at.clip(0).tolist():
        boxes = frames[moment]
        found.append(ext.check(boxes.extents[~np.isin(boxes.track, members)]))
    return found
