"""Settings of alarms that can be changed after training: threshold, duration, frequency."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from wherewhen.core import registry
from wherewhen.core.config import build
from wherewhen.core.contracts import LocalizerConfig
from wherewhen.core.errors import ConfigError, expected
from wherewhen.core.store import plain

USUAL = 0.5  # the score that training makes its threshold


def sensitivity(threshold: object) -> dict[str, float]:
    """The setting of a localizer for an alarm from this score on; ConfigError where it is no score.

    >>> sensitivity(0.3)
    {'alarm': 0.3}
    """
    if isinstance(threshold, bool) or not isinstance(threshold, int | float):
        raise expected("threshold", "a score from 0 to 1", threshold)
    if math.isnan(threshold) or not 0 <= threshold <= 1:
        raise ConfigError(f"threshold: expected a score from 0 to 1 (as trained: {USUAL}), got {threshold}")
    return {"alarm": float(threshold)}


def tuned(localizer: str, config: Any, changes: Mapping[str, Any]) -> Any:
    """Settings of a localizer with some changed; ConfigError for one that the frame scores follow from.

    These decide what the trained threshold means, so they can't change after it was chosen.
    """
    plugin = registry.load("localize", localizer)
    for name in changes:
        if name in plugin.abilities.score_settings:
            raise ConfigError(
                f"{localizer}.{name}: the threshold was chosen with {getattr(config, name)}; train with it"
            )
    return build(plugin.Config, {**plain(vars(config)), **changes}, localizer)


def level(config: LocalizerConfig) -> float:
    """The score from which a localizer with these settings gives an alarm."""
    return float(config.alarm)
