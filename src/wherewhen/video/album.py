"""A folder of pictures read as a video (UCSD's ``001.tif``): the only use of OpenCV for reading."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from wherewhen.core.errors import VideoError
from wherewhen.core.values import Pixels
from wherewhen.video import convert as _convert
from wherewhen.video.numbering import slots
from wherewhen.video.opening import MAX_PIXELS
from wherewhen.video.shot import Converter, Needless, Shot, VideoInfo
from wherewhen.video.sizes import Size, reduction, size_of
from wherewhen.video.sources import PICTURE_SUFFIXES, VIDEO_SUFFIXES, is_frames_folder, pictures

HEAD = 2**20  # bytes of a picture file with its size; previews and color profiles come before it
_REDUCED = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
_ENDINGS = {".jpg": b"\xff\xd9", ".jpeg": b"\xff\xd9", ".png": b"IEND"}


class Album:
    """The pictures of a folder in natural order, ``rate`` per second; or a single picture file.

    A picture that is missing by its number, or can't be read, leaves a gap in times and numbers: the one before it
    lasts longer. With ``strict`` it is a VideoError. A large one (see `Size.large`) is decoded at an eighth,
    a quarter or half of its size where that is enough for every converter that was made before.
    """

    device = ""

    def __init__(self, folder: Path, rate: float, strict: bool = True) -> None:
        single = folder.is_file()
        if not single and not is_frames_folder(folder):
            names = {path.suffix.lower() for path in folder.iterdir()} & VIDEO_SUFFIXES
            kinds = ", ".join(sorted(PICTURE_SUFFIXES))
            hint = " It holds video files: name one of them." if names else ""
            raise VideoError(folder, f"expected a folder of pictures ({kinds}), found none.{hint}")
        self._folder, self._strict = folder, strict
        self._files = [folder] if single else pictures(folder)
        self._slots = slots([file.stem for file in self._files])
        self._rate = Fraction(rate).limit_denominator(1_000_000)
        self.step, self.tick = float(1 / self._rate), 0.0
        self._size: Size | None = None
        self._requested: list[tuple[int | None, int | None]] = []
        self._unread: dict[str, str] = {}

    @property
    def damage(self) -> str | None:
        """Which pictures are missing by their numbers, or can't be read, as far as was read."""
        unread = [f"{len(self._unread)} pictures can't be read, the first: {cause}" for cause in self._unread.values()]
        return "; ".join(filter(None, [self._gaps(), *unread[:1]])) or None

    def start(self, slot: int) -> float:
        """When the picture of a slot begins, in seconds."""
        return slot * self._rate.denominator / self._rate.numerator

    def shots(self, since: float = 0.0, needless: Needless | None = None) -> Iterator[Shot]:
        """Every picture from ``since`` on, and at least one before it."""
        if self._strict and (gaps := self._gaps()):
            raise VideoError(self._folder, gaps)
        first = max(0, sum(self.start(slot) <= since for slot in self._slots) - 2)
        has_yielded = False
        for file, slot in zip(self._files[first:], self._slots[first:], strict=True):
            try:
                picture = self._picture(file)
            except VideoError as error:
                if self._strict:
                    raise
                self._unread[file.name] = error.cause
                continue
            has_yielded = True
            yield Shot(picture, slot, self.start(slot))
        if not has_yielded:
            raise VideoError(self._folder, self.damage or "it holds no picture that can be read")

    def starts(self) -> Iterator[float]:
        """When each picture begins, in seconds."""
        return map(self.start, self._slots)

    def converter(self, width: int | None, exact: tuple[int, int] | None = None) -> Converter:
        """Turns a picture into RGB, at most ``width`` wide, or of exactly ``exact`` (height, width)."""
        self._requested.append((width, None) if exact is None else (exact[1], exact[0]))
        return _convert.Converter(str(self._folder), width, exact)

    def info(self) -> VideoInfo:
        """Size of the first picture that can be read, how many there are, their suffix as kind of coding."""
        if self._size is None:
            self._requested.append((1, 1))  # any size will do
            next(self.shots())
            self._requested.pop()
        width, height = self._size or (0, 0)
        kind = self._files[0].suffix[1:].lower()
        return VideoInfo(
            width, height, float(self._rate), len(self._files), self.start(self._slots[-1] + 1), kind, False
        )

    def close(self) -> None:
        """No file is open between two pictures."""

    def _gaps(self) -> str | None:
        """How many pictures are missing by their numbers."""
        missing = self._slots[-1] + 1 - len(self._slots)
        if not missing:
            return None
        before = next(k for k, slot in enumerate(self._slots) if slot > k) - 1
        return f"by their numbers {missing} pictures are missing, the first after {self._files[before].name}"

    def _picture(self, file: Path) -> av.VideoFrame:
        image, size = self._load(file)
        self._size = self._size or size
        if size != self._size:
            was, now = (f"{width}x{height}" for width, height in (self._size, size))
            raise VideoError(
                self._folder, f"every picture must have one size: picture {file.name} is {now}, those before are {was}"
            )
        return av.VideoFrame.from_numpy_buffer(image, "bgr24")

    def _load(self, file: Path) -> tuple[Pixels, Size]:
        """A picture file as uint8 BGR ``(H, W, 3)``, maybe reduced, and its size.

        VideoError if it can't be read, is cut short, too large or no picture.
        """
        try:
            data = file.read_bytes()
        except OSError as error:
            raise VideoError(self._folder, f"picture {file.name} can't be read ({error.strerror})") from error
        if not data:
            raise VideoError(self._folder, f"picture {file.name} is empty")
        head = size_of(data)
        if head is not None and head.pixels > MAX_PIXELS:
            cause = f"picture {file.name} is too large: {head.width}x{head.height}, {MAX_PIXELS:,} pixels at most"
            raise VideoError(self._folder, cause)
        by = 1 if head is None else reduction(head, self._requested)
        # a truncated JPEG would be filled with gray
        whole = _ENDINGS.get(file.suffix.lower(), b"") in data
        try:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), _REDUCED[by]) if whole else None
        except cv2.error as error:
            raise VideoError(self._folder, f"picture {file.name} is damaged or far too large") from error
        if image is None:
            raise VideoError(self._folder, f"picture {file.name} is damaged, cut short or of an unknown kind")
        size = Size(image.shape[1], image.shape[0])
        if head is not None and by > 1:
            turned = abs(by * size.width - head.height) < abs(by * size.width - head.width)  # upright by its EXIF data
            size = Size(head.height, head.width) if turned else head
        return np.ascontiguousarray(image, np.uint8), size


def is_large_picture(path: Path) -> bool:
    """Whether a file is a large picture (see `Size.large`) by its suffix and head."""
    if path.suffix.lower() not in PICTURE_SUFFIXES or not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            size = size_of(file.read(HEAD))
    except OSError:
        return False
    return size is not None and size.large
