"""The script of one mover of the toy data set: a sequence of steps to points in the world, frame by frame."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from wherewhen.core.values import Floats, Masks
from wherewhen.datasets import _toy_body as body

Spot = tuple[float, float]
"""A place on the ground: x and z in meters."""

STRIDES = {"walk": 1.5, "run": 2.7, "ride": 3.4, "skate": 5.0}
"""Meters per left and right step."""


@dataclass(frozen=True, slots=True, eq=False)
class Actor:
    """Something that moves: world points ``(n, P, 3)`` from frame ``first`` on, and the shapes between them.

    ``hot``: in which of its frames ``(n,)`` it is the anomaly. ``spots``: where it stands, ``(n, 2)``. ``worn``: the
    same shapes as they look while it is the anomaly, where that differs.
    """

    track: int
    first: int
    points: Floats
    shapes: tuple[body.Shape, ...]
    hot: Masks
    spots: Floats
    worn: tuple[body.Shape, ...] | None = None

    def crop(self, frames: int) -> Actor | None:
        """The part within a clip of ``frames`` frames, None if there is none."""
        low, high = max(0, -self.first), min(len(self.points), frames - self.first)
        if low >= high:
            return None
        cut = np.s_[low:high]
        rest = self.shapes, self.hot[cut], self.spots[cut], self.worn
        return Actor(self.track, self.first + low, self.points[cut], *rest)


def _smooth(values: Floats, width: int) -> Floats:
    """Moving average over ``width`` (odd) rows, the ends held."""
    padded = np.concatenate([np.repeat(values[:1], width // 2, 0), values, np.repeat(values[-1:], width // 2, 0)])
    sums = np.cumsum(np.concatenate([np.zeros_like(padded[:1]), padded]), 0)
    mean: Floats = (sums[width:] - sums[:-width]) / width
    return mean


@dataclass(slots=True)
class Script:
    """Steps of one person, written in the order in which they happen, at ``rate`` frames per second."""

    rate: float
    at: Spot
    facing: float = 0.0
    soft: float = 0.4
    spots: list[Floats] = field(default_factory=list)
    facings: list[Floats] = field(default_factory=list)
    modes: list[int] = field(default_factory=list)
    hot: list[bool] = field(default_factory=list)
    carry: list[bool] = field(default_factory=list)
    carrying: bool = False

    @property
    def frames(self) -> int:
        """How many frames are written so far."""
        return len(self.modes)

    @property
    def seconds(self) -> float:
        """How long it has lasted so far."""
        return self.frames / self.rate

    def go(self, to: Spot, speed: float, mode: str = "walk", hot: bool = False) -> Script:
        """Move straight to a place at ``speed`` meters per second."""
        start, end = np.array(self.at), np.array(to)
        way = end - start
        count = max(1, round(float(np.hypot(*way)) / speed * self.rate))
        self.facing = float(np.arctan2(way[1], way[0]))
        self._add(start + way * (np.arange(1, count + 1) / count)[:, None], mode, hot)
        self.at = to
        return self

    def stay(self, seconds: float, mode: str = "stand", hot: bool = False, facing: float | None = None) -> Script:
        """Remain in place; who fights lunges a little."""
        count = max(1, round(seconds * self.rate))
        self.facing = self.facing if facing is None else facing
        spots = np.repeat(np.array([self.at]), count, 0)
        if mode == "fight":
            t = np.arange(count) / self.rate
            lunge = 0.16 * np.sin(5.1 * t + self.facing) + 0.1 * np.sin(8.3 * t)
            spots = spots + lunge[:, None] * [np.cos(self.facing), np.sin(self.facing)]
            spots += 0.25 * np.sin(1.1 * t + 0.4)[:, None] * np.array([0.6, 1.0])
        self._add(spots, mode, hot)
        return self

    def _add(self, spots: Floats, mode: str, hot: bool) -> None:
        count = len(spots)
        self.spots.append(spots)
        self.facings.append(np.full(count, self.facing))
        self.modes += [body.MODES.index(mode)] * count
        self.hot += [hot] * count
        self.carry += [self.carrying] * count

    def smooth_spots(self) -> Floats:
        """Where the mover is, ``(n, 2)``, corners rounded."""
        return _smooth(np.concatenate(self.spots), self._width(self.soft))

    def play(
        self, appearance: body.Look, first: int, track: int, shift: float = 0.0, ride: Ride | None = None
    ) -> Actor:
        """The person, from clip frame ``first`` on; ``shift``: where in the step, in radians, it starts."""
        spots, facings = self.smooth_spots(), np.concatenate(self.facings)
        turn = _smooth(np.stack([np.cos(facings), np.sin(facings)], -1), self._width(max(self.soft, 0.5)))
        facing = np.arctan2(turn[:, 1], turn[:, 0])
        weights = _smooth(np.eye(len(body.MODES))[self.modes], self._width(0.44))
        speed = np.hypot(*np.gradient(spots, axis=0).T) * self.rate if len(spots) > 1 else np.zeros(1)
        stride = np.array([STRIDES.get(mode, 1.5) for mode in body.MODES])[self.modes] * appearance.tall / 1.75
        phase = shift + np.cumsum(2 * np.pi * speed / stride / self.rate) * (0.0 if ride and ride.still else 1.0)
        carry = _smooth(np.array(self.carry, float)[:, None], self._width(0.3))[:, 0]
        t = (np.arange(self.frames) + first) / self.rate + shift
        points, shapes = body.pose(appearance, spots, facing, weights, phase, t, carry), body.person(appearance)
        if ride:
            under = np.broadcast_to(ride.points, (len(spots), *ride.points.shape))
            points = np.concatenate([points, body.place(under, spots, facing)], 1)
            moved = (body.Shape(s.kind, tuple(p + body.POINTS for p in s.points), s.size, s.color) for s in ride.shapes)
            shapes = (*shapes, *moved)
        return Actor(track, first, points, shapes, np.array(self.hot), spots)

    def _width(self, seconds: float) -> int:
        return round(seconds * self.rate / 2) * 2 + 1


@dataclass(frozen=True, slots=True, eq=False)
class Ride:
    """What a person rides: points (ahead, up, right), shapes; ``still``: the rider's legs don't move."""

    points: Floats
    shapes: tuple[body.Shape, ...]
    still: bool


def bag(
    places: Floats, facing: Floats, first: int, track: int, color: tuple[float, float, float], rate: float
) -> Actor:
    """A bag that hangs 0.45 m below the places ``(n, 3)`` of its handle."""
    smooth = _smooth(places, round(0.24 * rate / 2) * 2 + 1)
    corners = np.broadcast_to(body.block((0.56, 0.4, 0.26), -0.45), (len(places), 8, 3))
    points = body.place(corners, smooth[:, [0, 2]], facing)
    points[..., 1] += smooth[:, 1:2]
    return Actor(track, first, points, body.faces(0, color), np.zeros(len(places), bool), smooth[:, [0, 2]])
