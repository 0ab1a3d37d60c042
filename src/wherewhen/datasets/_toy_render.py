"""Rendering of the toy data set: shadows, bodies, blur, changing light, noise, and masks of the objects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from wherewhen.core.values import Floats, Masks, Pixels
from wherewhen.datasets._toy_body import Shape
from wherewhen.datasets._toy_camera import Camera
from wherewhen.datasets._toy_nuisance import Nuisance
from wherewhen.datasets._toy_scene import SWAYS, Scene
from wherewhen.datasets._toy_script import Actor

Box = tuple[int, int, int, int]
Ints = NDArray[np.int64]

FINER = 2
"""Bodies are drawn this many times larger, then shrunk."""

_SLIM = 0.05
"""Shapes up to this many meters cast no shadow of their own."""


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """One picture, uint8 RGB ``(H, W, 3)``, and the anomaly's visible pixels ``(H, W)`` and boxes by track number."""

    image: Pixels
    mask: Masks
    boxes: dict[int, Box]


@dataclass(slots=True)
class _Film:
    """An actor as the camera sees it: everything that doesn't need drawing, for all its frames at once.

    ``points`` and ``shadow``: ``(n, P, 2)`` in 1/16 of a drawn pixel. ``thick`` and ``cast``: ``(n, S)`` in drawn and
    in picture pixels. ``order``: shapes from far to near. ``low`` and ``high``: ``(n, 2)`` a box around it.
    """

    actor: Actor
    points: NDArray[np.int32]
    shadow: NDArray[np.int32]
    thick: Ints
    cast: Ints
    order: Ints
    far: Floats
    low: Ints
    high: Ints


def _film(actor: Actor, scene: Scene) -> _Film:
    camera = scene.camera
    pixels, far = camera.project(actor.points)
    fallen = actor.points.copy()
    fallen[..., 0] += actor.points[..., 1] * scene.sun[0]
    fallen[..., 2] += actor.points[..., 1] * scene.sun[1]
    fallen[..., 1] = 0
    depth = np.stack([far[:, list(shape.points)].mean(1) for shape in actor.shapes], 1)
    widths = np.array([shape.size for shape in actor.shapes]) * camera.focal / np.maximum(depth, 0.5)
    margin = widths.max(1)[:, None] + 2
    return _Film(
        actor,
        (pixels * (16 * FINER)).round().clip(-3e5, 3e5).astype(np.int32),
        (camera.project(fallen)[0] * 16).round().clip(-3e5, 3e5).astype(np.int32),
        (widths * FINER).round().clip(1).astype(np.int64),
        widths.round().clip(1).astype(np.int64),
        np.argsort(-depth, 1, kind="stable"),
        far.mean(1),
        np.floor(pixels.min(1) - margin).astype(np.int64),
        np.ceil(pixels.max(1) + margin).astype(np.int64),
    )


def _stroke(canvas: Pixels, shape: Shape, points: NDArray[np.int32], thick: int, color: tuple[float, ...]) -> None:
    """Paint one shape; ``points`` ``(P, 2)`` in 1/16 pixels, ``thick`` in pixels (a circle's radius)."""
    if shape.kind == "line":
        a, b = shape.points
        cv2.line(canvas, points[a], points[b], color, thick, cv2.LINE_8, 4)
    elif shape.kind == "circle":
        cv2.circle(canvas, points[shape.points[0]], thick * 16, color, -1, cv2.LINE_8, 4)
    else:
        corners = points[list(shape.points)]
        if shape.kind == "polygon":
            cv2.fillConvexPoly(canvas, cv2.convexHull(corners), color, cv2.LINE_8, 4)
        if shape.size:
            cv2.polylines(canvas, [corners], True, color, thick, cv2.LINE_8, 4)


