"""Texts of a command line as typed values, and placeholders of such values in help."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import is_dataclass
from types import NoneType
from typing import Any, get_args

from wherewhen.cli.arguments.described import Setting, choices, kinds_of
from wherewhen.core import documents
from wherewhen.core.config import typed
from wherewhen.core.errors import ConfigError


def metavar(kind: Any) -> str:
    """The placeholder of a value of a type in help.

    >>> metavar(int | None), metavar(float), metavar(str)
    ('N', 'X', 'TEXT')
    """
    first = Any if kind is Any else kinds_of(kind)[0]
    several = choices(kind)
    return "|".join(several) if several else {int: "N", float: "X", str: "TEXT"}.get(first, "YAML")


def of_text(kind: Any, text: str, name: str) -> Any:
    """The value of a text; ConfigError with the name ``name`` where the type has no such value.

    >>> of_text(float | None, "1e-3", "rate"), of_text(tuple[int, int], "[1, 2]", "size"), of_text(str, "[a]", "x")
    (0.001, (1, 2), '[a]')
    """
    kinds = () if kind is Any else kinds_of(kind)
    if (several := choices(kind)) and len(kinds) == 1 and text != "null":
        if text not in several:
            raise ConfigError(f"{name}: expected one of {', '.join(several)}, got {text[:80]!r}")
        return text
    if str in kinds and (kinds == (str,) or not text.lstrip().startswith("{")):
        return text
    try:
        value = documents.yaml_of(text)
    except ValueError as error:
        if kind is Any:
            return text
        raise ConfigError(f"{name}: {error}; got {text[:80]!r}") from None
    if kind is Any or (value is None and NoneType in get_args(kind)):
        return value
    if isinstance(value, Mapping) and any(is_dataclass(item) for item in kinds):
        return value  # settings of a part, merged with others before they become a record
    return typed(kinds[0] if len(kinds) == 1 else kind, value, name)


def merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Settings updated with others, section by section."""
    result = dict(base)
    for key, value in changes.items():
        below = result.get(key)
        both = isinstance(value, Mapping) and isinstance(below, Mapping)
        result[key] = merged(below, value) if both else value  # type: ignore[arg-type]
    return result


def place(setting: Setting) -> str:
    """A positional argument in help: ``DATA``."""
    return "|".join(choices(setting.kind)) or setting.name.upper().replace("_", "-")
