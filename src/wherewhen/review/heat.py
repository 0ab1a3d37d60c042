"""Heat maps of items: small maps of scores in the database, and their pictures."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from wherewhen.core.values import Features, Pixels

LARGEST = 40  # cells of a side of a stored map
WIDTH = 480  # pixels of a picture
_SIZE = np.dtype("<u2")  # of the height and the width before the levels


@dataclass(frozen=True, eq=False)
class StoredMap:
    """Scores ``(h, w)`` in [0, 1] of a time step, in steps of 1 / 255; ``start``, ``end`` in seconds, ``score``."""

    start: float
    end: float
    score: float
    values: Features


def small(values: Features) -> Features:
    """A map of at most 40 x 40 cells; of a finer one the highest score of each part.

    >>> small(np.eye(100, dtype=np.float32)).shape
    (40, 40)
    """
    for axis, side in enumerate(values.shape):
        if side > LARGEST:
            starts = np.linspace(0, side, LARGEST + 1).astype(int)[:-1]
            values = np.maximum.reduceat(values, starts, axis)
    return values


def packed(values: Features) -> bytes:
    """A map ``(h, w)`` of scores in [0, 1] as bytes: height, width, and a level for each cell."""
    levels = levels_of(values)
    return np.array(levels.shape, _SIZE).tobytes() + levels.tobytes()


def unpacked(data: bytes) -> Features:
    """The map of bytes that `packed` made; ValueError for others.

    >>> unpacked(packed(np.float32([[0, 0.2], [0.4, 1]]))).round(2).tolist()
    [[0.0, 0.20000000298023224], [0.4000000059604645, 1.0]]
    """
    shape = np.frombuffer(data[:4], _SIZE)
    return scores_of(np.frombuffer(data[4:], np.uint8).reshape(*shape.tolist()))


def levels_of(values: Features) -> Pixels:
    """A small map of scores in [0, 1] in levels from 0 to 255."""
    levels: Pixels = np.round(small(values).clip(0, 1) * 255).astype(np.uint8)
    return levels


def scores_of(levels: Pixels) -> Features:
    """The scores of levels, see `levels_of`."""
    scores: Features = levels.astype(np.float32) / np.float32(255)
    return scores


def highest(maps: Iterable[StoredMap], start: float, end: float) -> Features | None:
    """The map with the highest score in a span of seconds; None without one."""
    inside = [stored for stored in maps if stored.start < end and stored.end > start]
    return max(inside, key=lambda stored: stored.score).values if inside else None


def picture(row: Mapping[str, Any]) -> bytes | None:
    """The map of an item as WEBP with transparency, as wide as high as its video; None without one.

    ``row``: see `wherewhen.review.items.row_of`.
    """
    from PIL import Image

    from wherewhen.visualization.render.paint import heat_layer

    if row["heat"] is None:
        return None
    values = unpacked(row["heat"])
    width, height = (row["width"], row["height"]) if row["width"] else (values.shape[1], values.shape[0])
    layer = heat_layer(values, WIDTH, max(1, round(WIDTH * height / width)), row["threshold"])
    data = io.BytesIO()
    Image.fromarray(layer, "RGBA").save(data, "WEBP", quality=80)
    return data.getvalue()
