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
"""The setting by which a user agrees that code in a file is run; no file can agree for its user."""

_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "text", NoneType: "null"}


def read_yaml(path: str | Path) -> dict[str, Any]:
    """The mapping in a YAML file, without consent; ConfigError if it is missing, broken or something else."""
    found = documents.read_yaml(path)
    if not isinstance(found, dict):
        raise ConfigError(f"{path}: expected settings as 'name: value' lines, got {_kind(found)}")
    return from_file(found)


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
    """Make a typed record of plain values; ConfigError names an unknown key or a value of the wrong type.

    ``section`` is what the user calls these settings.
    """
    made = _record(record, plain(values if values is not None else {}), section)
    assert isinstance(made, record)
    return made


def typed(kind: Any, value: Any, name: str) -> Any:
    """A plain value of a type; ConfigError, which calls it ``name``, where it is of another one.

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


def mapping(value: object, section: str) -> dict[str, Any]:
    """Settings as a mapping, an empty one for None; ConfigError where they are something else."""
    if value is not None and not isinstance(value, Mapping):
        raise ConfigError(f"settings of {section}: expected 'name: value' pairs, got {_shown(value)}")
    return {str(name): inner for name, inner in (value or {}).items()}


@lru_cache(maxsize=256)
def _hints(record: type) -> dict[str, Any]:
    known = get_type_hints(record)
    return {one.name: known[one.name] for one in fields(record) if one.init}


def _record(record: type, values: Any, section: str, base: Any = None) -> Any:
    """A typed record; what is not among ``values`` is that of ``base``, another such record, or the default."""
    values, known = mapping(values, section), _hints(record)
    for name in values:
        if name not in known:
            raise ConfigError(unknown(f"setting of {section}", str(name)[:80], known))
    usual = {one.name: one.default for one in fields(record) if one.init}
    if base is not None:
        usual = {name: getattr(base, name) for name in usual}
    needed = [one.name for one in fields(record) if one.init and one.default_factory is MISSING]
    if lacking := [name for name in needed if usual[name] is MISSING and name not in values]:
        raise ConfigError(f"settings of {section}: {lacking[0]} is missing")
    made = {name: _cast(known[name], value, section, name, usual[name]) for name, value in values.items()}
    try:
        return record(**{**(usual if base is not None else {}), **made})
    except (ValueError, TypeError, ArithmeticError) as error:
        raise ConfigError(f"settings of {section}: {error}") from None


def _cast(kind: Any, value: Any, section: str, name: str, base: Any = None) -> Any:
    """A value as a type of a record's field wants it; ConfigError names section and setting."""
    origin, inner = get_origin(kind), get_args(kind)
    if kind in _NAMES:
        return _simple(kind, value, section, name)
    if origin in (Union, UnionType):
        return _one_of_kinds(inner, value, section, name, base)
    if is_dataclass(kind) and isinstance(kind, type):
        return _record(kind, value, f"{section}.{name}", base if isinstance(base, kind) else None)
    if origin is Literal and not any(type(value) is type(one) and value == one for one in inner):
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
        made = float(value)
    except OverflowError:
        made = float("inf")
    if not abs(made) < float("inf"):
        raise _wrong(section, name, "a finite number", value)
    return made


def _one_of_kinds(kinds: tuple[Any, ...], value: Any, section: str, name: str, base: Any) -> Any:
    told = []
    for kind in kinds:
        try:
            return _cast(kind, value, section, name, base)
        except ConfigError as error:
            told.append((kind, error))
    rich = [error for kind, error in told if kind is not NoneType and kind not in _NAMES]
    if isinstance(value, Mapping | list) and rich:
        raise rich[0]
    raise _wrong(section, name, " or ".join(_told(kind) for kind in kinds), value)


def _several(origin: Any, inner: tuple[Any, ...], value: Any, section: str, name: str) -> Any:
    endless = origin is list or inner[1:] == (Ellipsis,)
    if not isinstance(value, list) or not (endless or len(value) == len(inner)):
        raise _wrong(section, name, "a list" if endless else f"a list of {len(inner)}", value)
    kinds = inner[:1] * len(value) if endless else inner
    made = [_cast(kind, one, section, name) for kind, one in zip(kinds, value, strict=True)]
    return made if origin is list else tuple(made)


def _told(kind: Any) -> str:
    """A type in plain words."""
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
