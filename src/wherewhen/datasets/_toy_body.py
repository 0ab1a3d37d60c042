"""Bodies of the toy data set: people made of limbs, and objects that they ride or carry, as points and shapes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wherewhen.core.values import Floats

HIP, CHEST, HEAD, HAIR = 0, 1, 2, 3
SHOULDER, ELBOW, HAND, LEG, KNEE, ANKLE, TOE = 4, 6, 8, 10, 12, 14, 16
"""Points of a person: the left one, the right one comes next."""

POINTS = 18

MODES = ("walk", "run", "stand", "crouch", "fight", "lie", "ride", "skate")
"""What a person can be doing; between two of them the body blends."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A part to paint: ``kind`` line, circle, ring or polygon over ``points``, ``size`` in meters, RGB ``color``."""

    kind: str
    points: tuple[int, ...]
    size: float
    color: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Look:
    """One person: height in meters, build, colors, and whether the forearms are bare."""

    tall: float
    stout: float
    skin: tuple[float, float, float]
    hair: tuple[float, float, float]
    top: tuple[float, float, float]
    legs: tuple[float, float, float]
    shoes: tuple[float, float, float]
    bare: bool


_TOPS = (
    (40, 44, 52), (176, 40, 44), (38, 76, 140), (214, 214, 208), (58, 104, 70), (196, 150, 60), (110, 60, 110),
    (120, 124, 128), (84, 132, 168), (150, 84, 50), (226, 120, 60), (70, 60, 54),
)  # fmt: skip
_LEGS = ((38, 42, 58), (52, 62, 92), (64, 60, 56), (104, 94, 76), (30, 30, 34), (128, 120, 106))
_SKIN = ((224, 182, 154), (198, 150, 118), (150, 104, 76), (104, 72, 54))
_HAIR = ((34, 26, 22), (74, 50, 34), (122, 90, 54), (150, 146, 140))


def look(rng: np.random.Generator) -> Look:
    """Someone."""

    def pick(colors: tuple[tuple[int, int, int], ...], spread: float = 0.12) -> tuple[float, float, float]:
        r, g, b = np.array(colors[rng.integers(len(colors))]) * rng.uniform(1 - spread, 1 + spread)
        return float(r), float(g), float(b)

    return Look(
        tall=float(rng.uniform(1.56, 1.9)),
        stout=float(rng.uniform(0.88, 1.2)),
        skin=pick(_SKIN),
        hair=pick(_HAIR),
        top=pick(_TOPS),
        legs=pick(_LEGS),
        shoes=pick(((28, 26, 26), (206, 204, 200), (84, 60, 44))),
        bare=bool(rng.random() < 0.3),
    )


def _angles(mode: str, phase: Floats, t: Floats) -> Floats:
    """Angles ``(F, 16)`` in radians: lean, pitch, then left/right of thigh, knee, arm, elbow, spread; nod, bounce.

    ``phase``: of the step, 2 pi for a left and a right one. ``t``: seconds.
    """
    a = np.zeros((len(t), 16))
    rows: tuple[Floats | float, ...]
    for side, turn in ((0, 0.0), (1, np.pi)):
        p = phase + turn
        if mode == "walk":
            rows = (0.42 * np.sin(p), 0.12 + 0.75 * np.maximum(0, np.cos(p)) ** 1.5, -0.36 * np.sin(p), 0.25, 0.06)
        elif mode == "run":
            rows = (0.3 + 0.8 * np.sin(p), 0.4 + 1.3 * np.maximum(0, np.cos(p)), -0.85 * np.sin(p), 1.6, 0.1)
        elif mode == "stand":
            talk = 0.55 * (1 + np.sin(1.7 * t + 2 * side + np.sin(0.6 * t))) * (side == 1)
            rows = (0.02, 0.05, 0.1 + 0.3 * talk, 0.2 + 0.9 * talk, 0.08)
        elif mode == "crouch":
            rows = (1.9 - 0.5 * side, 2.3, 0.1 + 0.12 * np.sin(5 * t + turn), 0.25, 0.0)
        elif mode == "fight":
            hit = np.maximum(0, np.sin(9.5 * t + turn + 1.5 * np.sin(1.3 * t)))
            kick = np.maximum(0, np.sin(3.1 * t + turn) - 0.6) * 2.4
            rows = (0.35 - 0.4 * side + kick, 0.35, 0.9 + 0.8 * hit, 2.0 * (1 - hit), 0.25)
        elif mode == "lie":
            rows = (0.25 + 0.35 * side, 0.3 + 0.6 * side, 0.6 - 0.9 * side, 0.5, 0.7)
        elif mode == "ride":
            rows = (1.05 + 0.38 * np.sin(p), 1.15 - 0.38 * np.sin(p), 1.05, 0.25, 0.05)
        else:
            rows = (0.3 - 0.42 * side + 0.3 * np.sin(p / 2), 0.45, 0.25 + 0.3 * np.sin(p / 2), 0.5, 0.55)
        a[:, 2 + side], a[:, 4 + side], a[:, 6 + side], a[:, 8 + side], a[:, 10 + side] = rows
    a[:, 0] = {"walk": 0.05, "run": 0.22, "crouch": 0.85, "ride": 0.6, "skate": 0.25}.get(mode, 0.0)
    if mode == "fight":
        a[:, 0] = 0.2 + 0.25 * np.sin(4.3 * t)
    a[:, 1] = np.pi / 2 if mode == "lie" else 0.0
    a[:, 12] = 0.4 if mode == "crouch" else 0.05
    a[:, 13] = 0.07 * np.abs(np.sin(phase)) if mode == "run" else 0.0
    a[:, 14] = {"ride": 0.92, "skate": 0.12}.get(mode, 0.0)
    a[:, 15] = mode == "ride"
    return a


