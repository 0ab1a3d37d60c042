"""The scene of the toy data set: a camera, a one-way walkway, a plaza, a lawn that is not entered, and objects."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from wherewhen.core.values import Features, Floats, Masks, Pixels
from wherewhen.datasets._toy_camera import Camera
from wherewhen.datasets._toy_ground import Noise, facade, ground

FINER = 2
"""The background is drawn this many times larger, then shrunk."""

SWAYS = 8
"""How many pictures of moving leaves the background has."""


NEAREST = 5.3
"""Distance in meters of the ground at the bottom of the picture of a varied camera; the first band is at 5.6."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A place and its light.

    ``bands``: depth range in meters of ``stream`` (everyone walks one way), ``plaza`` (both ways) and ``lawn``
    (forbidden). ``way``: +1 or -1, the stream's direction along x. ``sun``: how far, in meters along x and z, a
    shadow falls per meter of height. ``pictures``: uint8 RGB ``(SWAYS, H, W, 3)``. ``occluder_depth``:
    distance ``(H, W)`` of the post, trunk or bench that hides the scene behind it, infinite elsewhere; ``stands``:
    mask of these occluders. ``light``: how bright the place is.
    """

    camera: Camera
    bands: dict[str, tuple[float, float]]
    way: int
    sun: tuple[float, float]
    shade: float
    pictures: Pixels
    occluder_depth: Features
    stands: Masks
    light: float = 1.0


@dataclass(slots=True)
class _Canvas:
    camera: Camera
    image: Pixels
    occluder_depth: Features
    leaves: Pixels
    grain: Features

    def pixels(self, points: object) -> tuple[NDArray[np.int32], float]:
        """World points to points of the large canvas in 1/16 pixels, and their mean distance."""
        where, far = self.camera.project(np.asarray(points, np.float64))
        return np.round(where * FINER * 16).astype(np.int32), float(far.mean())

    def paint(self, mask: Pixels, color: Floats, far: float, texture: float = 0.06) -> None:
        """Lay a color over a mask (0-255), with the canvas's grain, and remember its distance."""
        x, y, width, height = cv2.boundingRect(mask)
        part = np.s_[y : y + height, x : x + width]
        alpha = mask[part][..., None].astype(np.float32) / 255
        tone = np.asarray(color, np.float32) * (1 + texture * self.grain[part][..., None])
        self.image[part] = (self.image[part] * (1 - alpha) + tone.clip(0, 255) * alpha).astype(np.uint8)
        self.occluder_depth[part][mask[part] > 127] = far

    def polygon(self, points: object, color: Floats, far: float | None = None) -> None:
        """A flat convex face in the world."""
        corners, middle = self.pixels(points)
        mask = np.zeros(self.image.shape[:2], np.uint8)
        cv2.fillConvexPoly(mask, corners, 255, cv2.LINE_AA, 4)
        self.paint(mask, color, middle if far is None else far)

    def line(self, a: object, b: object, width: float, color: Floats) -> None:
        """A bar of ``width`` meters between two world points."""
        (p, q), far = self.pixels([a, b])
        thick = max(1, round(width * self.camera.focal / far * FINER))
        mask = np.zeros(self.image.shape[:2], np.uint8)
        cv2.line(mask, p.tolist(), q.tolist(), 255, thick, cv2.LINE_AA, 4)
        self.paint(mask, color, far)

    def box(self, low: tuple[float, float, float], high: tuple[float, float, float], color: Floats) -> None:
        """An upright block, lit from above; only the faces that the camera sees."""
        (x0, y0, z0), (x1, y1, z1) = low, high
        base, _ = self.camera.project([[x0, 0, z0]])
        side, shade = (x1, 0.72) if base[0, 0] < self.camera.width / 2 else (x0, 0.6)
        far = float(self.camera.project([(x0 + x1) / 2, 0, z0])[1])
        self.polygon([[side, y0, z0], [side, y1, z0], [side, y1, z1], [side, y0, z1]], color * shade, far)
        self.polygon([[x0, y1, z0], [x1, y1, z0], [x1, y1, z1], [x0, y1, z1]], color * 1.1, far)
        self.polygon([[x0, y0, z0], [x1, y0, z0], [x1, y1, z0], [x0, y1, z0]], color * 0.88, far)


