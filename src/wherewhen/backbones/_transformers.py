"""The transformers library, if it is installed; nothing is downloaded through it."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from wherewhen.core.errors import ConfigError


def transformers(wanted: str) -> Any:
    """The package ``transformers``; ConfigError says how to install it for ``wanted``."""
    try:
        return import_module("transformers")
    except ImportError:
        raise _missing(wanted) from None


def check(wanted: str) -> None:
    """ConfigError where ``transformers`` is missing; it is not imported, which takes seconds."""
    if find_spec("transformers") is None:
        raise _missing(wanted)


def _missing(wanted: str) -> ConfigError:
    return ConfigError(f'{wanted} needs transformers: pip install "wherewhen[clip]"')
