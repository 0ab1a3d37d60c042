"""A video as recorded in a feature file: its times and its size, without pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from wherewhen.core.errors import StoreError, VideoError
from wherewhen.core.feature_file import open_features
from wherewhen.video.shot import Converter, Needless, Shot, VideoInfo


class Trace:
    """A file of features opened like a video: it has the times of frames; reading a picture raises VideoError."""

    tick = 0.0
    damage: str | None = None
    device = ""

    def __init__(self, path: Path) -> None:
        try:
            file = open_features(path)
        except StoreError as error:
            raise VideoError(path, str(error).removeprefix(f"{path}: ")) from None
        self._path, self._clock, self._about = path, file.clock, file.passport.get("about", {})
        self.step = float(self._clock[-1] - self._clock[-2])

    def shots(self, since: float = 0.0, needless: Needless | None = None) -> Iterator[Shot]:
        """Always VideoError."""
        raise VideoError(self._path, "this holds features, no pictures; the video itself is needed for this")

    def starts(self) -> Iterator[float]:
        """When each picture of the video began, in seconds."""
        return iter(self._clock[:-1].tolist())

    def converter(self, width: int | None, exact: tuple[int, int] | None = None) -> Converter:
        """Nothing to convert: always VideoError, as `shots`."""
        raise VideoError(self._path, "this holds features, no pictures; the video itself is needed for this")

    def info(self) -> VideoInfo:
        """Facts about the video at its extraction."""
        about, count = self._about, len(self._clock) - 1
        duration = float(self._clock[-1] - self._clock[0])
        size = int(about.get("width", 1)), int(about.get("height", 1))
        variable = bool(about.get("variable", False))
        return VideoInfo(*size, float(about.get("rate", count / duration)), count, duration, "features", variable)

    def close(self) -> None:
        """Nothing to close."""