def build(seed: int, width: int, height: int, varied: bool = False, windy: bool = False) -> Scene:
    """The place that belongs to a seed.

    ``varied``: also in height and view angle of the camera, and in light. ``windy``: leaves move four times as far.

    >>> sorted(build(0, 64, 48).bands)
    ['lawn', 'plaza', 'stream']
    """
    rng = np.random.default_rng([seed, 0x5CE4E])
    camera = Camera(
        mast=rng.uniform(4.6, 5.8),
        pitch=np.deg2rad(rng.uniform(19.5, 23.0)),
        yaw=np.deg2rad(rng.uniform(-15, 15)),
        focal=height * rng.uniform(1.05, 1.2),
        width=width,
        height=height,
    )
    light = 1.0
    if varied:
        draws = np.random.default_rng([seed, 0xCA3E])  # so that everything else stays as it is
        camera, light = _varied(draws, camera), float(draws.uniform(0.5, 1.1))
    bands, wall = _bands(rng)
    way = int(rng.choice([-1, 1]))
    sun = (float(rng.uniform(0.35, 0.9) * rng.choice([-1, 1])), float(rng.uniform(-0.25, 0.35)))
    canvas = _backdrop(rng, camera, bands, wall, way)
    _furnish(rng, canvas, bands, wall, sun)
    depth = _occluder_depth(canvas)
    return Scene(
        camera,
        bands,
        way,
        sun,
        float(rng.uniform(0.3, 0.5)),
        _sway(canvas, 4.0 if windy else 1.0),
        depth,
        np.isfinite(depth),
        light,
    )


def _varied(rng: np.random.Generator, camera: Camera) -> Camera:
    """The camera at another height, with another view angle, directed so that the ground is seen from NEAREST on."""
    mast, half = rng.uniform(4.0, 8.0), np.deg2rad(rng.uniform(19, 29))
    pitch = float(np.arctan2(mast, NEAREST) - half)
    return replace(camera, mast=mast, pitch=pitch, focal=camera.height / 2 / float(np.tan(half)))


def _bands(rng: np.random.Generator) -> tuple[dict[str, tuple[float, float]], float]:
    """Depth ranges in meters, near to far in one of four orders, and the depth of the wall behind them."""
    orders = (
        ("lawn", "plaza", "stream"),
        ("stream", "plaza", "lawn"),
        ("plaza", "stream", "lawn"),
        ("plaza", "lawn", "stream"),
    )
    wide = {"stream": rng.uniform(3.2, 4.2), "plaza": rng.uniform(5.6, 6.8), "lawn": rng.uniform(3.8, 4.8)}
    z, bands = 5.6, {}
    for name in orders[rng.integers(len(orders))]:
        bands[name] = (z, z + wide[name])
        z += wide[name] + 0.35
    return bands, z + (rng.uniform(4.5, 5.5) if rng.random() < 0.5 else rng.uniform(0.6, 1.5))


def _backdrop(
    rng: np.random.Generator, camera: Camera, bands: dict[str, tuple[float, float]], wall: float, way: int
) -> _Canvas:
    rays = camera.rays(FINER)
    down = np.maximum(-rays[..., 1], 1e-6)
    t_ground = np.where(rays[..., 1] < -1e-6, camera.mast / down, np.inf)
    t_wall = wall / np.maximum(rays[..., 2], 1e-6)
    on_wall = t_wall < t_ground
    t = np.minimum(t_ground, t_wall)
    x, z, y = rays[..., 0] * t, rays[..., 2] * t, camera.mast + rays[..., 1] * t
    noise = Noise(rng)
    image = np.where(
        on_wall[..., None],
        facade(rng, noise, x, y, t / camera.focal / FINER),
        ground(rng, noise, x, z, t**2 / camera.mast / camera.focal / FINER, bands, wall, way),
    )
    shape = on_wall.shape
    rows, columns = (np.arange(n, dtype=np.float64) * 0.11 for n in shape)
    grain = noise(columns[None] + 0 * rows[:, None], rows[:, None])
    return _Canvas(
        camera,
        image.clip(0, 255).astype(np.uint8),
        np.full(shape, np.inf, np.float32),
        np.zeros(shape, np.uint8),
        grain.astype(np.float32),
    )


