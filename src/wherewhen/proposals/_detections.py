"""Detections as boxes: filtered by confidence and class, without duplicates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wherewhen.core.errors import ConfigError
from wherewhen.core.values import Boxes, Frame
from wherewhen.proposals._classes import MOVERS
from wherewhen.proposals._layouts import Raw
from wherewhen.proposals._nms import surest

MOST_TILES = 64  # of one picture


@dataclass(frozen=True)
class DetectorConfig:
    """Settings that every detector has.

    Args:
        classes: names of classes to detect; an empty list means all.
        score: boxes of lower confidence are left out.
        overlap: of boxes of one class with a higher IoU, the one of highest confidence is kept.
        most: boxes per picture, those of highest confidence.
        stride: one of so many frames is used.
        rate: frames per second before ``stride`` applies; null keeps the source's.
        tiles: rows and columns of overlapping tiles, processed beside the whole picture, for small objects.
    """

    classes: tuple[str, ...] = MOVERS
    score: float = 0.3
    overlap: float = 0.45
    most: int = 60
    stride: int = 2
    rate: float | None = None
    tiles: tuple[int, int] = (1, 1)

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(self.classes))
        object.__setattr__(self, "tiles", tuple(self.tiles))
        if not 0 <= self.score <= 1 or not 0 < self.overlap <= 1:
            raise ConfigError(
                f"detector: expected score in [0, 1] and overlap in (0, 1]; got {self.score}, {self.overlap}"
            )
        if self.most < 1 or self.stride < 1:
            raise ConfigError(f"detector: most and stride are at least 1; got {self.most} and {self.stride}")
        if len(self.tiles) != 2 or min(self.tiles) < 1 or self.tiles[0] * self.tiles[1] > MOST_TILES:
            raise ConfigError(f"detector: tiles are rows and columns, {MOST_TILES} in all at most; got {self.tiles}")


def filtered_boxes(
    raw: Raw,
    frame: Frame,
    names: Sequence[str],
    allowed: Sequence[bool],
    config: DetectorConfig,
    overlap: float | None = None,
) -> Boxes:
    """The `Boxes` of a frame; ``allowed`` ``(C,)``: classes to keep. ``overlap``: instead of the setting."""
    corners, values, classes = raw
    good = np.isfinite(corners).all(1) & (values >= config.score) & np.asarray(allowed)[classes]
    corners, values, classes = corners[good].clip(0, 1), values[good], classes[good]
    times = np.tile([frame.start, frame.end], (len(corners), 1))
    rows = np.concatenate([times, corners], 1)
    indices = surest(rows, values, classes, config.overlap if overlap is None else overlap, config.most)
    labels = tuple(names[k] for k in classes[indices])
    return Boxes(frame.start, frame.end, rows[indices], values[indices], labels)
