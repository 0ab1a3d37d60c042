"""Settings files on a command line: ``-c FILE``, later ones over earlier ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from wherewhen.cli.arguments.texts import merged
from wherewhen.core.config import read_yaml
from wherewhen.core.errors import ConfigError, unknown


def settings_files(words: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """The words without those that name settings files, and the files' merged settings; later files take precedence."""
    rest: list[str] = []
    config: dict[str, Any] = {}
    todo = iter(words)
    for word in todo:
        name, equals, value = word.partition("=")
        if name not in ("-c", "--config"):
            rest.append(word)
            continue
        path = value if equals else next(todo, "")
        if not path:
            raise ConfigError(f"{name} needs a value: {name} FILE")
        config = merged(config, _nested(read_yaml(path), path))
    return rest, config


def _nested(values: Mapping[str, Any], path: str) -> dict[str, Any]:
    """``cells.rows: 3`` as ``cells: {rows: 3}``."""
    result: dict[str, Any] = {}
    for name, inner in values.items():
        value = inner
        for part in reversed(name.split(".")[1:]):
            value = {part: value}
        head = name.split(".")[0]
        if "." in name and not isinstance(result.get(head, {}), Mapping):
            raise ConfigError(f"{path}: {head[:60]} is a value and a section at once")
        result = merged(result, {head: value})
    return result


def check(config: Mapping[str, Any], verb: str, accepted: Iterable[str]) -> None:
    """ConfigError for a name in a settings file that the verb doesn't know."""
    names = list(accepted)
    for name in config:
        if name not in names:
            raise ConfigError(unknown(f"setting of {verb}", name[:80], names))
