"""Settings: typed frozen records from plain values and back; an unknown key or a wrong type is an error.

Values are only compared with the types of a record: no text of a setting is resolved, imported or opened here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import lru_cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from wherewhen.core import documents
from wherewhen.core.errors import ConfigError, unknown
from wherewhen.core.store import plain, write_atomic

T = TypeVar("T")

CONSENT = "trust"
"""The setting by which a user permits code in a file to run; a file can't set it."""

_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "text", NoneType: "null"}


def read_yaml(path: str | Path) -> dict[str, Any]:
    """The mapping in a YAML file, without consent; ConfigError if it is missing, broken or something else."""
    values = documents.read_yaml(path)
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected settings as 'name: value' lines, got {_kind(values)}")
    return from_file(values)


def write_yaml(path: str | Path, values: Mapping[str, Any]) -> None:
    """Write settings as YAML, in their own order."""
    write_atomic(path, documents.yaml_text(plain(values)))


def from_file(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a file without any `CONSENT`, which only a call or the command line can give.

    >>> from_file({"file": {"path": "net.pt", "trust": True}})
    {'file': {'path': 'net.pt'}}
    """
    return {
        name: from_file(value) if isinstance(value, Mapping) else value
        for name, value in values.items()
        if name != CONSENT
    }


def build(record: type[T], values: Mapping[str, Any] | None, section: str) -> T:
    """A typed record of plain values; ConfigError names an unknown key or a value of the wrong type.

    ``section``: the name of these settings in messages.
    """
    settings = _record(record, plain(values if values is not None else {}), section)
    assert isinstance(settings, record)
    return settings


def typed(kind: Any, value: Any, name: str) -> Any:
    """A plain value as a type; ConfigError, with ``name``, where it is of another type.

    >>> typed(tuple[int, ...], [1, 2], "sizes")
    (1, 2)
    """
    return _cast(kind, plain(value), "", name)


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Settings by their dotted names; an empty section stays as it is.

    >>> flat({"seed": 1, "tubes": {"shape": {"window": 2}}})
    {'seed': 1, 'tubes.shape.window': 2}
    """
    rows: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        rows |= flat(value, f"{name}.") if isinstance(value, Mapping) and value else {name: value}
    return rows


def merged(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with changes, section by section.

    >>> merged({"rtfm": {"width": 8, "top": 0.1}}, {"rtfm": {"width": 4}})
    {'rtfm': {'width': 4, 'top': 0.1}}
    """
    result = dict(settings)
    for key, value in changes.items():
        below = result.get(key)
        result[key] = (
            merged(below if isinstance(below, Mapping) else {}, value) if isinstance(value, Mapping) else value
        )
    return result


def mapping(value: object, section: str) -> dict[str, Any]:
    """Settings as a mapping, an empty one for None; ConfigError where they are something else."""
    if value is not None and not isinstance(value, Mapping):
        raise ConfigError(f"settings of {section}: expected 'name: value' pairs, got {_shown(value)}")
    return {str(name): inner for name, inner in (value or {}).items()}


@lru_cache(maxsize=256)
def _hints(record: type) -> dict[str, Any]:
    hints = get_type_hints(record)
    return {field.name: hints[field.name] for field in fields(record) if field.init}


def _record(record: type, values: Any, section: str, base: Any = None) -> Any:
    """A typed record; settings that ``values`` lacks are those of ``base``, another such record, or the defaults."""
    values, hints = mapping(values, section), _hints(record)
    for name in values:
        if name not in hints:
            raise ConfigError(unknown(f"setting of {section}", str(name)[:80], hints))
    defaults = {field.name: field.default for field in fields(record) if field.init}
    if base is not None:
        defaults = {name: getattr(base, name) for name in defaults}
    needed = [field.name for field in fields(record) if field.init and field.default_factory is MISSING]
    if lacking := [name for name in needed if defaults[name] is MISSING and name not in values]:
        raise ConfigError(f"settings of {section}: {lacking[0]} is missing")
    converted = {name: _cast(hints[name], value, section, name, defaults[name]) for name, value in values.items()}
    try:
        return record(**{**(defaults if base is not None else {}), **converted})
    except (ValueError, TypeError, ArithmeticError) as error:
        raise ConfigError(f"settings of {section}: {error}") from None


def _cast(kind: Any, value: Any, section: str, name: str, base: Any = None) -> Any:
    """A value converted to the type of a record's field; ConfigError names section and setting."""
    origin, inner = get_origin(kind), get_args(kind)
    if kind in _NAMES:
        return _simple(kind, value, section, name)
    if origin in (Union, UnionType):
        return _one_of_kinds(inner, value, section, name, base)
    if is_dataclass(kind) and isinstance(kind, type):
        return _record(kind, value, f"{section}.{name}", base if isinstance(base, kind) else None)
    if origin is Literal and not any(type(value) is type(option) and value == option for option in inner):
        raise _wrong(section, name, f"one of {', '.join(map(str, inner))}", value)
    if origin in (tuple, list):
        return _several(origin, inner, value, section, name)
    if origin in (dict, Mapping) and not isinstance(value, Mapping):
        raise _wrong(section, name, "'name: value' pairs", value)
    return value


def _simple(kind: Any, value: Any, section: str, name: str) -> Any:
    fits = isinstance(value, (int, float) if kind is float else kind) and (kind is bool or not isinstance(value, bool))
    if not fits:
        raise _wrong(section, name, _NAMES[kind], value)
    if kind is int and not abs(value) < documents.LARGEST:
        raise _wrong(section, name, "a whole number of sensible size", value)
    if kind is not float:
        return value
    try:
        number = float(value)
    except OverflowError:
        number = float("inf")
    if not abs(number) < float("inf"):
        raise _wrong(section, name, "a finite number", value)
    return number


def _one_of_kinds(kinds: tuple[Any, ...], value: Any, section: str, name: str, base: Any) -> Any:
    failures = []
    if value is None and NoneType in kinds:
        return None
    for kind in kinds:
        try:
            return _cast(kind, value, section, name, base)
        except ConfigError as error:
            failures.append((kind, error))
    rich = [error for kind, error in failures if kind is not NoneType and kind not in _NAMES]
    if isinstance(value, Mapping | list) and rich:
        raise rich[0]
    raise _wrong(section, name, " or ".join(_type_name(kind) for kind in kinds), value)


def _several(origin: Any, inner: tuple[Any, ...], value: Any, section: str, name: str) -> Any:
    endless = origin is list or inner[1:] == (Ellipsis,)
    if not isinstance(value, list) or not (endless or len(value) == len(inner)):
        raise _wrong(section, name, "a list" if endless else f"a list of {len(inner)}", value)
    kinds = inner[:1] * len(value) if endless else inner
    items = [_cast(kind, item, section, name) for kind, item in zip(kinds, value, strict=True)]
    return items if origin is list else tuple(items)


def _type_name(kind: Any) -> str:
    """The name of a type in messages."""
    if get_origin(kind) is Literal:
        return f"one of {', '.join(map(str, get_args(kind)))}"
    if get_origin(kind) in (tuple, list):
        return "a list"
    return _NAMES.get(kind, "'name: value' pairs")


def _wrong(section: str, name: str, expected: str, value: Any) -> ConfigError:
    place = f"settings of {section}: " if section else ""
    return ConfigError(f"{place}{name}: expected {expected}, got {_shown(value)}")


def _kind(value: Any) -> str:
    named = {dict: "'name: value' pairs", list: "a list", str: "text", NoneType: "nothing"}
    return named.get(type(value), f"a value of type {type(value).__name__}")


def _shown(value: Any) -> str:
    """A value as an error quotes it, cut short."""
    if isinstance(value, int) and abs(value) >= documents.LARGEST:
        return "a larger one"
    if isinstance(value, Mapping | list):
        return f"{_kind(value)} of {len(value)}"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
