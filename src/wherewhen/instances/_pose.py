"""Features of a person's joints in time: speeds and angles of limbs, and distances to the nearest other person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from wherewhen.core.values import Features, Floats

GROUPS = {"head": [0, 1, 2, 3, 4], "elbow": [7, 8], "wrist": [9, 10], "knee": [13, 14], "ankle": [15, 16]}
TRUNK = [5, 6, 11, 12]
ANGLES = ("elbow_bend", "knee_bend", "arm_raise", "lean")
NAMES = (
    "body_speed", "body_fastest", *(f"{group}_{kind}" for group, kind in product(GROUPS, ("speed", "fastest"))),
    "wrist_acceleration", "ankle_acceleration", *(f"{angle}{kind}" for angle, kind in product(ANGLES, ("", "_rate"))),
    "distance", "nearest", "closing", "reach", "contact",
    "arms", "legs", "trunk", "partner", "confidence",
)  # fmt: skip
"""The names of the features of a person's joints."""

STEP = 0.2  # seconds between the two places of a velocity: joints jitter
FAR = 3.0  # largest distance, in heights of the person
HIGH = 0.9  # quantile of the fastest, and 1 - HIGH of the nearest
FEWEST = 2  # joints of the trunk that give its place


@dataclass(frozen=True, slots=True, eq=False)
class Poses:
    """The joints of one mover in some pictures.

    ``times`` ``(n,)`` in seconds, rising; ``boxes`` ``(n, 4)``: left, top, right, bottom in px; ``joints``
    ``(n, 17, 3)``: x and y in px, and confidence; in the order of COCO.
    """

    times: Floats
    boxes: Floats
    joints: Floats

    def confident(self, least: float) -> Floats:
        """Places ``(n, 17, 2)`` in px, not a number for joints below a confidence."""
        return np.where(self.joints[..., 2:] >= least, self.joints[..., :2], np.nan)

    @property
    def centers(self) -> Floats:
        """Centers of the boxes ``(n, 2)``."""
        return (self.boxes[:, :2] + self.boxes[:, 2:]) / 2


def pose(poses: Poses, others: Sequence[Poses], confidence: float) -> Features:
    """How the joints of one mover move ``(K,)``, K = len(`NAMES`); all zero without a picture.

    Lengths are in its mean box heights, speeds per second, angles in radians. Limbs move relative to the trunk.
    ``others``: the other movers; those without a picture at the same time, and boxes inside one another (unions),
    don't count. Joints below ``confidence`` are left out. A feature without enough joints is 0, a distance `FAR`;
    ``arms``, ``legs``, ``trunk`` and ``partner`` are the shares of pictures with the joints of these features.

    >>> still = Poses(np.arange(3) / 10, np.tile([0.0, 0, 40, 80], (3, 1)), np.ones((3, 17, 3)))
    >>> dict(zip(NAMES, pose(still, [], 0.2).round(3).tolist()))["wrist_speed"]
    0.0
    """
    if not len(poses.times):
        return np.zeros(len(NAMES), np.float32)
    places = poses.confident(confidence)
    height = max(float((poses.boxes[:, 3] - poses.boxes[:, 1]).mean()), 1.0)
    valid = np.isfinite(places[..., 0])
    trunk = valid[:, TRUNK].sum(1) >= FEWEST
    apart, partner = _distances(poses, others, height, confidence)
    shares = [valid[:, GROUPS["wrist"]].any(1) & trunk, valid[:, GROUPS["ankle"]].any(1) & trunk, trunk, partner]
    values = [
        *_speeds(places, poses.times, height), *_angles(places, poses.times), *apart,
        *(float(share.mean()) for share in shares), float(poses.joints[..., 2].mean()),
    ]  # fmt: skip
    return np.array(values, np.float32)


def _speeds(places: Floats, times: Floats, height: float) -> list[float]:
    """Mean and highest speeds of the trunk, and of groups of joints relative to it, and accelerations."""
    apart = _apart(times)
    velocity, trunk = _velocity(places / height, times, apart)
    body = np.hypot(*trunk.T)
    values = [_mean(body), _high(body)]
    for joints in GROUPS.values():
        speed = np.hypot(velocity[:, joints, 0], velocity[:, joints, 1])
        values += [_mean(speed), _high(speed)]
    change = _steps(velocity, times[: len(velocity)], apart)
    return values + [_high(np.hypot(change[:, GROUPS[k], 0], change[:, GROUPS[k], 1])) for k in ("wrist", "ankle")]


def _apart(times: Floats) -> int:
    """The number of pictures between the two places of a velocity."""
    step = (times[-1] - times[0]) / max(len(times) - 1, 1)
    return max(1, round(STEP / step)) if step > 0 else 1


