"""Descriptions of settings: name, type, default and text, from typed records and their docstrings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from wherewhen.cli.needs import dashed
from wherewhen.core import registry
from wherewhen.core.contracts import BoxesConfig

_ENTRY = re.compile(r"    (\w[\w, ]*): (.*)")


@dataclass(frozen=True)
class Setting:
    """Something that a command line may say.

    Args:
        name: dotted, with underscores: ``rtfm.width``.
        kind: its type.
        default: its value where nothing is said; MISSING where something must be said.
        text: what it means.
    """

    name: str
    kind: Any
    default: Any
    text: str = ""

    @property
    def switch(self) -> bool:
        """Whether it is on or off, and takes no value."""
        return self.kind is bool

    @property
    def typed(self) -> str:
        """As it is typed: ``--dry-run``, ``--training.learning_rate``."""
        return dashed(self.name)


@lru_cache(maxsize=256)
def descriptions(record: type) -> Mapping[str, str]:
    """What the ``Args:`` of a record's docstring, or of those of its bases, say about each field.

    >>> descriptions(Setting)["kind"]
    'its type.'
    """
    found: dict[str, str] = {}
    for one in reversed(record.__mro__):
        names: list[str] = []
        _, _, below = (inspect.cleandoc(one.__doc__ or "")).partition("\nArgs:\n")
        for line in below.splitlines():
            if entry := _ENTRY.fullmatch(line):
                names = [name.strip() for name in entry[1].split(",")]
                found |= dict.fromkeys(names, entry[2])
            elif line.startswith("     "):
                found |= {name: f"{found[name]} {line.strip()}" for name in names}
            elif line.strip():
                break
    return found


def settings_of(record: type, prefix: str = "") -> tuple[Setting, ...]:
    """The fields of a record, in their order."""
    kinds, told = get_type_hints(record), descriptions(record)
    return tuple(
        Setting(f"{prefix}{one.name}", kinds[one.name], _default(one), told.get(one.name, ""))
        for one in fields(record)
        if one.init
    )


def _default(one: Field[Any]) -> Any:
    return one.default if one.default_factory is MISSING else one.default_factory()


def of_values(made: Any, prefix: str) -> Iterator[Setting]:
    """The settings of a record, records inside it included, each with the value that it has as its default.

    Settings of a source of boxes, kept in a mapping ``boxes``, are those of the source that ``proposals`` names.
    """
    for one in settings_of(type(made), prefix):
        name = one.name.removeprefix(prefix)
        value = getattr(made, name)
        if is_dataclass(value):
            yield from of_values(value, f"{one.name}.")
        elif name == "boxes" and isinstance(made, BoxesConfig):
            source = registry.load("proposals", made.proposals).Config
            yield from (_with(each, made.boxes, f"{one.name}.") for each in settings_of(source, f"{one.name}."))
        else:
            yield Setting(one.name, one.kind, value, one.text)


def _with(one: Setting, values: Mapping[str, Any], prefix: str) -> Setting:
    return Setting(one.name, one.kind, values.get(one.name.removeprefix(prefix), one.default), one.text)


def kinds_of(kind: Any) -> tuple[Any, ...]:
    """The types that a value may have, without None.

    >>> kinds_of(int | None)
    (<class 'int'>,)
    """
    several = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    return tuple(one for one in several if one is not NoneType)


def choices(kind: Any) -> tuple[str, ...]:
    """The values between which a type leaves the choice; empty where it leaves more.

    >>> choices(Literal["best", "last"])
    ('best', 'last')
    """
    return tuple(str(value) for one in kinds_of(kind) if get_origin(one) is Literal for value in get_args(one))


def inner(kind: Any, path: tuple[str, ...]) -> Any:
    """The type of a field of a record inside a type, such as ``("shape", "window")``; None where there is none."""
    if not path:
        return kind
    for one in kinds_of(kind):
        if is_dataclass(one):
            known = get_type_hints(one)
            return inner(known[path[0]], path[1:]) if path[0] in known else None
        if (get_origin(one) or one) in (dict, Mapping):
            return Any
    return None