def _furnish(
    rng: np.random.Generator,
    canvas: _Canvas,
    bands: dict[str, tuple[float, float]],
    wall: float,
    sun: tuple[float, float],
) -> None:
    """Cars, trees, chains around the lawn, benches and lamps, from far to near."""
    far_end = max(z1 for _, z1 in bands.values())
    things: list[tuple[float, int, float]] = []
    if wall - far_end > 3:
        low, high = canvas.camera.reach(far_end + 1.5)
        things += [(far_end + 1.2, 0, x) for x in np.arange(low + rng.uniform(0, 2), high - 3, rng.uniform(5.2, 8.0))]
    low, high = canvas.camera.reach(far_end)
    things += [(far_end + 0.2, 1, x) for x in np.arange(low + rng.uniform(0, 3), high, rng.uniform(5.5, 8.5))]
    for edge in bands["lawn"]:
        things.append((edge, 2, 0.0))
    first, last = bands["plaza"]
    side = rng.choice([first - 0.2, last + 0.2])
    low, high = canvas.camera.reach(side)
    spots = rng.permutation(np.linspace(low + 1.0, high - 2.5, 5))
    things += [(side, 3, spots[0]), (side, 4, spots[1])]
    gap = [z1 + 0.17 for _, z1 in bands.values()]
    things += [(float(rng.choice(gap)), 5, float(rng.uniform(low * 0.6, high * 0.6)))]
    # Shadows lie on the ground, under everything that stands.
    for z, kind, x in things:
        _cast(canvas, kind, x, z, sun)
    painters = (_car, _tree, _chain, _bench, _bin, _lamp)
    for z, kind, x in sorted(things, key=lambda thing: -thing[0]):
        painters[kind](rng, canvas, x, z)


def _cast(canvas: _Canvas, kind: int, x: float, z: float, sun: tuple[float, float]) -> None:
    tall, wide = ((1.3, 4.0), (4.5, 1.6), (0, 0), (0.5, 1.6), (0.9, 0.5), (6.0, 0.12))[kind]
    if not tall:
        return
    dx, dz = sun[0] * tall, sun[1] * tall
    foot = [[x, 0, z], [x + wide, 0, z], [x + wide + dx, 0, z + dz], [x + dx, 0, z + dz]]
    if abs(dz) < 0.4:
        foot[2][2] += 0.4
        foot[3][2] += 0.4
    corners, _ = canvas.pixels(foot)
    mask = np.zeros(canvas.image.shape[:2], np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(corners), 255, cv2.LINE_AA, 4)
    soft = cv2.GaussianBlur(mask, (0, 0), 2.0 * canvas.camera.height / 240)[..., None] / 255
    canvas.image[:] = (canvas.image * (1 - 0.35 * soft)).astype(np.uint8)


def _car(rng: np.random.Generator, canvas: _Canvas, x: float, z: float) -> None:
    colors = ([150, 30, 30], [40, 60, 110], [200, 200, 205], [60, 62, 66], [120, 125, 130], [30, 80, 60])
    paint = np.array(colors[rng.integers(len(colors))], float)
    canvas.box((x, 0.3, z), (x + 4.0, 0.85, z + 1.7), paint)
    canvas.box((x + 0.8, 0.85, z + 0.15), (x + 3.3, 1.4, z + 1.55), np.array([45.0, 52, 60]))
    canvas.box((x + 0.9, 1.36, z + 0.2), (x + 3.2, 1.42, z + 1.5), paint)
    for wheel in (x + 0.75, x + 3.25):
        turn = np.linspace(0, 2 * np.pi, 14)[:-1]
        rim = np.stack([wheel + 0.32 * np.cos(turn), 0.32 + 0.32 * np.sin(turn), np.full(13, z - 0.02)], -1)
        canvas.polygon(rim, np.array([25.0, 25, 28]))


