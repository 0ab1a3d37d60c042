"""Tables of text with commas, semicolons or tabs, read within limits; every fault is reported with its line."""

from __future__ import annotations

import codecs
import csv
import io
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from wherewhen.core.diagnostics import report
from wherewhen.core.errors import DataError
from wherewhen.core.printable import printable

LARGEST = 2**28  # bytes of a table; a million videos need less
NEAR = 0.85  # how much a column's name may be like a known one before it counts as misspelled
LONGEST = 100  # characters of a cell that an error quotes

MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
"""Byte order marks, and their encodings."""

LABELS = {
    "0": 0, "normal": 0, "false": 0, "1": 1, "anomalous": 1, "abnormal": 1, "anomaly": 1, "true": 1,
}  # fmt: skip
"""Words for a label, in any case; also 0.0 and 1.0, as tables have them that went through pandas."""

SPLITS = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
"""Words for the part of a split, in any case."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table: its place in the file, and its cells by the names of their columns."""

    where: str
    cells: dict[str, str]

    def label(self) -> int:
        """The label, 0 or 1; DataError for any other value."""
        word = self.cells.get("label", "")
        label = label_of(word)
        if label is not None:
            return label
        matches = get_close_matches(word.lower()[:LONGEST], LABELS, 1)
        hint = f"did you mean {matches[0]!r}?" if matches else f"known are {', '.join(LABELS)}"
        raise DataError(f"{self.where}: {f'unknown label {quoted(word)}' if word else 'no label'}; {hint}")

    def split(self) -> str | None:
        """``train``, ``val`` or ``test``, None where the cell is empty; DataError for any other value."""
        word = self.cells.get("split", "").lower()
        if word and word not in SPLITS:
            raise DataError(f"{self.where}: unknown split {quoted(word)}; known are {', '.join(SPLITS)}, or nothing")
        return SPLITS[word] if word else None

    def span(self) -> tuple[float, float] | None:
        """The seconds in the cells ``start`` and ``end``, None where both are empty; DataError for anything else."""
        words = [self.cells.get(name, "") for name in ("start", "end")]
        if not any(words):
            return None
        try:
            start, end = map(float, words)
        except ValueError:
            start, end = 0.0, 0.0
        if not 0 <= start < end < float("inf"):
            raise DataError(
                f"{self.where}: expected seconds in both start and end, the end after the start, or nothing in both; "
                f"got {quoted(words[0])} and {quoted(words[1])}"
            )
        return start, end


def label_of(word: str) -> int | None:
    """The label of a word, None if it is no label.

    >>> label_of("Normal"), label_of("1.0"), label_of("2")
    (0, 1, None)
    """
    word = word.lower()
    whole, point, rest = word.partition(".")
    return LABELS.get(whole if point and whole in ("0", "1") and not rest.strip("0") else word)


def seconds(value: float) -> str:
    """Seconds as a table and the id of a span have them, to the millisecond.

    >>> seconds(8.0), seconds(14.5004)
    ('8', '14.5')
    """
    return f"{value:.3f}".rstrip("0").rstrip(".")


def quoted(text: object) -> str:
    """A piece of a user's file as an error quotes it: in one line, with its odd characters visible, not too long.

    >>> quoted("a\\nb"), len(quoted("x" * 1000)) < 160
    ("'a\\\\nb'", True)
    """
    content = str(text)
    rest = len(content) - LONGEST
    return repr(content) if rest <= 0 else f"{content[:LONGEST]!r} and {rest} more characters"


def named(text: str) -> str:
    r"""A name out of a user's file: as it is where it is short and plain, else `quoted`.

    >>> named("sub/a.mp4"), named("a\nb")
    ('sub/a.mp4', "'a\\nb'")
    """
    plain = text.isprintable() and text == text.strip() and 0 < len(text) <= LONGEST
    return text if plain else quoted(text)


