"""What a source of boxes must offer."""

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
    """What a source of boxes offers beyond the contract; the defaults are those of one that offers nothing more.

    Args:
        by_video: it reads boxes that belong to a video from a file, as a `ByVideo`.
    """

    by_video: bool = False

    def required(self) -> Required:
        """What a class with these abilities must have."""
        return Required(("source", *(("file_of",) if self.by_video else ())))


class Proposer(Protocol):
    """Frames to the boxes in them, a stream to a stream: one `Boxes` for each frame, in order, none kept for later.

    ``clip`` says which frames it wants: one at a time (``frames`` 1), every ``stride``-th, at a rate and width. It may
    hold frames back for at most ``wait`` seconds. ``tracks``: its boxes bear track numbers; known from the first frame
    on. Nothing of one stream reaches the next.
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
    """A source of boxes that reads what belongs to a video: it is made with the video as a second argument."""

    config: Any

    @classmethod
    def file_of(cls, config: Any, video: Video) -> Path:
        """The file or folder with the boxes of a video; VideoError, which names the places, where there is none."""
