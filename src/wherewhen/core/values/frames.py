"""Pictures: single frames, pictures in memory, and clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wherewhen.core import extents as ext
from wherewhen.core.errors import expected
from wherewhen.core.values.arrays import (
    ALWAYS,
    Floats,
    Pixels,
    answered,
    edges_of,
    freeze,
    seconds,
)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Frame:
    """One picture: uint8 RGB ``(H, W, 3)``, its 0-based number in the source and its time ``[start, end)``."""

    image: Pixels
    index: int
    start: float
    end: float

    def __post_init__(self) -> None:
        if self.image.ndim != 3 or self.image.shape[2] != 3 or self.image.dtype != np.uint8:
            raise ValueError(f"frame {self.index}: expected uint8 (H, W, 3), got {self.image.dtype} {self.image.shape}")
        if not self.start < self.end:
            raise ValueError(f"frame {self.index}: time must advance, got [{self.start}, {self.end})")

    def __repr__(self) -> str:
        height, width = self.image.shape[:2]
        return f"Frame({self.index}, {seconds(self.start, self.end)}, {width}x{height})"


@dataclass(frozen=True, eq=False, repr=False)
class Pictures:
    """Pictures in memory as a source: uint8 RGB ``(T, H, W, 3)``, ``rate`` of them per second.

    A list of pictures ``(H, W, 3)`` of one size is accepted too, as are gray ones ``(H, W)``. ConfigError for anything
    else: values from 0 to 1 are not scaled, since their range is ambiguous.

    >>> Pictures(np.zeros((50, 48, 64, 3), np.uint8), rate=10)
    Pictures(50 of 64x48, 10 per second)
    """

    images: Pixels
    rate: float = 25.0

    def __post_init__(self) -> None:
        if not (isinstance(self.rate, int | float) and 0 < self.rate < float("inf")):
            raise expected("rate", "pictures per second above 0", self.rate)
        object.__setattr__(self, "images", _stacked(self.images))

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        height, width = self.images[0].shape[:2]
        return f"Pictures({len(self)} of {width}x{height}, {self.rate:g} per second)"

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        """The name of their results."""
        return "pictures"

    @property
    def stem(self) -> str:
        """The name of their results."""
        return self.name


def _stacked(images: Any) -> Pixels:
    requirement = "uint8 RGB pictures (T, H, W, 3), or a list of pictures (H, W, 3) of one size"
    try:
        stack = images if isinstance(images, np.ndarray) else np.stack([np.asarray(image) for image in images])
    except (TypeError, ValueError):
        shapes = sorted({str(np.shape(image)) for image in images}) if isinstance(images, Sequence) else []
        raise expected("pictures", requirement, ", ".join(shapes) or images) from None
    if stack.ndim == 3 and stack.shape[-1] != 3 and stack.dtype == np.uint8:
        stack = np.repeat(stack[..., None], 3, -1)
    if stack.ndim != 4 or stack.shape[-1] != 3 or stack.dtype != np.uint8 or not stack.size:
        raise expected("pictures", requirement, f"{stack.dtype} {stack.shape}")
    return stack


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Clip:
    """Consecutive pictures: uint8 RGB ``(T, H, W, 3)`` and their T + 1 time edges in seconds.

    ``span``: the seconds that the clip covers, where they are not all that it shows; spans of clips of one video
    don't overlap. It may begin before the first picture.
    """

    images: Pixels
    edges: Floats
    span: tuple[float, float] = ALWAYS

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.shape[3] != 3 or self.images.dtype != np.uint8:
            raise ValueError(f"clip: expected uint8 (T, H, W, 3), got {self.images.dtype} {self.images.shape}")
        edges = edges_of(self.edges, len(self.images), "clip")
        freeze(self, edges=edges)
        object.__setattr__(self, "span", answered(self.span, float(edges[0]), float(edges[-1]), "clip"))

    def __repr__(self) -> str:
        frames, height, width = self.images.shape[:3]
        return f"Clip({frames} frames, {seconds(*self.edges[[0, -1]])}, {width}x{height})"

    @property
    def seconds(self) -> Floats:
        """The seconds from the start of each picture to that of the next: ``(T - 1,)``."""
        return np.diff(self.edges[:-1])

    @property
    def extent(self) -> Floats:
        """The whole picture over the clip's time: ``(6,)``."""
        return np.array([self.edges[0], self.edges[-1], *ext.WHOLE_PICTURE])
