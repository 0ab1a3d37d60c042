"""Settings: typed frozen records from YAML and command lines and back; an unknown key is an error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import yaml

from wherewhen.errors import ConfigError, unknown
from wherewhen.store import plain, write_atomic

T = TypeVar("T")


def read_yaml(path: str | Path) -> dict[str, Any]:
    """The mapping in a YAML file; ConfigError if it is missing, broken or something else."""
    try:
        found = yaml.safe_load(Path(path).read_text())
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such settings file") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not a YAML file ({error})") from None
    if not isinstance(found, dict):
        raise ConfigError(f"{path}: expected settings as 'name: value' lines, got {type(found).__name__}")
    return found


def write_yaml(path: str | Path, values: Mapping[str, Any]) -> None:
    """Write settings as YAML, in their own order."""
    write_atomic(path, yaml.safe_dump(plain(values), sort_keys=False, allow_unicode=True))


def _check_keys(record: type, values: Mapping[str, Any], section: str) -> None:
    known = {f.name: f for f in fields(record) if f.init}
    hints = get_type_hints(record)
    for key, value in values.items():
        if key not in known:
            raise ConfigError(unknown(f"setting of {section}", str(key), known))
        if is_dataclass(hints[key]) and isinstance(value, Mapping):
            _check_keys(hints[key], value, f"{section}.{key}")


def build(record: type[T], values: Mapping[str, Any] | None, section: str) -> T:
    """Make a typed record of plain values; ConfigError names an unknown key or a value of the wrong type.

    ``section`` is what the user calls these settings.
    """
    from jsonargparse import ArgumentError, ArgumentParser

    given = plain(values or {})
    _check_keys(record, given, section)
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(record, section)
    try:
        made = parser.instantiate(parser.parse_object({section: given}))[section]
    except ConfigError:
        raise
    except (ArgumentError, ValueError, TypeError) as error:
        raise ConfigError(f"settings of {section}: {error}") from None
    assert isinstance(made, record)
    return made
