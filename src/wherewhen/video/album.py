"""A folder of pictures read as a video (UCSD's ``001.tif``): the only use of OpenCV for reading."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from wherewhen.errors import VideoError
from wherewhen.values import Pixels
from wherewhen.video import convert as _convert
from wherewhen.video.shot import Converter, Shot, VideoInfo
from wherewhen.video.sources import PICTURE_SUFFIXES, VIDEO_SUFFIXES, is_frames_folder, pictures

_ENDINGS = {".jpg": b"\xff\xd9", ".jpeg": b"\xff\xd9", ".png": b"IEND"}


class Album:
    """The pictures of a folder in natural order, ``rate`` per second."""

    damage: str | None = None

    def __init__(self, folder: Path, rate: float, strict: bool = True) -> None:
        if not is_frames_folder(folder):
            names = {path.suffix.lower() for path in folder.iterdir()} & VIDEO_SUFFIXES
            kinds = ", ".join(sorted(PICTURE_SUFFIXES))
            hint = " It holds video files: name one of them." if names else ""
            raise VideoError(folder, f"expected a folder of pictures ({kinds}), found none.{hint}")
        self._files = pictures(folder)
        self._rate = Fraction(rate).limit_denominator(1_000_000)
        self.step, self.tick = float(1 / self._rate), 0.0
        self._folder = folder

    def start(self, index: int) -> float:
        """When picture ``index`` begins, in seconds."""
        return index * self._rate.denominator / self._rate.numerator

    def shots(self, since: float = 0.0) -> Iterator[Shot]:
        """Every picture from ``since`` on, and at least one before it."""
        before = min(int(since / self.step), len(self._files)) - 2
        for index in range(max(0, before), len(self._files)):
            yield Shot(self._files[index], index, self.start(index))

    def starts(self) -> Iterator[float]:
        """When each picture begins, in seconds."""
        return map(self.start, range(len(self._files)))

    def converter(self, width: int | None, exact: tuple[int, int] | None = None) -> Converter:
        """Reads a picture file as RGB, at most ``width`` wide, or of exactly ``exact`` (height, width)."""
        convert = _convert.Converter(str(self._folder), width, exact)
        return lambda file, _: convert(av.VideoFrame.from_ndarray(self._load(file), "bgr24"), f"picture {file.name}")

    def info(self) -> VideoInfo:
        """Size of the first picture, how many there are, their suffix as kind of coding."""
        height, width, _ = self._load(self._files[0]).shape
        count, kind = len(self._files), self._files[0].suffix[1:].lower()
        return VideoInfo(width, height, float(self._rate), count, self.start(count), kind, False)

    def close(self) -> None:
        """Nothing is held open between two pictures."""

    def _load(self, file: Path) -> Pixels:
        """A picture file as uint8 BGR ``(H, W, 3)``; VideoError if it can't be read, is cut short or no picture."""
        try:
            data = file.read_bytes()
        except OSError as error:
            raise VideoError(self._folder, f"picture {file.name} can't be read ({error.strerror})") from error
        if not data:
            raise VideoError(self._folder, f"picture {file.name} is empty")
        # a JPEG cut short would come back filled up with gray
        whole = _ENDINGS.get(file.suffix.lower(), b"") in data
        try:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if whole else None
        except cv2.error as error:
            raise VideoError(self._folder, f"picture {file.name} is damaged or far too large") from error
        if image is None:
            raise VideoError(self._folder, f"picture {file.name} is damaged, cut short or of an unknown kind")
        return np.ascontiguousarray(image, np.uint8)
