"""Contract of sources of boxes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

from wherewhen.core.contracts.backbones import ClipSpec
from wherewhen.core.contracts.provenance import Provenance
from wherewhen.core.contracts.required import Required
from wherewhen.core.values import Boxes, Frame, Video


@dataclass(frozen=True, slots=True)
class ProposerAbilities:
    """Optional abilities of a source of boxes; the defaults are those of one without any.

    Args:
        by_video: it reads the boxes of a video from a file, as a `ByVideo`.
    """

    by_video: bool = False

    def required(self) -> Required:
        """Members and settings that a class with these abilities must have."""
        return Required(("source", *(("file_of",) if self.by_video else ())))


class Proposer(Protocol):
    """Frames to the boxes in them, as a stream: one `Boxes` for each frame, in order.

    ``clip``: the frames that it needs: one at a time (``frames`` 1), every ``stride``-th, at a rate and width. It may
    delay frames by at most ``wait`` seconds. ``tracks``: its boxes have track numbers; known from the first frame
    on. It keeps no state between streams.
    """

    Config: ClassVar[type]
    source: ClassVar[Provenance]
    abilities: ClassVar[ProposerAbilities]
    clip: ClipSpec
    wait: float
    tracks: bool

    def __init__(self, config: Any) -> None: ...

    def __call__(self, frames: Iterable[Frame]) -> Iterator[Boxes]:
        """The boxes of each frame."""


@runtime_checkable
class ByVideo(Protocol):
    """A source of boxes that reads a file of a video: it is created with the video as a second argument."""

    config: Any

    @classmethod
    def file_of(cls, config: Any, video: Video) -> Path:
        """The file or folder with the boxes of a video; VideoError with the searched places where there is none."""
