"""Optional libraries of the package's extras: imported, or an error with the install command."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from wherewhen.core.errors import EngineError


def needed(library: str, extra: str) -> ModuleType:
    """The library; EngineError, with the install command, where it is missing."""
    try:
        return import_module(library)
    except ImportError:
        raise _missing(library, extra) from None


def check(library: str, extra: str) -> None:
    """EngineError where a library is missing; it is not imported, which takes seconds for some."""
    if find_spec(library) is None:
        raise _missing(library, extra)


def _missing(library: str, extra: str) -> EngineError:
    return EngineError(f'engine {extra} needs {library}: pip install "wherewhen[{extra}]"')
