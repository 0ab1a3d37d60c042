"""Records of the video folder: a picture before conversion, metadata of a video, readable sources."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from wherewhen.core.values import Pixels


@dataclass(frozen=True, slots=True)
class Shot:
    """A picture not yet converted, its number in the source and its start in seconds.

    ``picture`` is None where it is not decoded, see `Reel.shots`.
    """

    picture: Any
    index: int
    start: float


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """Facts about a video: size in pixels as shown, average frames per second, length, kind of coding.

    ``frames`` and ``duration`` (seconds) are None where only a complete reading gives them. ``variable``: whether its
    first pictures are unevenly spaced.
    """

    width: int
    height: int
    rate: float
    frames: int | None
    duration: float | None
    codec: str
    variable: bool


Needless = Callable[[float, float], bool]
Converter = Callable[[Any, str], Pixels]


class Reel(Protocol):
    """An open source of shots; ``step``: nominal time between them, ``tick``: the smallest, in seconds."""

    step: float
    tick: float

    @property
    def device(self) -> str:
        """The device that decodes, empty for the processor."""

    @property
    def damage(self) -> str | None:
        """Why less was read than declared, or how a live stream ended, so far."""

    def shots(self, since: float = 0.0, needless: Needless | None = None) -> Iterator[Shot]:
        """Every shot from ``since`` on, and at least one before it.

        ``needless``: whether the picture of a shot is not used, by the start of one before it and its own, in seconds.
        If so, it may be left out.
        """

    def starts(self) -> Iterator[float]:
        """When each picture begins, in seconds."""

    def converter(self, width: int | None, exact: tuple[int, int] | None = None) -> Converter:
        """Turns a picture, named for errors, into RGB at most ``width`` wide, or exactly ``exact`` (height, width)."""

    def info(self) -> VideoInfo:
        """Facts about the source; reads its beginning."""

    def close(self) -> None:
        """Close the source."""
