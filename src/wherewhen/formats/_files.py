"""Safe reading of other tools' files: JSON, tables and XML that may be malformed or malicious, and safe file names."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote
from xml.etree import ElementTree
from xml.parsers import expat

from wherewhen.core import documents
from wherewhen.core.errors import DataError, unknown
from wherewhen.core.printable import fitted
from wherewhen.core.store import write_atomic

LARGEST = 2**53  # no frame, pixel or second is beyond it, and whole numbers are no longer exact
DEEPEST = 100
LINE = 160  # letters of JSON that stay on one line
LONGEST = 10_000_000  # frames; more than a day at 100 per second


def number(text: str, where: str) -> float:
    """A finite number of sensible size; DataError otherwise."""
    try:
        value = float(text)
    except ValueError:
        raise DataError(f"{where}: expected a number, got {text[:40]!r}") from None
    if not abs(value) <= LARGEST:
        raise DataError(f"{where}: expected a number of finite, sensible size, got {text[:40]!r}")
    return value


def whole(value: float, where: str) -> int:
    """A whole number; DataError otherwise."""
    if value != int(value):
        raise DataError(f"{where}: expected a whole number, got {value:g}")
    return int(value)


def shown(value: float) -> str:
    """A number as text, without ``.0`` where it is whole.

    >>> shown(12.0), shown(0.25)
    ('12', '0.25')
    """
    return str(int(value)) if value == int(value) else repr(float(value))


def one_of(kind: str, name: str, choices: Sequence[str]) -> str:
    """``name`` if it is one of ``choices``; else DataError with the most similar one."""
    if name not in choices:
        raise DataError(unknown(kind, name, choices))
    return name


def file_name(video: str) -> str:
    """A video id as one file name, reversible unless it is too long for a file name.

    >>> file_name("Abuse/a 1"), file_name("..")
    ('Abuse%2Fa 1', '%2E%2E')
    """
    name = quote(video, safe=" +-_.,()[]=@&")
    return name.replace(".", "%2E") if set(name) == {"."} else fitted(name)


def video_id(name: str) -> str:
    """The video id in a file name that ``file_name`` made."""
    return unquote(name)


def folder(path: Path) -> Path:
    """``path`` if it is a folder; DataError otherwise."""
    if not path.is_dir():
        raise DataError(f"{path}: expected a folder")
    return path


def text_of(path: Path) -> str:
    """The UTF-8 text of a file; DataError if there is none."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: can't be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: expected UTF-8 text ({error.reason} at byte {error.start})") from error


def table(path: Path, fewest: int, most: int) -> Iterator[tuple[str, list[float]]]:
    """Rows of comma-separated finite numbers, each with its place; empty lines are skipped."""
    for index, line in enumerate(text_of(path).splitlines(), 1):
        if not line.strip():
            continue
        where = f"{path}: line {index}"
        cells = line.split(",")
        if not fewest <= len(cells) <= most:
            need = str(fewest) if fewest == most else f"{fewest} to {most}"
            raise DataError(f"{where}: expected {need} numbers between commas, got {len(cells)}")
        yield where, [number(cell, where) for cell in cells]


class Node:
    """A value in a JSON file and its place, read by type; DataError, with the place, for another type."""

    __slots__ = ("value", "where")

    def __init__(self, value: Any, where: str) -> None:
        self.value, self.where = value, where

    def _wrong(self, expected: str) -> DataError:
        text = repr(self.value)
        return DataError(f"{self.where}: expected {expected}, got {text if len(text) < 60 else text[:57] + '...'}")

    def __getitem__(self, key: str) -> Node:
        value = self.get(key)
        if value is None:
            raise DataError(f"{self.where}: {key!r} is missing")
        return value

    def get(self, key: str) -> Node | None:
        """The value under ``key``, None where it is missing or null."""
        if not isinstance(self.value, dict):
            raise self._wrong("an object")
        value = self.value.get(key)
        return None if value is None else Node(value, f"{self.where}.{key}")

    def items(self) -> Iterator[tuple[str, Node]]:
        """Keys and values of an object."""
        if not isinstance(self.value, dict):
            raise self._wrong("an object")
        return ((key, Node(value, f"{self.where}.{key}")) for key, value in self.value.items())

    def __iter__(self) -> Iterator[Node]:
        if not isinstance(self.value, list):
            raise self._wrong("a list")
        return (Node(value, f"{self.where}[{index}]") for index, value in enumerate(self.value))

    def number(self) -> float:
        """A finite number."""
        if isinstance(self.value, bool) or not isinstance(self.value, (int, float)):
            raise self._wrong("a number")
        if not abs(self.value) <= LARGEST:
            raise self._wrong("a number of finite, sensible size")
        return float(self.value)

    def whole(self) -> int:
        """A whole number."""
        return whole(self.number(), self.where)

    def text(self) -> str:
        """A string."""
        if not isinstance(self.value, str):
            raise self._wrong("a string")
        return self.value

    def flag(self) -> bool:
        """True or false."""
        if not isinstance(self.value, bool):
            raise self._wrong("true or false")
        return self.value

    def numbers(self, count: int) -> list[float]:
        """A list of so many finite numbers."""
        values = [item.number() for item in self]
        if len(values) != count:
            raise self._wrong(f"{count} numbers")
        return values


def read_json(path: Path) -> Node:
    """A JSON file; DataError for anything else, NaN and Infinity included."""
    return Node(documents.read_json(path), str(path))


def _laid_out(value: Any, pad: str = "\n") -> str:
    """JSON with short values, and those without nested ones, on one line."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if not any(isinstance(item, (dict, list)) for item in inner):
        return json.dumps(value, allow_nan=False)
    deeper = pad + " "
    parts = [_laid_out(item, deeper) for item in inner]
    if isinstance(value, dict):
        parts = [f"{json.dumps(str(key))}: {part}" for key, part in zip(value, parts, strict=True)]
    begin, end = "{}" if isinstance(value, dict) else "[]"
    if sum(map(len, parts)) + 2 * len(parts) <= LINE:
        return begin + ", ".join(parts) + end
    return begin + deeper + f",{deeper}".join(parts) + pad + end


def write_json(path: Path, value: Any) -> None:
    """Write JSON that people can read; DataError for a number that is not finite."""
    try:
        text = _laid_out(value)
    except ValueError as error:
        raise DataError(f"{path}: can't be written ({error})") from error
    write_atomic(path, text + "\n")


def read_xml(path: Path) -> ElementTree.Element:
    """The root of an XML file; DataError if it declares a document type or entities, nests deeply or is no XML."""
    data = text_of(path).encode()
    depth = 0

    def doctype(*_: Any) -> None:
        raise DataError(f"{path}: declares a document type or entities, which no annotation needs; refused")

    def opened(*_: Any) -> None:
        nonlocal depth
        depth += 1
        if depth > DEEPEST:
            raise DataError(f"{path}: nested too deeply")

    def closed(*_: Any) -> None:
        nonlocal depth
        depth -= 1

    # The text is UTF-8 here, also with another declaration.
    parser = expat.ParserCreate("utf-8")
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = doctype
    parser.StartElementHandler, parser.EndElementHandler = opened, closed
    try:
        parser.Parse(data, True)
        return ElementTree.fromstring(data, ElementTree.XMLParser(encoding="utf-8"))
    except (expat.ExpatError, ElementTree.ParseError) as error:
        raise DataError(f"{path}: not XML ({error})") from error
