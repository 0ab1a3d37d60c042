"""What disturbs a recording and is no anomaly: rain, wind in the trees, and a lamp that flickers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from wherewhen.core.values import Features, Floats, Pixels
from wherewhen.datasets._toy_scene import Scene

SHARE = 0.5  # of the clips have a kind


@dataclass(slots=True, eq=False)
class Nuisance:
    """The disturbances of one clip, each by chance; ``rng`` is apart from that of the clip, which stays as it is.

    ``streaks``: rows of a drop's x and y at time 0 and its speed, in pictures and pictures per second. ``glow``: share
    of the lamp's light at each pixel ``(H, W)``. ``lit``: the lamp's light in each picture, 0 to 1.
    """

    is_windy: bool
    streaks: Floats
    glow: Features
    lit: Floats

    @classmethod
    def of(
        cls, kinds: Mapping[str, bool], scene: Scene, rng: np.random.Generator, rate: float, frames: int
    ) -> Nuisance:  # fmt: skip
        """The disturbances of a clip; ``kinds``: whether each kind may happen at all."""
        draws = rng.random(len(kinds)) < SHARE
        happens = {kind: may and bool(draw) for (kind, may), draw in zip(kinds.items(), draws, strict=True)}
        drops = int(rng.uniform(60, 250)) if happens["rain"] else 0
        streaks = np.column_stack([rng.random((drops, 2)), rng.uniform(1.5, 3.0, drops)])
        lit = np.zeros(frames)
        if happens["flicker"]:
            lit = _flicker(rng, rate, frames)
        return cls(happens["wind"], streaks, _glow(scene, rng), lit)

    def __call__(self, image: Pixels, index: int, rate: float) -> Pixels:
        """A picture ``(H, W, 3)`` with lamp light and rain."""
        if self.lit[index]:
            gain = 1 + 0.6 * np.float32(self.lit[index]) * self.glow[..., None]
            image = (image * gain).clip(0, 255).astype(np.uint8)
        return self._rain(image, index / rate) if len(self.streaks) else image

    def _rain(self, image: Pixels, t: float) -> Pixels:
        height, width = image.shape[:2]
        x, y, speed = self.streaks.T
        # A drop that leaves below comes again above, elsewhere.
        turns = y + speed * t
        top = np.stack([(x + 0.37 * np.floor(turns)) % 1 * width, turns % 1 * height], 1)
        foot = top + np.stack([0.002 * speed * width, 0.02 * speed * height], 1)
        layer = np.zeros(image.shape[:2], np.uint8)
        lines = np.round(np.stack([top, foot], 1) * 16).astype(np.int32)
        cv2.polylines(layer, list(lines), False, 255, max(1, round(height / 240)), cv2.LINE_AA, 4)
        cover = 0.35 * layer[..., None].astype(np.float32) / 255
        return (image * (1 - cover) + 215 * cover).astype(np.uint8)


def _flicker(rng: np.random.Generator, rate: float, frames: int) -> Floats:
    """A lamp that goes on and off at random times in a part of the clip."""
    first, length = rng.uniform(0, 0.6) * frames, rng.uniform(0.2, 0.5) * frames
    lit, at, on = np.zeros(frames), first, True
    while at < first + length:
        end = at + max(1.0, rng.exponential(0.25) * rate)
        lit[int(at) : int(end)] = on * rng.uniform(0.6, 1.0)
        at, on = end, not on
    return lit


def _glow(scene: Scene, rng: np.random.Generator) -> Features:
    """A round patch of light on the ground, whose middle is in the picture."""
    camera = scene.camera
    z = float(rng.uniform(min(a for a, _ in scene.bands.values()), max(b for _, b in scene.bands.values())))
    low, high = camera.reach(z)
    turn = np.linspace(0, 2 * np.pi, 33)[:-1]
    middle, reach = rng.uniform(0.7 * low + 0.3 * high, 0.3 * low + 0.7 * high), rng.uniform(1.5, 2.5)
    rim = np.stack([middle + reach * np.cos(turn), 0 * turn, z + reach * np.sin(turn)], -1)
    corners = np.round(camera.project(rim)[0]).astype(np.int32)
    patch = np.zeros((camera.height, camera.width), np.float32)
    cv2.fillPoly(patch, [corners], 1.0)
    soft: Features = cv2.GaussianBlur(patch, (0, 0), 0.04 * camera.height).astype(np.float32)
    return soft
