"""Contract of builders of instances."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

from wherewhen.core.contracts.required import Required
from wherewhen.core.linking import LinkConfig
from wherewhen.core.values import Grid, Instances


@dataclass(frozen=True, slots=True)
class TrackSource:
    """The boxes that a builder needs: a source of boxes with its settings, and the settings of the tracker."""

    proposals: str
    settings: Mapping[str, Any]
    tracks: LinkConfig


@runtime_checkable
class BoxesConfig(Protocol):
    """Settings that name a source of boxes (``proposals``) and give its own settings (``boxes``)."""

    @property
    def proposals(self) -> str:
        """The name of the source."""

    @property
    def boxes(self) -> Mapping[str, Any]:
        """Its settings as plain values."""


@dataclass(frozen=True, slots=True)
class PoseSpec:
    """The network of joints in a file, and the pictures that it processes.

    ``sha256``: of the file, checked when it is opened. ``rate``: pictures per second; None keeps the source's.
    ``confidence``: joints below it are left out.
    """

    path: str
    sha256: str
    rate: float | None
    confidence: float


@dataclass(frozen=True, slots=True)
class RoiSpec:
    """How moving instances are cropped: their boxes, enlarged by a share ``margin`` of their size on each side.

    They are cut out of pictures at most ``width`` px wide (None = original width); the backbone processes each.
    ``l2``: the features of an instance are scaled to unit length. ``pose``: a network of joints processes the crops in
    place of the backbone. ``fixed``: the instances are places in single pictures, not movers: their paths, which say
    what is cut, are not kept.
    """

    margin: float = 0.0
    width: int | None = None
    l2: bool = False
    pose: PoseSpec | None = None
    fixed: bool = False


@dataclass(frozen=True, slots=True)
class BuilderAbilities:
    """Abilities of a builder; the defaults are those of an independent builder.

    Args:
        shares_settings_with: name of the builder from whose instances it derives its own. Settings that a user doesn't
            give are those given to that builder.
        effective_settings: the part of its plain settings that features depend on, for their passports; None = all.
        training_settings: its settings for training videos, from those for detection; None = the same.
    """

    shares_settings_with: str | None = None
    effective_settings: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None
    training_settings: Callable[[Any], Any] | None = None

    def required(self) -> Required:
        """Members and settings that a class with these abilities must have."""
        return Required(("track_source", "roi", "wait"))


class Builder(Protocol):
    """Grids of a stretch of video to instances of one view.

    ``track_source``, ``roi`` and ``wait`` follow from its settings. The class states them, as attributes or properties.
    """

    Config: ClassVar[type]
    abilities: ClassVar[BuilderAbilities]

    def __init__(self, config: Any) -> None: ...

    @property
    def track_source(self) -> TrackSource | None:
        """The tracked boxes that it needs with grids; None where it needs none."""

    @property
    def roi(self) -> RoiSpec | None:
        """How its instances are cut out of the pictures; None where they are not.

        Its instances then have `Instances.paths`. Features of the crops precede its own, and those of joints follow.
        """

    @property
    def wait(self) -> float:
        """Largest delay of grids in seconds, to wait for boxes; 0 where it needs none."""

    def __call__(self, grids: Iterable[Grid]) -> Iterator[Instances]:
        """Instances, a stretch of video at a time, in time order."""
