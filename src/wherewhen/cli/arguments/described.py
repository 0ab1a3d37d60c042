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
    """An option or setting of a command line.

    Args:
        name: dotted, with underscores: ``rtfm.width``.
        kind: its type.
        default: its default value; MISSING where a value is required.
        text: its description.
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
    """The description of each field in the ``Args:`` of the docstring of a record, or of its bases.

    >>> descriptions(Setting)["kind"]
    'its type.'
    """
    texts: dict[str, str] = {}
    for cls in reversed(record.__mro__):
        names: list[str] = []
        _, _, below = (inspect.cleandoc(cls.__doc__ or "")).partition("\nArgs:\n")
        for line in below.splitlines():
            if entry := _ENTRY.fullmatch(line):
                names = [name.strip() for name in entry[1].split(",")]
                texts |= dict.fromkeys(names, entry[2])
            elif line.startswith("     "):
                texts |= {name: f"{texts[name]} {line.strip()}" for name in names}
            elif line.strip():
                break
    return texts


def settings_of(record: type, prefix: str = "") -> tuple[Setting, ...]:
    """The fields of a record, in their order."""
    kinds, texts = get_type_hints(record), descriptions(record)
    return tuple(
        Setting(f"{prefix}{field.name}", kinds[field.name], _default(field), texts.get(field.name, ""))
        for field in fields(record)
        if field.init
    )


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def of_values(record: Any, prefix: str) -> Iterator[Setting]:
    """The settings of a record, nested records included, with their values as defaults.

    Settings of a source of boxes, kept in a mapping ``boxes``, are those of the source that ``proposals`` names.
    """
    for setting in settings_of(type(record), prefix):
        name = setting.name.removeprefix(prefix)
        value = getattr(record, name)
        if is_dataclass(value):
            yield from of_values(value, f"{setting.name}.")
        elif name == "boxes" and isinstance(record, BoxesConfig):
            source = registry.load("proposals", record.proposals).Config
            yield from (
                _with(each, record.boxes, f"{setting.name}.") for each in settings_of(source, f"{setting.name}.")
            )
        else:
            yield Setting(setting.name, setting.kind, value, setting.text)


def _with(setting: Setting, values: Mapping[str, Any], prefix: str) -> Setting:
    return Setting(
        setting.name, setting.kind, values.get(setting.name.removeprefix(prefix), setting.default), setting.text
    )


def kinds_of(kind: Any) -> tuple[Any, ...]:
    """The types that a value may have, without None.

    >>> kinds_of(int | None)
    (<class 'int'>,)
    """
    several = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    return tuple(item for item in several if item is not NoneType)


def choices(kind: Any) -> tuple[str, ...]:
    """The values of a literal type; empty for other types.

    >>> choices(Literal["best", "last"])
    ('best', 'last')
    """
    return tuple(str(value) for item in kinds_of(kind) if get_origin(item) is Literal for value in get_args(item))


def inner(kind: Any, path: tuple[str, ...]) -> Any:
    """The type of a field of a record inside a type, such as ``("shape", "window")``; None where there is none."""
    if not path:
        return kind
    for item in kinds_of(kind):
        if is_dataclass(item):
            hints = get_type_hints(item)
            return inner(hints[path[0]], path[1:]) if path[0] in hints else None
        if (get_origin(item) or item) in (dict, Mapping):
            return Any
    return None
