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
from wherewhen.video.numbering import slots
from wherewhen.video.shot import Converter, Shot, VideoInfo
from wherewhen.video.sources import PICTURE_SUFFIXES, VIDEO_SUFFIXES, is_frames_folder, pictures

_ENDINGS = {".jpg": b"\xff\xd9", ".jpeg": b"\xff\xd9", ".png": b"IEND"}


class Album:
    """The pictures of a folder in natural order, ``rate`` per second.

    A picture that is missing by its number, or can't be read, leaves its time and its number empty: the one before it
    stays for as long. With ``strict`` it is a VideoError.
    """

    def __init__(self, folder: Path, rate: float, strict: bool = True) -> None:
        if not is_frames_folder(folder):
            names = {path.suffix.lower() for path in folder.iterdir()} & VIDEO_SUFFIXES
            kinds = ", ".join(sorted(PICTURE_SUFFIXES))
            hint = " It holds video files: name one of them." if names else ""
            raise VideoError(folder, f"expected a folder of pictures ({kinds}), found none.{hint}")
        self._folder, self._strict = folder, strict
        self._files = pictures(folder)
        self._slots = slots([file.stem for file in self._files])
        self._rate = Fraction(rate).limit_denominator(1_000_000)
        self.step, self.tick = float(1 / self._rate), 0.0
        self._size: tuple[int, int] | None = None
        self._unread: dict[str, str] = {}

    @property
    def damage(self) -> str | None:
        """Which pictures are missing by their numbers, or can't be read, as far as was read."""
        unread = [f"{len(self._unread)} pictures can't be read, the first: {cause}" for cause in self._unread.values()]
        return "; ".join(filter(None, [self._gaps(), *unread[:1]])) or None

    def start(self, slot: int) -> float:
        """When the picture of a slot begins, in seconds."""
        return slot * self._rate.denominator / self._rate.numerator

    def shots(self, since: float = 0.0) -> Iterator[Shot]:
        """Every picture from ``since`` on, and at least one before it."""
        if self._strict and (gaps := self._gaps()):
            raise VideoError(self._folder, gaps)
        first = max(0, sum(self.start(slot) <= since for slot in self._slots) - 2)
        given = False
        for file, slot in zip(self._files[first:], self._slots[first:], strict=True):
            try:
                picture = self._picture(file)
            except VideoError as error:
                if self._strict:
                    raise
                self._unread[file.name] = error.cause
                continue
            given = True
            yield Shot(picture, slot, self.start(slot))
        if not given:
            raise VideoError(self._folder, self.damage or "it holds no picture that can be read")

    def starts(self) -> Iterator[float]:
        """When each picture begins, in seconds."""
        return map(self.start, self._slots)

    def converter(self, width: int | None, exact: tuple[int, int] | None = None) -> Converter:
        """Turns a picture into RGB, at most ``width`` wide, or of exactly ``exact`` (height, width)."""
        return _convert.Converter(str(self._folder), width, exact)

    def info(self) -> VideoInfo:
        """Size of the first picture that can be read, how many there are, their suffix as kind of coding."""
        if self._size is None:
            next(self.shots())
        width, height = self._size or (0, 0)
        kind = self._files[0].suffix[1:].lower()
        return VideoInfo(
            width, height, float(self._rate), len(self._files), self.start(self._slots[-1] + 1), kind, False
        )

    def close(self) -> None:
        """Nothing is held open between two pictures."""

    def _gaps(self) -> str | None:
        """How many pictures are missing by their numbers."""
        missing = self._slots[-1] + 1 - len(self._slots)
        if not missing:
            return None
        before = next(k for k, slot in enumerate(self._slots) if slot > k) - 1
        return f"by their numbers {missing} pictures are missing, the first after {self._files[before].name}"

    def _picture(self, file: Path) -> av.VideoFrame:
        image = self._load(file)
        size = image.shape[1], image.shape[0]
        self._size = self._size or size
        if size != self._size:
            was, now = (f"{width}x{height}" for width, height in (self._size, size))
            raise VideoError(
                self._folder, f"every picture must have one size: picture {file.name} is {now}, those before are {was}"
            )
        return av.VideoFrame.from_numpy_buffer(image, "bgr24")

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