def _body(film: _Film, k: int, box: Box) -> Pixels:
    """An actor's frame ``k`` in the window ``box`` of the picture: RGB times cover, and cover (0-255)."""
    x0, y0, x1, y1 = box
    canvas = np.zeros(((y1 - y0) * FINER, (x1 - x0) * FINER, 4), np.uint8)
    points = film.points[k] - np.array([x0, y0], np.int32) * (FINER * 16)
    actor = film.actor
    thick, shapes = film.thick[k].tolist(), actor.worn if actor.worn and actor.hot[k] else actor.shapes
    for s in film.order[k].tolist():
        _stroke(canvas, shapes[s], points, thick[s], (*shapes[s].color, 255.0))
    return cv2.resize(canvas, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def _shadows(image: Pixels, scene: Scene, cast: list[tuple[_Film, int]]) -> None:
    """Darken the ground where bodies keep the sun away."""
    mask = np.zeros(image.shape[:2], np.uint8)
    for film, k in cast:
        thick = film.cast[k].tolist()
        for shape, width in zip(film.actor.shapes, thick, strict=True):
            if shape.size > _SLIM or not shape.size:
                _stroke(mask, shape, film.shadow[k], width, (255.0,))
    mask[scene.stands] = 0
    soft = cv2.GaussianBlur(mask, (5, 5), 0.9 * scene.camera.height / 240)
    light = cv2.convertScaleAbs(soft, alpha=-scene.shade, beta=255)
    cv2.multiply(image, cv2.cvtColor(light, cv2.COLOR_GRAY2RGB), image, 1 / 255)


def _paint(image: Pixels, ids: NDArray[np.int16], scene: Scene, film: _Film, k: int) -> None:
    """Lay a body into the picture, behind what stands nearer, and its track number + 1 into ``ids``."""
    height, width = ids.shape
    (x0, y0), (x1, y1) = film.low[k].tolist(), film.high[k].tolist()
    x0, y0, x1, y1 = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
    if x0 >= x1 or y0 >= y1:
        return
    body = _body(film, k, (x0, y0, x1, y1))
    part = np.s_[y0:y1, x0:x1]
    if scene.stands[part].any():
        body[scene.occluder_depth[part] <= film.far[k]] = 0
    cover = body[..., 3]
    under = image[part].astype(np.uint16)
    under *= (255 - cover)[..., None]
    under += 127
    under //= 255
    under += body[..., :3]
    image[part] = under
    ids[part][cover > 127] = film.actor.track + 1


_RAMP = np.arange(256, dtype=np.float64)[:, None]


class _Lens:
    """Blur, slowly changing light, noise and the clock of one recording."""

    def __init__(self, rng: np.random.Generator, camera: Camera, rate: float, light: float) -> None:
        self.rng, self.rate = rng, rate
        self.size = (camera.height, camera.width)
        self.gain, self.period = light * rng.uniform(0.86, 1.12), rng.uniform(9, 40)
        self.depth, self.turn = rng.uniform(0.01, 0.05), rng.uniform(0, 6.28)
        self.tint = np.array([1, 1, 1]) + rng.uniform(-0.03, 0.03) * np.array([1, 0, -1])
        self.clock, self.name = int(rng.integers(8 * 3600, 17 * 3600)), int(rng.integers(1, 5))
        shape = (4, camera.height + 32, camera.width + 32, 3)
        grain = rng.standard_normal(shape, np.float32) * 2.2 + rng.standard_normal((*shape[:3], 1), np.float32) * 2.6
        self.grain = grain.round().clip(-127, 127).astype(np.int8)

    def __call__(self, image: Pixels, index: int) -> Pixels:
        t = index / self.rate
        image = cv2.GaussianBlur(image, (3, 3), 0.55).astype(np.uint8, copy=False)
        gain = self.gain * (1 + self.depth * np.sin(2 * np.pi * t / self.period + self.turn)) * self.tint
        lit = cv2.LUT(image, (_RAMP * gain).round().clip(0, 255).astype(np.uint8)[None])
        image = lit.astype(np.uint8, copy=False)
        self._stamp(image, int(self.clock + t))
        which, dy, dx = self.rng.integers(0, [4, 32, 32]).tolist()
        grain = self.grain[which, dy : dy + self.size[0], dx : dx + self.size[1]]
        return cv2.add(image, grain, dtype=cv2.CV_8U).astype(np.uint8, copy=False)

    def _stamp(self, image: Pixels, clock: int) -> None:
        text = f"CAM {self.name}  {clock // 3600:02d}:{clock // 60 % 60:02d}:{clock % 60:02d}"
        unit = self.size[0] / 240
        x, y, thick = round(5 * unit), round(12 * unit), max(1, round(unit))
        for shift, tone in ((thick, 20), (0, 230)):
            at = (x + shift, y + shift)
            cv2.putText(image, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.36 * unit, (tone, tone, tone), thick, cv2.LINE_AA)


def _visible(ids: NDArray[np.int16], hot: list[int], least: float) -> tuple[Masks, dict[int, Box]]:
    """Pixels and half-open boxes of the hot tracks that show at least ``least`` pixels."""
    mask = np.zeros(ids.shape, bool)
    boxes: dict[int, Box] = {}
    for track in hot:
        pixels = ids == track + 1
        if int(pixels.sum()) >= least:
            mask |= pixels
            rows, columns = np.flatnonzero(pixels.any(1)), np.flatnonzero(pixels.any(0))
            boxes[track] = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    return mask, boxes


def render(
    scene: Scene,
    actors: list[Actor],
    rng: np.random.Generator,
    rate: float,
    frames: int,
    nuisance: Nuisance,
) -> Iterator[Drawn]:
    """The pictures of a clip in order."""
    films = [_film(actor, scene) for actor in actors]
    lens = _Lens(rng, scene.camera, rate, scene.light)
    limits = np.array([scene.camera.width, scene.camera.height])
    wind = rng.uniform(0.4, 0.8) * (2 if nuisance.is_windy else 1)
    least = 10 * (scene.camera.height / 240) ** 2
    for index in range(frames):
        cast = [(film, index - film.actor.first) for film in films]
        cast = [(film, k) for film, k in cast if 0 <= k < len(film.far)]
        # A shadow can show where its body doesn't: a generous border.
        wide = 0.25 * limits
        cast = [(f, k) for f, k in cast if (f.high[k] > -wide).all() and (f.low[k] < limits + wide).all()]
        image = scene.pictures[int(index / rate * wind * SWAYS) % SWAYS].copy()
        _shadows(image, scene, cast)
        ids = np.zeros(image.shape[:2], np.int16)
        for film, k in sorted(cast, key=lambda pair: -pair[0].far[pair[1]]):
            _paint(image, ids, scene, film, k)
        hot = [film.actor.track for film, k in cast if film.actor.hot[k]]
        mask, boxes = _visible(ids, hot, least)
        yield Drawn(lens(nuisance(image, index, rate), index), mask, boxes)