def _blend(weights: Floats, phase: Floats, t: Floats) -> Floats:
    total = np.zeros((len(t), 16))
    for k, mode in enumerate(MODES):
        if weights[:, k].any():
            total += weights[:, k, None] * _angles(mode, phase, t)
    return total


def pose(
    appearance: Look, spots: Floats, facing: Floats, weights: Floats, phase: Floats, t: Floats, carry: Floats
) -> Floats:
    """Points ``(F, 18, 3)`` in the world of a person at ground spots ``(F, 2)`` (x, z) who looks along ``facing``.

    ``facing``: ``(F,)`` radians, 0 = +x. ``weights``: ``(F, 8)`` of MODES. ``carry``: ``(F,)`` 0-1, how still the
    right arm hangs.
    """
    a = _blend(weights, phase, t)
    a[:, 7] *= 1 - 0.85 * carry
    a[:, 9] *= 1 - 0.8 * carry
    tall, wide = appearance.tall, appearance.tall * appearance.stout
    p = np.zeros((len(t), POINTS, 3))

    def swing(start: int, end: int, length: float, angle: Floats, spread: Floats | float, side: float) -> None:
        step = [
            np.sin(angle) * np.cos(spread),
            -np.cos(angle) * np.cos(spread),
            np.sin(spread) * side * np.ones(len(t)),
        ]
        p[:, end] = p[:, start] + length * tall * np.stack(step, -1)

    lean, pitch = a[:, 0], a[:, 1]
    spine = np.stack([np.sin(lean), np.cos(lean), np.zeros(len(t))], -1)
    p[:, CHEST] = 0.29 * tall * spine
    nod = lean * 0.6 + a[:, 12]
    neck = np.stack([np.sin(nod), np.cos(nod), np.zeros(len(t))], -1)
    p[:, HEAD] = p[:, CHEST] + 0.115 * tall * neck
    p[:, HAIR] = p[:, HEAD] + tall * np.array([-0.012, 0.018, 0])
    for s, side in ((0, -1.0), (1, 1.0)):
        p[:, LEG + s] = [0, 0, side * 0.05 * wide]
        swing(LEG + s, KNEE + s, 0.25, a[:, 2 + s], 0.04, side)
        swing(KNEE + s, ANKLE + s, 0.24, a[:, 2 + s] - a[:, 4 + s], 0.0, side)
        p[:, TOE + s] = p[:, ANKLE + s] + tall * np.array([0.09, -0.02, 0])
        p[:, SHOULDER + s] = p[:, CHEST] + [0, -0.02 * tall, side * 0.1 * wide]
        swing(SHOULDER + s, ELBOW + s, 0.165, a[:, 6 + s] + lean * 0.5, a[:, 10 + s], side)
        swing(ELBOW + s, HAND + s, 0.16, a[:, 6 + s] + a[:, 8 + s] + lean * 0.5, a[:, 10 + s] * 0.5, side)
    cos, sin = np.cos(pitch)[:, None], np.sin(pitch)[:, None]
    along, up = p[..., 0] * cos + p[..., 1] * sin, p[..., 1] * cos - p[..., 0] * sin
    p[..., 0], p[..., 1] = along, up
    standing = -up.min(1) + 0.02 + a[:, 13]
    p[..., 1] += (standing * (1 - a[:, 15]) + a[:, 14])[:, None]
    return place(p, spots, facing)


def place(points: Floats, spots: Floats, facing: Floats) -> Floats:
    """Points ``(F, P, 3)`` of a body (ahead, up, right) set on the ground."""
    cos, sin = np.cos(facing)[:, None], np.sin(facing)[:, None]
    x = points[..., 0] * cos + points[..., 2] * sin + spots[:, :1]
    z = points[..., 0] * sin - points[..., 2] * cos + spots[:, 1:]
    return np.stack([x, points[..., 1], z], -1)