def text_of(path: Path) -> str:
    """The text of a table in UTF-8, or in UTF-16 with a byte order mark; DataError with the line of any other byte."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe or device"
            raise DataError(f"{path}: expected a file with a table, found {kind}")
        if status.st_size > LARGEST:
            message = f"{path}: {status.st_size} bytes are too many for a table (at most {LARGEST})"
            raise DataError(f"{message}; is it another kind of file?")
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: the table can't be read ({error.strerror})") from None
    if data[:4] == b"PK\x03\x04":
        raise DataError(f"{path}: a spreadsheet or archive, not text; save the table as CSV in UTF-8")
    encoding = next((name for mark, name in MARKS.items() if data.startswith(mark)), "utf-8")
    if encoding != "utf-16" and (zero := data.find(b"\0")) >= 0:
        line = data.count(b"\n", 0, zero) + 1
        raise DataError(
            f"{path}: line {line}: holds a byte of value 0, so it is no text; save the table as CSV in UTF-8"
        )
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"{path}: line {line}: not {encoding.removesuffix('-sig').upper()} text (byte {error.start})"
        raise DataError(f"{message}; save the table as CSV in UTF-8") from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DataError(f"{path}: line {line}: holds a character of value 0; save the table as CSV in UTF-8")
    return text


def cells(path: Path) -> list[tuple[int, list[str]]]:
    """Line numbers and cells, stripped, of every row that is not empty; DataError names the line of a fault."""
    text = text_of(path)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_mark(text), strict=True, skipinitialspace=True)
    parsed: list[tuple[int, list[str]]] = []
    while True:
        begin = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return parsed
        except csv.Error as error:
            raise DataError(f"{path}: line {begin}: {_fault(error)}") from None
        stripped = [cell.strip() for cell in row]
        if any(stripped):
            parsed.append((begin, stripped))


def _fault(error: csv.Error) -> str:
    """The fault of a malformed row, and its remedy."""
    text = str(error)
    if "field larger" in text:
        return f'a cell of more than {csv.field_size_limit()} characters; a quote (") before it may lack its end'
    if "unexpected end" in text:
        return 'the quote (") that begins here has no end; write "" for a quote inside quotes'
    return f'not a row of a table ({printable(text)}); write "" for a quote inside quotes'


def _mark(text: str) -> str:
    """The delimiter: the first of comma, semicolon and tab that makes a header or a row of a first line."""
    first = text.lstrip("\r\n").replace("\r", "\n").split("\n", 1)[0]
    marks = [mark for mark in ",;\t" if mark in first]
    for mark in marks:
        words = [word.strip().strip('"').lower() for word in first.split(mark)]
        if "path" in words or "label" in words or any(label_of(word) is not None for word in words[1:2]):
            return mark
    return marks[0] if marks else ","


def rows(path: Path, allowed: Sequence[str], without_header: Sequence[str] = ()) -> Iterator[Row]:
    """The rows of a table with the columns ``path``, ``label`` and others that are ``allowed``.

    Columns of other names are left out, which is reported once. ``without_header``: the columns of a table whose first
    line is a row already; without them a header is needed. DataError names file and line.
    """
    columns: list[str] | None = None
    for number, values in cells(path):
        where = f"{path}: line {number}"
        if columns is None:
            columns = _header(values, allowed, where, bool(without_header))
            if columns is not None:
                continue
            columns = list(without_header)
        extra = values[len(columns) :]
        if any(extra) or len(values) < 2:
            message = f"expected {','.join(named(c) for c in columns)}, got {len(values)} cells"
            raise DataError(f"{where}: {message}: {quoted(','.join(values))}")
        by_column = {name: cell for name, cell in zip(columns, values, strict=False) if name in allowed}
        if not by_column.get("path"):
            raise DataError(f"{where}: no path")
        yield Row(where, by_column)


def _header(values: list[str], allowed: Sequence[str], where: str, optional: bool) -> list[str] | None:
    """The columns that a first line names, None if it is a row already."""
    names = [cell.lower() for cell in values]
    if optional and len(names) > 1 and "path" not in names and label_of(names[1]) is not None:
        return None
    if not {"path", "label"} <= set(names):
        message = f"{where}: expected a header with path and label ({','.join(allowed)})"
        message += f" or a row with a label in its second cell ({', '.join(LABELS)})" if optional else ""
        raise DataError(f"{message}, got {quoted(','.join(values))}")
    for name in allowed:
        if names.count(name) > 1:
            raise DataError(f"{where}: two columns are called {name}; leave one out")
    extra = [name for name in names if name not in allowed]
    for name in extra:
        matches = get_close_matches(name[:LONGEST], [k for k in allowed if k not in names], 1, NEAR)
        if matches:
            raise DataError(
                f"{where}: unknown column {quoted(name)}; did you mean {matches[0]!r}? Known: {', '.join(allowed)}"
            )
    if extra:
        message = ", ".join(quoted(name) if name else "one without a name" for name in extra[:10])
        report("column-extra", f"columns that are not read: {message}{' ...' if extra[10:] else ''}", where=where)
    return names
