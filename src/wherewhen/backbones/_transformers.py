"""The transformers library, if it is installed; nothing is downloaded through it."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from wherewhen.core.errors import ConfigError


def transformers(name: str) -> Any:
    """The package ``transformers``; ConfigError with the install command where ``name`` lacks it."""
    try:
        return import_module("transformers")
    except ImportError:
        raise _missing(name) from None


def check(name: str) -> None:
    """ConfigError where ``transformers`` is missing; it is not imported, which takes seconds."""
    if find_spec("transformers") is None:
        raise _missing(name)


def _missing(name: str) -> ConfigError:
    return ConfigError(f'{name} needs transformers: pip install "wherewhen[clip]"')