def person(appearance: Look) -> tuple[Shape, ...]:
    """The shapes between a person's points."""
    h, w = appearance.tall, appearance.tall * appearance.stout
    shapes = [
        Shape("line", (HIP, CHEST), 0.15 * w, appearance.top),
        Shape("polygon", (SHOULDER, SHOULDER + 1, LEG + 1, LEG), 0.055 * w, appearance.top),
        Shape("circle", (HEAD,), 0.066 * h, appearance.skin),
        Shape("circle", (HAIR,), 0.062 * h, appearance.hair),
    ]
    for s in (0, 1):
        shapes += [
            Shape("line", (LEG + s, KNEE + s), 0.088 * w, appearance.legs),
            Shape("line", (KNEE + s, ANKLE + s), 0.066 * w, appearance.legs),
            Shape("line", (ANKLE + s, TOE + s), 0.05 * w, appearance.shoes),
            Shape("line", (SHOULDER + s, ELBOW + s), 0.056 * w, _dim(appearance.top, 0.92)),
            Shape(
                "line",
                (ELBOW + s, HAND + s),
                0.044 * w,
                appearance.skin if appearance.bare else _dim(appearance.top, 0.9),
            ),
            Shape("circle", (HAND + s,), 0.026 * h, appearance.skin),
        ]
    return tuple(shapes)


def _dim(color: tuple[float, float, float], by: float) -> tuple[float, float, float]:
    return color[0] * by, color[1] * by, color[2] * by


def block(size: tuple[float, float, float], low: float) -> NDArray[np.float64]:
    """Eight corners (ahead, up, right) of a block of ``size`` meters whose base is at height ``low``."""
    a, b, c = size
    return np.array([[x, y, z] for x in (-a / 2, a / 2) for y in (low, low + b) for z in (-c / 2, c / 2)])


def faces(first: int, color: tuple[float, float, float]) -> tuple[Shape, ...]:
    """The six faces of a block whose corners start at point ``first``."""
    sides = ((0, 1, 3, 2), (4, 5, 7, 6), (0, 1, 5, 4), (2, 3, 7, 6), (0, 2, 6, 4), (1, 3, 7, 5))
    light = (0.8, 0.8, 0.4, 1.1, 0.95, 0.7)
    return tuple(
        Shape("polygon", tuple(first + k for k in side), 0.0, _dim(color, by))
        for side, by in zip(sides, light, strict=True)
    )


def vehicle(kind: str, color: tuple[float, float, float]) -> tuple[Floats, tuple[Shape, ...]]:
    """Points ``(P, 3)`` (ahead, up, right) and shapes of a ``bicycle``, ``board`` or ``cart``."""
    rubber, steel = (26.0, 26.0, 28.0), (120.0, 120.0, 124.0)
    if kind == "board":
        deck = np.array([[-0.42, 0.1, 0], [0.42, 0.1, 0], [-0.28, 0.05, 0], [0.28, 0.05, 0]])
        shapes = (
            Shape("line", (0, 1), 0.1, color),
            Shape("circle", (2,), 0.05, rubber),
            Shape("circle", (3,), 0.05, rubber),
        )
        return deck, shapes
    if kind == "bicycle":
        turn = np.linspace(0, 2 * np.pi, 13)[:-1]
        rim = np.stack([0.34 * np.cos(turn), 0.34 + 0.34 * np.sin(turn), 0 * turn], -1)
        hub = np.array([0.52, 0, 0])
        frame = np.array([[-0.12, 0.9, 0], [0.0, 0.3, 0], [0.42, 0.95, 0], [0.52, 0.34, 0], [-0.52, 0.34, 0]])
        bars = np.array([[0.36, 1.02, -0.24], [0.36, 1.02, 0.24]])
        points = np.concatenate([rim - hub, rim + hub, frame, bars])
        tubes = tuple(
            Shape("line", (24 + a, 24 + b), 0.05, color) for a, b in ((0, 1), (1, 2), (2, 3), (0, 4), (1, 4), (0, 2))
        )
        rings = (Shape("ring", tuple(range(12)), 0.05, rubber), Shape("ring", tuple(range(12, 24)), 0.05, rubber))
        return points, (*rings, *tubes, Shape("line", (29, 30), 0.04, steel))
    base, roof = block((2.1, 0.55, 1.1), 0.3), block((1.3, 0.1, 1.05), 1.75)
    wheels = np.array([[x, 0.25, z] for x in (-0.7, 0.7) for z in (-0.55, 0.55)])
    points = np.concatenate([base, roof, wheels])
    posts = tuple(Shape("line", (a, b), 0.06, steel) for a, b in ((2, 8), (3, 9), (6, 12), (7, 13)))
    tires = tuple(Shape("circle", (16 + k,), 0.25, rubber) for k in range(4))
    return points, (*tires, *faces(0, color), *posts, *faces(8, (216.0, 214.0, 206.0)))


RIDES = {"bicycle": "ride", "board": "skate", "cart": "ride"}
"""What the rider of a vehicle does."""
