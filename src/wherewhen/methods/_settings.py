"""Checks that settings of methods share."""

from __future__ import annotations

from typing import Any

from wherewhen.core.errors import ConfigError


def demand(method: str, config: Any, *, positive: str = "", share: str = "", weight: str = "") -> None:
    """ConfigError unless named settings hold: ``positive`` whole numbers >= 1 or null, ``share`` in [0, 1),
    ``weight`` finite and >= 0. Names are separated by spaces.

    >>> from types import SimpleNamespace
    >>> demand("dmrm", SimpleNamespace(segments=0), positive="segments")
    Traceback (most recent call last):
    wherewhen.core.errors.ConfigError: dmrm: segments must be at least 1, got 0
    """
    for name in positive.split():
        value = getattr(config, name)
        if value is not None and value < 1:
            raise ConfigError(f"{method}: {name} must be at least 1, got {value}")
    for name in share.split():
        if not 0 <= getattr(config, name) < 1:
            raise ConfigError(f"{method}: {name} must be in [0, 1), got {getattr(config, name)}")
    for name in weight.split():
        if not 0 <= getattr(config, name) < float("inf"):
            raise ConfigError(f"{method}: {name} must be a number from 0 up, got {getattr(config, name)}")
