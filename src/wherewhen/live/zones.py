"""Parts of the picture of a camera: zones that name places, and masks that are not looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from wherewhen.core.errors import ConfigError
from wherewhen.core.values import Floats, Pixels

Polygon = tuple[tuple[float, float], ...]
GRAY = 128  # of a mask


def check(name: str, polygon: Sequence[Sequence[float]]) -> Polygon:
    """A polygon of at least three points in fractions of the picture; ConfigError for something else."""
    points = tuple(tuple(map(float, point)) for point in polygon)
    if len(points) < 3 or any(len(point) != 2 or not all(0 <= x <= 1 for x in point) for point in points):
        raise ConfigError(f"{name}: expected at least three points [x, y] in fractions of the picture, from 0 to 1")
    return points  # type: ignore[return-value]


def inside(points: Floats, polygon: Polygon) -> NDArray[np.bool_]:
    """Which points ``(N, 2)`` are within a polygon (even-odd rule).

    >>> inside(np.array([[0.5, 0.5], [0.9, 0.9]]), ((0, 0), (0.8, 0), (0.8, 0.8), (0, 0.8))).tolist()
    [True, False]
    """
    x, y = points[:, 0], points[:, 1]
    within = np.zeros(len(points), bool)
    for (x0, y0), (x1, y1) in zip(polygon, (*polygon[1:], polygon[0]), strict=True):
        if y0 == y1:
            continue
        crosses = (y0 > y) != (y1 > y)
        within ^= crosses & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
    return within


def of_box(box: Sequence[float], zones: Mapping[str, Polygon]) -> list[str]:
    """The zones that contain the middle of the lower edge of a box ``x0 y0 x1 y1``, or its center.

    >>> of_box((0.1, 0.1, 0.3, 0.4), {"gate": ((0, 0.3), (1, 0.3), (1, 1), (0, 1))})
    ['gate']
    """
    x = (box[0] + box[2]) / 2
    points = np.array([[x, box[3]], [x, (box[1] + box[3]) / 2]])
    return [name for name, polygon in zones.items() if inside(points, polygon).any()]


class Masks:
    """Paints masks gray, so that nothing moves in them."""

    def __init__(self, polygons: Sequence[Polygon]) -> None:
        self.polygons = tuple(polygons)
        self._rasters: dict[tuple[int, int], NDArray[np.bool_]] = {}

    def __call__(self, picture: Pixels) -> Pixels:
        """The picture ``(H, W, 3)`` with its masks painted; the same one where there are none."""
        if not self.polygons:
            return picture
        size = picture.shape[:2]
        if size not in self._rasters:
            rows, columns = np.indices(size)
            centers = np.stack([(columns.ravel() + 0.5) / size[1], (rows.ravel() + 0.5) / size[0]], 1)
            covered = np.zeros(len(centers), bool)
            for polygon in self.polygons:
                covered |= inside(centers, polygon)
            self._rasters[size] = covered.reshape(size)
        painted = picture.copy()
        painted[self._rasters[size]] = GRAY
        return painted
