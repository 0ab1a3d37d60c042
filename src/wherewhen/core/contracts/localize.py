"""Contract of localizers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

from wherewhen.core.contracts.required import Required
from wherewhen.core.values import HeatMap, Prediction


class LocalizerConfig(Protocol):
    """Settings that every localizer has.

    ``alarm``: the calibrated score at which an alarm starts; no event has a lower score. ``longest_seconds``: an event
    that lasts longer is reported in parts.
    """

    @property
    def alarm(self) -> float:
        """A score in [0, 1]."""

    @property
    def longest_seconds(self) -> float:
        """Longest duration of an event in seconds."""


@dataclass(frozen=True, slots=True)
class LocalizerAbilities:
    """Abilities of a localizer.

    Args:
        score_settings: settings that raw frame scores depend on. The threshold of a trained model is chosen with them,
            so they can't change after training.
    """

    score_settings: tuple[str, ...] = ()

    def required(self) -> Required:
        """Members and settings that a class with these abilities must have."""
        return Required(("raw",), ("alarm", "longest_seconds", *self.score_settings))


class Localizer(Protocol):
    """Heat maps that start in rising order to predictions, a time step at a time.

    ``threshold``: the raw frame score that becomes 0.5. ``raw`` gives smoothed maps with their frame scores before
    calibration.
    """

    Config: ClassVar[type]
    abilities: ClassVar[LocalizerAbilities]

    @property
    def config(self) -> LocalizerConfig:
        """Its settings."""

    def __init__(self, config: Any, threshold: float = 0.5) -> None: ...

    def raw(self, pieces: Iterable[HeatMap]) -> Iterator[tuple[Any, float]]:
        """Smoothed steps and their frame scores."""

    def __call__(self, pieces: Iterable[HeatMap]) -> Iterator[Prediction]:
        """One prediction per time step; an event comes with the step that closes it."""


@runtime_checkable
class FrameScorer(Protocol):
    """A localizer that computes frame scores without the rest of a prediction; others give them with `raw`."""

    def scores(self, pieces: Iterable[HeatMap]) -> Iterator[tuple[float, float, float]]:
        """Start and end of each time step, in seconds, and its frame score before calibration."""
