"""Arguments of a command line as typed values: ``--name VALUE``, ``--name=VALUE``, ``--flag`` and ``--no-flag``."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from typing import Any

from wherewhen.cli.arguments.described import inner
from wherewhen.cli.arguments.hints import Accepted, more, too_many, unknown
from wherewhen.cli.arguments.texts import merged, metavar, of_text
from wherewhen.cli.needs import dashed
from wherewhen.core.errors import ConfigError

_NUMBER = re.compile(r"-[.\d]")


def values(words: Sequence[str], accepted: Accepted) -> dict[str, Any]:
    """The values of a command line, sections as mappings; ConfigError for an unknown word or a wrong value."""
    positional: list[str] = []
    result: dict[str, Any] = {}
    todo = _Words(words)
    for word in todo:
        if not _named(word, accepted):
            positional.append(f"./{word}" if word.startswith("-") and os.path.lexists(word) else word)
            continue
        name, equals, text = word.removeprefix("--").partition("=")
        path, kind = _meant(name, accepted)
        inline = text if equals else None
        value = _switched(name, inline, todo, path) if kind is bool else _valued(path, kind, inline, todo, accepted)
        result = merged(result, _nested(path, value))
    if len(positional) > len(accepted.places):
        raise ConfigError(too_many(positional, accepted))
    placed = {
        setting.name: of_text(setting.kind, text, setting.name)
        for setting, text in zip(accepted.places, positional, strict=False)
    }
    return merged(result, placed)


class _Words(Iterator[str]):
    """An iterator over words with access to the next one."""

    def __init__(self, words: Sequence[str]) -> None:
        self.left = list(reversed(words))

    def __next__(self) -> str:
        """Take a word."""
        if not self.left:
            raise StopIteration
        return self.left.pop()

    @property
    def next(self) -> str | None:
        """The next word, which is not removed."""
        return self.left[-1] if self.left else None


def _named(word: str, accepted: Accepted) -> bool:
    """Whether a word is an option; ConfigError for a single dash that is neither a number nor a file."""
    if word.startswith("--"):
        return _meaning(word[2:].partition("=")[0], accepted) is not None or not os.path.lexists(word)
    if word.startswith("-") and len(word) > 1 and not _NUMBER.match(word) and not os.path.lexists(word):
        raise ConfigError(
            f"unknown option {word!r}; a name that begins with a dash is written ./{word}; {more(accepted.verb)}"
        )
    return False


def _meant(name: str, accepted: Accepted) -> tuple[tuple[str, ...], Any]:
    """The path of a setting and its type; for ``--no-flag`` that of the flag. ConfigError where there is none."""
    meaning = _meaning(name, accepted)
    if meaning is None:
        raise ConfigError(unknown(name, accepted))
    return meaning


def _meaning(name: str, accepted: Accepted) -> tuple[tuple[str, ...], Any] | None:
    kind = _kind(path := _path(name, accepted), accepted)
    if kind is None and name.startswith("no-"):
        kind = _kind(path := _path(name.removeprefix("no-"), accepted), accepted)
        kind = kind if kind is bool else None
    return None if kind is None else (path, kind)


def _path(name: str, accepted: Accepted) -> tuple[str, ...]:
    """The parts of a name as field names: ``dry_run``, and ``from_`` for a keyword of Python."""
    first, *rest = name.replace("-", "_").split(".")
    return (f"{first}_" if f"{first}_" in accepted.options else first, *rest)


def _kind(path: tuple[str, ...], accepted: Accepted) -> Any:
    """The type of the setting at a path; None where there is none."""
    if path[0] in accepted.options:
        return inner(accepted.options[path[0]].kind, path[1:])
    return inner(accepted.sections[path[0]], path[1:]) if path[0] in accepted.sections else None


def _switched(name: str, inline: str | None, todo: _Words, path: tuple[str, ...]) -> bool:
    """Whether a switch is on; ConfigError where it is given a value."""
    option = dashed(".".join(path))
    if inline is not None or (todo.next or "").lower() in ("true", "false"):
        raise ConfigError(f"{option} takes no value; write {option} or --no-{option.removeprefix('--')}")
    return _path(name, Accepted("", (), {}))[0].strip("_") == path[0].strip("_")


def _valued(path: tuple[str, ...], kind: Any, inline: str | None, todo: _Words, accepted: Accepted) -> Any:
    """The value of an option, after its equals sign or from the next word."""
    name = dashed(".".join(path))
    if inline is None and (todo.next is None or todo.next.startswith("--")):
        raise ConfigError(f"{name} needs a value: {name} {metavar(kind)}")
    text = next(todo) if inline is None else inline
    if path[0] in accepted.sections and len(path) == 1 and not text.lstrip().startswith("{"):
        raise ConfigError(f"{name}: name one of its settings: {name}.NAME VALUE, or write them to a file: -c FILE")
    return of_text(kind, text, name)


def _nested(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    for part in reversed(path):
        value = {part: value}
    return value  # type: ignore[no-any-return]
