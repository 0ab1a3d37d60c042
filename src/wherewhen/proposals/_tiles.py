"""Detection of small objects: a detector processes a picture and overlapping tiles of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from wherewhen.core.contracts import ClipSpec
from wherewhen.core.values import Floats, Masks, Pixels
from wherewhen.proposals._layouts import Raw

SHARED = 0.2  # share of a tile's side that overlaps the next tile
CUT = 0.01  # share of a tile's side: a box this close to a border inside the picture counts as cut by it

Place = tuple[int, int, int, int]


def tiles(size: tuple[int, int], count: tuple[int, int]) -> list[Place]:
    """Pixel boxes ``x0 y0 x1 y1`` of the whole picture, then of its tiles, of which neighbors share SHARED.

    ``size``: height and width. ``count``: rows and columns of tiles; with one of each there is only the whole.

    >>> tiles((90, 180), (1, 2))
    [(0, 0, 180, 90), (0, 0, 100, 90), (80, 0, 180, 90)]
    """
    height, width = size
    whole = (0, 0, width, height)
    if count == (1, 1):
        return [whole]
    down, across = (_stretches(side, parts) for side, parts in zip(size, count, strict=True))
    return [whole, *((x0, y0, x1, y1) for y0, y1 in down for x0, x1 in across)]


def _stretches(side: int, parts: int) -> list[tuple[int, int]]:
    length = min(side, int(np.ceil(side / (parts - (parts - 1) * SHARED))))
    return [(start, start + length) for start in np.linspace(0, side - length, parts).round().astype(int).tolist()]


def tiled(picture: Pixels, count: tuple[int, int], detect: Callable[[Pixels], Raw]) -> Raw:
    """Detections of ``detect`` in a picture and in each of its tiles, in shares of the picture.

    Boxes at a border of a tile inside the picture are left out: the neighboring tile has them whole.
    """
    height, width = picture.shape[:2]
    parts = []
    for x0, y0, x1, y1 in tiles((height, width), count):
        corners, values, classes = detect(np.ascontiguousarray(picture[y0:y1, x0:x1]))
        inner = np.array([x0 > 0, y0 > 0, x1 < width, y1 < height])
        entire = ~(inner & _touching(corners)).any(1)
        scale, shift = np.array([x1 - x0, y1 - y0] * 2), np.array([x0, y0] * 2)
        placed = (corners[entire] * scale + shift) / np.array([width, height] * 2)
        parts.append((placed, values[entire], classes[entire]))
    corners, values, classes = (np.concatenate(part) for part in zip(*parts, strict=True))
    return corners, values, classes


def close_up(clip: ClipSpec, count: tuple[int, int]) -> ClipSpec:
    """Clips for a detector: with tiles, in the original size."""
    return clip if count == (1, 1) else replace(clip, width=None, size=None)


def _touching(corners: Floats) -> Masks:
    """Which borders, left, top, right and bottom, boxes ``(N, 4)`` in shares reach."""
    reached: Masks = np.concatenate([corners[:, :2] < CUT, corners[:, 2:] > 1 - CUT], 1)
    return reached
