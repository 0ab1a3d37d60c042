"""The camera of the toy data set: a pinhole on a mast, directed down at a flat ground.

World: x along the street, y up, z away from the camera, in meters; the camera stands at ``(0, mast, 0)``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from wherewhen.core.values import Floats


@dataclass(frozen=True, slots=True)
class Camera:
    """``mast`` in meters, ``pitch`` (down) and ``yaw`` in radians, ``focal`` and picture size in pixels."""

    mast: float
    pitch: float
    yaw: float
    focal: float
    width: int
    height: int

    def project(self, points: ArrayLike) -> tuple[Floats, Floats]:
        """World points ``(..., 3)`` to pixels ``(..., 2)`` and distances ``(...)`` along the view, in meters.

        >>> camera = Camera(5.0, 0.3, 0.0, 277.0, 320, 240)
        >>> pixels, far = camera.project([0.0, 5.0, 100.0])
        >>> float(pixels[0]), bool(pixels[1] < 120)
        (160.0, True)
        """
        p = np.asarray(points, np.float64)
        sin, cos = np.sin(self.yaw), np.cos(self.yaw)
        right = p[..., 0] * cos - p[..., 2] * sin
        ahead = p[..., 0] * sin + p[..., 2] * cos
        down = self.mast - p[..., 1]
        far = down * np.sin(self.pitch) + ahead * np.cos(self.pitch)
        drop = down * np.cos(self.pitch) - ahead * np.sin(self.pitch)
        scale = self.focal / np.maximum(far, 0.5)
        return np.stack([self.width / 2 + right * scale, self.height / 2 + drop * scale], -1), far

    def rays(self, finer: int) -> Floats:
        """World direction ``(H * finer, W * finer, 3)`` of every pixel of a picture that is ``finer`` times larger."""
        u = (np.arange(self.width * finer) + 0.5) / finer - self.width / 2
        v = (np.arange(self.height * finer) + 0.5) / finer - self.height / 2
        right, drop = np.meshgrid(u / self.focal, v / self.focal)
        ahead = np.cos(self.pitch) - drop * np.sin(self.pitch)
        up = -(np.sin(self.pitch) + drop * np.cos(self.pitch))
        sin, cos = np.sin(self.yaw), np.cos(self.yaw)
        return np.stack([right * cos + ahead * sin, up, -right * sin + ahead * cos], -1)

    def reach(self, z: float) -> tuple[float, float]:
        """The stretch of x in meters that the picture shows of the ground line at depth ``z``; empty is an error."""
        x = np.linspace(-40, 40, 1601)
        line = np.stack([x, np.zeros_like(x), np.full_like(x, z)], -1)
        pixels, far = self.project(line)
        visible = x[(far > 1) & (pixels[:, 0] >= 0) & (pixels[:, 0] < self.width)]
        return float(visible[0]), float(visible[-1])
