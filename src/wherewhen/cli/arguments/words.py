"""Arguments of a command line as typed values: ``--name VALUE``, ``--name=VALUE``, ``--flag`` and ``--no-flag``."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from typing import Any

from wherewhen.cli.arguments.described import inner
from wherewhen.cli.arguments.hints import Known, more, too_many, unknown
from wherewhen.cli.arguments.texts import merged, metavar, of_text
from wherewhen.cli.needs import dashed
from wherewhen.core.errors import ConfigError

_NUMBER = re.compile(r"-[.\d]")


def values(words: Sequence[str], known: Known) -> dict[str, Any]:
    """The values that were said, sections as mappings; ConfigError for a word that means nothing, or a wrong value."""
    said: list[str] = []
    found: dict[str, Any] = {}
    todo = _Words(words)
    for word in todo:
        if not _named(word, known):
            said.append(f"./{word}" if word.startswith("-") and os.path.lexists(word) else word)
            continue
        name, equals, text = word.removeprefix("--").partition("=")
        path, kind = _meant(name, known)
        given = text if equals else None
        value = _switched(name, given, todo, path) if kind is bool else _valued(path, kind, given, todo, known)
        found = merged(found, _nested(path, value))
    if len(said) > len(known.places):
        raise ConfigError(too_many(said, known))
    placed = {one.name: of_text(one.kind, text, one.name) for one, text in zip(known.places, said, strict=False)}
    return merged(found, placed)


class _Words(Iterator[str]):
    """Words one after the other, with a look at the next one."""

    def __init__(self, words: Sequence[str]) -> None:
        self.left = list(reversed(words))

    def __next__(self) -> str:
        """Take a word."""
        if not self.left:
            raise StopIteration
        return self.left.pop()

    @property
    def next(self) -> str | None:
        """The word that comes next, which stays there."""
        return self.left[-1] if self.left else None


def _named(word: str, known: Known) -> bool:
    """Whether a word is an option; ConfigError for a single dash that is neither a number nor a file."""
    if word.startswith("--"):
        return _meaning(word[2:].partition("=")[0], known) is not None or not os.path.lexists(word)
    if word.startswith("-") and len(word) > 1 and not _NUMBER.match(word) and not os.path.lexists(word):
        raise ConfigError(
            f"unknown option {word!r}; a name that begins with a dash is written ./{word}; {more(known.verb)}"
        )
    return False


def _meant(name: str, known: Known) -> tuple[tuple[str, ...], Any]:
    """The path of a setting and its type; for ``--no-flag`` that of the flag. ConfigError where there is none."""
    found = _meaning(name, known)
    if found is None:
        raise ConfigError(unknown(name, known))
    return found


def _meaning(name: str, known: Known) -> tuple[tuple[str, ...], Any] | None:
    kind = _kind(path := _path(name, known), known)
    if kind is None and name.startswith("no-"):
        kind = _kind(path := _path(name.removeprefix("no-"), known), known)
        kind = kind if kind is bool else None
    return None if kind is None else (path, kind)


def _path(name: str, known: Known) -> tuple[str, ...]:
    """The parts of a name as fields are called: ``dry_run``, and ``from_`` for a word of Python."""
    first, *rest = name.replace("-", "_").split(".")
    return (f"{first}_" if f"{first}_" in known.options else first, *rest)


def _kind(path: tuple[str, ...], known: Known) -> Any:
    """The type of what a path names; None where there is no such thing."""
    if path[0] in known.options:
        return inner(known.options[path[0]].kind, path[1:])
    return inner(known.sections[path[0]], path[1:]) if path[0] in known.sections else None


def _switched(name: str, given: str | None, todo: _Words, path: tuple[str, ...]) -> bool:
    """Whether a switch is on; ConfigError where it is given a value."""
    own = dashed(".".join(path))
    if given is not None or (todo.next or "").lower() in ("true", "false"):
        raise ConfigError(f"{own} takes no value; write {own} or --no-{own.removeprefix('--')}")
    return _path(name, Known("", (), {}))[0].strip("_") == path[0].strip("_")


def _valued(path: tuple[str, ...], kind: Any, given: str | None, todo: _Words, known: Known) -> Any:
    """The value of an option, from behind its equals sign or from the next word."""
    name = dashed(".".join(path))
    if given is None and (todo.next is None or todo.next.startswith("--")):
        raise ConfigError(f"{name} needs a value: {name} {metavar(kind)}")
    text = next(todo) if given is None else given
    if path[0] in known.sections and len(path) == 1 and not text.lstrip().startswith("{"):
        raise ConfigError(f"{name}: name one of its settings: {name}.NAME VALUE, or write them to a file: -c FILE")
    return of_text(kind, text, name)


def _nested(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    for part in reversed(path):
        value = {part: value}
    return value  # type: ignore[no-any-return]