def _velocity(places: Floats, times: Floats, apart: int) -> tuple[Floats, Floats]:
    """Velocities ``(n', 17, 2)`` of joints relative to the trunk, and of the trunk ``(n', 2)``."""
    velocity = _steps(places, times, apart)
    moved = velocity[:, TRUNK]
    count = np.isfinite(moved[..., :1]).sum(1)
    trunk = np.where(count >= FEWEST, np.nansum(moved, 1) / np.maximum(count, 1), np.nan)
    return velocity - trunk[:, None], trunk


def _steps(values: Floats, times: Floats, apart: int) -> Floats:
    """Changes of values ``(n, ...)`` per second over ``apart`` pictures."""
    seconds = np.maximum(times[apart:] - times[:-apart], 1e-6)
    changes: Floats = (values[apart:] - values[:-apart]) / seconds.reshape(-1, *[1] * (values.ndim - 1))
    return changes


def _angles(places: Floats, times: Floats) -> list[float]:
    """Mean angles and their mean absolute change per second: 0 is a straight, hanging or upright limb."""

    def limb(start: int, end: int) -> Floats:
        return places[:, end] - places[:, start]

    down = np.broadcast_to([0.0, 1.0], (len(places), 2))
    spine = places[:, TRUNK[2:]].mean(1) - places[:, TRUNK[:2]].mean(1)
    angles = [
        np.stack([_between(limb(5 + k, 7 + k), limb(7 + k, 9 + k)) for k in (0, 1)], 1),
        np.stack([_between(limb(11 + k, 13 + k), limb(13 + k, 15 + k)) for k in (0, 1)], 1),
        np.stack([_between(limb(5 + k, 7 + k), down) for k in (0, 1)], 1),
        _between(spine, down)[:, None],
    ]
    apart = _apart(times)
    return [value for angle in angles for value in (_mean(angle), _mean(np.abs(_steps(angle, times, apart))))]


def _between(a: Floats, b: Floats) -> Floats:
    """Angles in [0, pi] between vectors ``(n, 2)``; not a number where one is unknown or has no length."""
    dot, cross = (a * b).sum(-1), a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    angle = np.arctan2(np.abs(cross), dot)
    return np.where((dot == 0) & (cross == 0), np.nan, angle)


def _distances(poses: Poses, others: Sequence[Poses], height: float, confidence: float) -> tuple[list[float], Floats]:
    """Distances to the nearest other mover, and in which pictures it has joints to compare."""
    count = len(poses.times)
    places = poses.confident(confidence)
    centers = np.full((len(others), count), np.nan)
    by_joint = np.full((len(others), count, 2), np.nan)
    for number, other in enumerate(others):
        _, mine, theirs = np.intersect1d(poses.times, other.times, return_indices=True)
        apart = ~_nested(poses.boxes[mine], other.boxes[theirs])
        mine, theirs = mine[apart], theirs[apart]
        if not len(mine):
            continue
        centers[number, mine] = np.hypot(*(poses.centers[mine] - other.centers[theirs]).T) / height
        gaps = places[mine][:, :, None] - other.confident(confidence)[theirs][:, None]
        lengths = np.hypot(gaps[..., 0], gaps[..., 1]) / height
        by_joint[number, mine] = np.stack([_least(lengths[:, GROUPS["wrist"]]), _least(lengths)], 1)
    if not np.isfinite(centers).any():
        return [FAR, FAR, 0.0, FAR, FAR], np.zeros(count)
    nearest = np.where(np.isfinite(centers), centers, np.inf).argmin(0)
    rows = np.arange(count)
    distance, (reach, contact) = centers[nearest, rows], by_joint[nearest, rows].T
    step = _apart(poses.times)
    closing = -_steps(centers.T, poses.times, step)[np.arange(max(count - step, 0)), nearest[:-step]]
    low = [_low(distance), max(0.0, _high(closing)), _low(reach), _low(contact)]
    return [min(FAR, _mean(distance)), *low], np.isfinite(contact).astype(float)


def _nested(a: Floats, b: Floats) -> NDArray[np.bool_]:
    """Whether of each two boxes ``(n, 4)`` one is inside the other, as a mover is inside a union."""
    low, high = a[:, :2] - b[:, :2], b[:, 2:] - a[:, 2:]
    both = np.concatenate([low, high], 1)
    nested: NDArray[np.bool_] = np.logical_or((both >= 0).all(1), (both <= 0).all(1))
    return nested


def _least(lengths: Floats) -> Floats:
    """The least of each ``(n, ...)``, not a number where there is none."""
    rows = np.where(np.isfinite(lengths), lengths, np.inf).reshape(len(lengths), -1).min(1)
    return np.where(np.isfinite(rows), rows, np.nan)


def _mean(values: Floats) -> float:
    values = values[np.isfinite(values)]
    return float(values.mean()) if values.size else 0.0


def _high(values: Floats) -> float:
    values = values[np.isfinite(values)]
    return float(np.quantile(values, HIGH)) if values.size else 0.0


def _low(values: Floats) -> float:
    values = values[np.isfinite(values)]
    return min(FAR, float(np.quantile(values, 1 - HIGH))) if values.size else FAR
