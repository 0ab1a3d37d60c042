"""Pictures in memory read as a video."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np

from wherewhen.core.values import Pictures, Pixels
from wherewhen.video import convert as _convert
from wherewhen.video.shot import Converter, Needless, Shot, VideoInfo


class PicturesReel:
    """Pictures in memory, opened."""

    damage: str | None = None
    device = ""
    tick = 0.0

    def __init__(self, source: Pictures) -> None:
        self._images = source.images
        self._rate = Fraction(source.rate).limit_denominator(1_000_000)
        self.step = float(1 / self._rate)

    def start(self, index: int) -> float:
        """When picture ``index`` begins, in seconds."""
        return index * self._rate.denominator / self._rate.numerator

    def shots(self, since: float = 0.0, needless: Needless | None = None) -> Iterator[Shot]:
        """Every picture from ``since`` on, and at least one before it."""
        before = min(int(since / self.step), len(self._images)) - 2
        for index in range(max(0, before), len(self._images)):
            yield Shot(self._images[index], index, self.start(index))

    def starts(self) -> Iterator[float]:
        """When each picture begins, in seconds."""
        return map(self.start, range(len(self._images)))

    def converter(self, width: int | None, exact: tuple[int, int] | None = None) -> Converter:
        """Turns a picture into RGB, at most ``width`` wide, or of exactly ``exact`` (height, width)."""
        convert = _convert.Converter("pictures", width, exact)

        def converted(image: Pixels, where: str) -> Pixels:
            return convert(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24"), where)

        return converted

    def info(self) -> VideoInfo:
        """Size, rate and number."""
        height, width = self._images[0].shape[:2]
        count = len(self._images)
        return VideoInfo(width, height, float(self._rate), count, self.start(count), "pictures", False)

    def close(self) -> None:
        """Nothing to close."""
