"""Contracts of backbones, and of those that also encode text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, runtime_checkable

import numpy as np

from wherewhen.core.config import CONSENT
from wherewhen.core.contracts.provenance import Provenance
from wherewhen.core.contracts.required import Required
from wherewhen.core.values import Features, Pixels

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class ClipSpec:
    """How frames are cut into clips: ``frames`` per clip, a new clip every ``stride`` frames.

    ``rate``: frames per second after resampling by timestamps; None keeps the source's rate, and a source slower
    than ``rate`` keeps its own. ``width``: pictures wider than this are shrunk (aspect kept); None keeps them.
    ``size``: instead, every picture is resized to exactly ``(height, width)``, without keeping the aspect; with
    ``middle`` it is not resized, but its middle of that size is cut out (a shorter side is kept whole, and enlarged).
    ``tail``: frames left over at the end make a last clip that reaches ``back``, or a ``short`` one of these frames
    alone, or are left out (``drop``).
    ``changes``: features describe change from picture to picture, so a clip covers one time step less than it has
    pictures, and a stride of ``frames - 1`` overlaps by nothing.
    ``whole``: so many numbers at the end of each cell describe the whole picture, the same in all cells.
    ``new``: pictures that repeat the one before, as in files that were converted to a higher rate, are left out.
    """

    frames: int
    stride: int
    rate: float | None = None
    width: int | None = None
    size: tuple[int, int] | None = None
    tail: Literal["back", "short", "drop"] = "back"
    changes: bool = False
    new: bool = False
    middle: bool = False
    whole: int = 0


def check_clips(clips: Pixels, name: str) -> None:
    """ValueError unless clips are uint8 ``(B, T, H, W, 3)``; ``name``: of the backbone.

    >>> check_clips(np.zeros((1, 2, 8, 8, 3), np.uint8), "motion")
    """
    if clips.ndim != 5 or clips.shape[-1] != 3 or clips.dtype != np.uint8 or 0 in clips.shape:
        raise ValueError(f"{name}: expected uint8 (B, T, H, W, 3), got {clips.dtype} {clips.shape}")


@dataclass(frozen=True, slots=True)
class BackboneAbilities:
    """Optional abilities of a backbone; the defaults are those of a backbone without any.

    Args:
        takes_seconds: calls need the seconds between pictures ``(B, T - 1)`` as a second argument. Features measure
            change per second, so they do not depend on the rate of a source that shows enough pictures.
        usable_on_moving_crops: features of crops that follow a mover are meaningful. False where features measure
            change at a fixed place of the picture.
        settings_without_effect: settings that no feature depends on; passports of features leave them out.
        reads_text: it also encodes text, as a `TextImage`.
        prompts: the prompt file that comes along and that its text encoder can read.
        runs_code_of: path and sha256 of the file whose code the backbone runs with the given plain settings; None
            where it runs none. Such a file is used only with the user's consent, given as its setting ``trust``.
        joins: names of the backbones whose features it joins; its settings are theirs, by these names.
        streams: it may keep states from clip to clip, see `StreamingBackbone`.
    """

    takes_seconds: bool = False
    usable_on_moving_crops: bool = True
    settings_without_effect: tuple[str, ...] = ()
    reads_text: bool = False
    prompts: str = "default"
    runs_code_of: Callable[[Mapping[str, Any]], tuple[str, str] | None] | None = None
    joins: tuple[str, ...] = ()
    streams: bool = False

    def required(self) -> Required:
        """Members and settings that a class with these abilities must have."""
        members = ("encode", "tokens", "tower", "limit") if self.reads_text else ()
        streaming = ("for_video",) if self.streams else ()
        consent = (CONSENT,) if self.runs_code_of else ()
        return Required(("source", *members, *streaming), (*self.settings_without_effect, *consent))


class Backbone(Protocol):
    """Pictures to features: uint8 ``(B, T, H, W, 3)`` RGB -> float32 ``(B, t, h, w, D)``; normalisation is inside."""

    Config: ClassVar[type]
    source: ClassVar[Provenance]
    abilities: ClassVar[BackboneAbilities]
    clip: ClipSpec

    def __init__(self, config: Any) -> None: ...

    def __call__(self, clips: Pixels) -> Features:
        """Features of a batch of clips."""


@runtime_checkable
class StreamingBackbone(Protocol):
    """A backbone that may keep states from clip to clip of one video."""

    def for_video(self) -> Backbone | None:
        """A backbone for the clips of one video in order, with states of zeros; None where it keeps no states."""


class TextTower(Protocol):
    """The frozen text encoder of a text-image encoder with gradients, so that prompts can be learned.

    A text is given as words or, without a vocabulary, as token ids from its start to its end.
    ``width``: length of a token vector; ``length``: how many tokens a text has room for.
    """

    width: int
    length: int

    def between(
        self, texts: Sequence[str] | Sequence[Sequence[int]], learnt: torch.Tensor, prefix: int = 10, suffix: int = 10
    ) -> torch.Tensor:
        """Embeddings ``(N, D)``, not of unit length, of texts between rows of ``learnt`` ``(length, width)``.

        Gradients reach the rows that are used. ValueError where texts and rows together are too long.
        """


@runtime_checkable
class TextImage(Protocol):
    """A backbone that also encodes text: texts and pictures as vectors of one space, compared by cosine.

    Its settings include ``layer``: at ``embedding`` it gives one cell per picture, at ``patches`` a grid of cells in
    one pass, both in the space of texts. A clip of one frame is a picture. ``limit``: how many tokens of a text it
    reads, None = all.
    """

    limit: ClassVar[int | None]
    abilities: ClassVar[BackboneAbilities]

    def encode(self, texts: Sequence[str]) -> Features:
        """Unit vectors ``(N, D)`` of texts; ConfigError for a text that it can't encode."""

    def tokens(self, texts: Sequence[str]) -> list[int]:
        """The number of tokens of each text before truncation."""

    def tower(self) -> TextTower:
        """The text encoder of learnable prompts."""
