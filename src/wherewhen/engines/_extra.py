"""Libraries that come with an extra of the package: there, or what to install."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from wherewhen.errors import EngineError


def needed(library: str, extra: str) -> ModuleType:
    """The library; EngineError says what to install where it is missing."""
    try:
        return import_module(library)
    except ImportError:
        raise EngineError(f'engine {extra} needs {library}: pip install "wherewhen[{extra}]"') from None
