"""The library of transformers, if it is installed; nothing is ever downloaded through it."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from wherewhen.core.errors import ConfigError


def transformers(wanted: str) -> Any:
    """The package ``transformers``; ConfigError says how to install it for ``wanted``."""
    try:
        return import_module("transformers")
    except ImportError:
        raise ConfigError(f'{wanted} needs transformers: pip install "wherewhen[clip]"') from None