def _tree(rng: np.random.Generator, canvas: _Canvas, x: float, z: float) -> None:
    top = rng.uniform(2.0, 2.6)
    canvas.line(
        [x, 0, z], [x + rng.uniform(-0.2, 0.2), top + 0.8, z], rng.uniform(0.16, 0.28), np.array([74.0, 60, 46])
    )
    green = np.array([52.0, 84, 38]) * rng.uniform(0.8, 1.2)
    middle, far = canvas.camera.project([x, top + 1.6, z])
    scale = canvas.camera.focal / far * FINER
    for _ in range(70):
        turn, out = rng.uniform(0, 2 * np.pi), np.sqrt(rng.random()) * 1.5
        dx, dy = np.cos(turn) * out, np.sin(turn) * out * 0.85
        where = (middle * FINER + np.array([dx, dy]) * scale).round().astype(int).tolist()
        mask = np.zeros(canvas.image.shape[:2], np.uint8)
        cv2.circle(mask, where, max(1, int(rng.uniform(0.16, 0.42) * scale)), 255, -1, cv2.LINE_AA)
        canvas.paint(mask, green * (0.95 - 0.28 * dy) * rng.uniform(0.75, 1.25), float(far), 0.2)
        canvas.leaves = np.maximum(canvas.leaves, mask)


def _chain(rng: np.random.Generator, canvas: _Canvas, x: float, z: float) -> None:
    low, high = canvas.camera.reach(z)
    posts = np.arange(np.floor(low) - 2, high + 3, 2.0)
    steel = np.array([70.0, 70, 72])
    for a, b in pairwise(posts):
        sag = [[a + (b - a) * k, 0.5 - 0.5 * k * (1 - k), z] for k in np.linspace(0, 1, 6)]
        for p, q in pairwise(sag):
            canvas.line(p, q, 0.03, steel * 1.2)
        canvas.line([a, 0, z], [a, 0.6, z], 0.08, steel)


def _bench(rng: np.random.Generator, canvas: _Canvas, x: float, z: float) -> None:
    wood = np.array([122.0, 88, 56]) * rng.uniform(0.8, 1.15)
    canvas.box((x, 0.38, z), (x + 1.6, 0.46, z + 0.4), wood)
    canvas.box((x, 0.5, z + 0.4), (x + 1.6, 0.85, z + 0.45), wood * 0.9)
    for leg in (x + 0.1, x + 1.5):
        canvas.line([leg, 0, z], [leg, 0.4, z], 0.08, np.array([50.0, 50, 52]))


def _bin(rng: np.random.Generator, canvas: _Canvas, x: float, z: float) -> None:
    tones = ([40.0, 74, 52], [66.0, 70, 76], [120.0, 50, 40])
    canvas.box((x, 0, z), (x + 0.5, 0.9, z + 0.45), np.array(tones[rng.integers(3)]))


def _lamp(rng: np.random.Generator, canvas: _Canvas, x: float, z: float) -> None:
    steel = np.array([62.0, 64, 66])
    canvas.line([x, 0, z], [x, 6.5, z], 0.13, steel)
    canvas.line([x, 0, z], [x, 0.7, z], 0.22, steel * 0.9)


def _occluder_depth(canvas: _Canvas) -> Features:
    height, width = canvas.camera.height, canvas.camera.width
    samples = canvas.occluder_depth.reshape(height, FINER, width, FINER)
    # A thin post would flicker in and out of a nearest sample; a pixel hides when half of it does.
    nearest = np.sort(samples.transpose(0, 2, 1, 3).reshape(height, width, -1), -1)
    hidden: Features = np.ascontiguousarray(nearest[..., FINER * FINER // 2 - 1])
    return hidden


def _sway(canvas: _Canvas, gust: float) -> Pixels:
    """The background with its leaves a little to the left and right, ``gust`` times: ``(SWAYS, H, W, 3)``."""
    size = (canvas.camera.width, canvas.camera.height)
    height, width = canvas.image.shape[:2]
    soft = cv2.GaussianBlur(canvas.leaves.astype(np.float32) / 255, (0, 0), 3.0 * canvas.camera.height / 240)
    ys, xs = np.mgrid[:height, :width].astype(np.float32)
    strength = 0.012 * gust * canvas.camera.height * FINER / 2
    pictures = []
    for turn in np.linspace(0, 2 * np.pi, SWAYS + 1)[:-1]:
        push = soft * strength * np.sin(turn + xs / width * 20 + ys / height * 9).astype(np.float32)
        moved = cv2.remap(canvas.image, xs + push, ys + push * 0.4, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        pictures.append(cv2.resize(moved, size, interpolation=cv2.INTER_AREA))
    return np.stack(pictures).astype(np.uint8)
