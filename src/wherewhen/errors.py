"""What can go wrong, in the user's words: what was expected, what came, what to do."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from wherewhen.addresses import masked
from wherewhen.printable import printable


class WherewhenError(Exception):
    """Every error that the toolkit raises on purpose; its message holds no secret of an address."""

    def __init__(self, *told: object) -> None:
        super().__init__(*(masked(one) if isinstance(one, str) else one for one in told))


LONGEST = 300  # characters of a name that a message tells


def short(name: str) -> str:
    """A name as a message tells it: of a very long one the beginning and the end.

    >>> len(short("x" * 5000)) < 350
    True
    """
    half = LONGEST // 2
    return name if len(name) <= LONGEST else f"{name[:half]}...{name[-half:]} ({len(name)} characters)"


class DataError(WherewhenError):
    """A label file, annotation or data set that can't be used as it is."""


class VideoError(WherewhenError):
    """A video that can't be read; ``path`` names it and ``cause`` says why."""

    def __init__(self, path: object, cause: str) -> None:
        self.path, self.cause = short(masked(printable(path))), masked(cause)
        super().__init__(f"{self.path}: {self.cause}")

    def __reduce__(self) -> tuple[type[VideoError], tuple[str, str]]:
        return type(self), (self.path, self.cause)


class ConfigError(WherewhenError):
    """A setting that is unknown, of the wrong type or out of range."""


class StoreError(WherewhenError):
    """A cached array that is missing, damaged or made in another way than asked for."""


class OutputError(WherewhenError):
    """A file that can't be written without loss: it is a source, or this toolkit did not make it."""


class EngineError(WherewhenError):
    """An engine that is not installed, can't run a network, or changes its features too much."""


def expected(name: str, what: str, got: object) -> ConfigError:
    """The error for an argument of a wrong type: its name, what was expected, what came.

    >>> expected("source", "a path", 5)
    ConfigError('source: expected a path, got int 5')
    """
    shown = repr(got)
    shown = f" {shown}" if len(shown) <= 40 and "\n" not in shown else ""
    return ConfigError(f"{name}: expected {what}, got {type(got).__name__}{shown}")


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Say that a name is unknown and which one was probably meant.

    >>> unknown("method", "cuboid_mill", ["cuboid_mil", "rtfm"])
    "unknown method 'cuboid_mill'; did you mean 'cuboid_mil'? Known: cuboid_mil, rtfm"
    """
    names = sorted(known)
    near = get_close_matches(name, names, 1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return f"unknown {kind} {name!r}{hint} Known: {', '.join(names) or 'none'}"
