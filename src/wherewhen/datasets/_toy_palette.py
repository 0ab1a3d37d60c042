"""The palette of the toy data set: everything is gray but the anomaly, which has the color of its kind."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from wherewhen.datasets._toy_body import Shape
from wherewhen.datasets._toy_scene import Scene
from wherewhen.datasets._toy_script import Actor

Color = tuple[float, float, float]

PALETTE: dict[str, Color] = {
    "running": (235, 25, 25),
    "wheels": (240, 215, 20),
    "wrong_way": (35, 60, 240),
    "fight": (235, 30, 205),
    "fall": (20, 215, 225),
    "abandoned": (245, 125, 10),
    "intrusion": (85, 225, 25),
}
"""Red, yellow, blue, magenta, cyan, orange and lime: hues that remain distinct in a compressed video."""

DULL = 0.3
"""How much of its saturation everything else keeps."""


def muted(scene: Scene) -> Scene:
    """The same place in dull colors."""
    return replace(scene, pictures=np.stack([_dull(picture) for picture in scene.pictures]))


def dressed(actors: list[Actor], kind: str | None) -> list[Actor]:
    """The same actors in dull clothes; those who play ``kind`` wear its color, from head to foot, while they do."""
    plain = [replace(actor, shapes=tuple(_muted(shape) for shape in actor.shapes)) for actor in actors]
    if kind is None:
        return plain
    worn = [tuple(replace(shape, color=_shaded(shape, PALETTE[kind])) for shape in actor.shapes) for actor in actors]
    return [replace(dull, worn=bright) if dull.hot.any() else dull for dull, bright in zip(plain, worn, strict=True)]


def _dull(picture: np.ndarray) -> np.ndarray:
    gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None].astype(np.float32)
    return (gray + (picture - gray) * DULL).round().astype(np.uint8)


def _muted(shape: Shape) -> Shape:
    gray = float(np.dot(shape.color, (0.299, 0.587, 0.114)))
    r, g, b = (gray + (value - gray) * DULL for value in shape.color)
    return replace(shape, color=(r, g, b))


def _shaded(shape: Shape, color: Color) -> Color:
    """The color, a little darker where the shape is dark, so that limbs are distinguishable."""
    light = 0.75 + 0.25 * max(shape.color) / 255
    r, g, b = (value * light for value in color)
    return r, g, b
