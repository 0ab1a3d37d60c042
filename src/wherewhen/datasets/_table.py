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
"""What a text may begin with, and the encoding that it announces."""

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
    """One row of a table: where it stands, and its cells by the names of their columns."""

    where: str
    cells: dict[str, str]

    def label(self) -> int:
        """The label, 0 or 1; DataError where the cell says anything else."""
        word = self.cells.get("label", "")
        found = label_of(word)
        if found is not None:
            return found
        near = get_close_matches(word.lower()[:LONGEST], LABELS, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(LABELS)}"
        raise DataError(f"{self.where}: {f'unknown label {quoted(word)}' if word else 'no label'}; {hint}")

    def split(self) -> str | None:
        """``train``, ``val`` or ``test``, None where the cell is empty; DataError where it says anything else."""
        word = self.cells.get("split", "").lower()
        if word and word not in SPLITS:
            raise DataError(f"{self.where}: unknown split {quoted(word)}; known are {', '.join(SPLITS)}, or nothing")
        return SPLITS[word] if word else None


def label_of(word: str) -> int | None:
    """The label that a word stands for, None if it stands for none.

    >>> label_of("Normal"), label_of("1.0"), label_of("2")
    (0, 1, None)
    """
    word = word.lower()
    whole, point, rest = word.partition(".")
    return LABELS.get(whole if point and whole in ("0", "1") and not rest.strip("0") else word)


def quoted(text: object) -> str:
    """A piece of a user's file as an error quotes it: in one line, with its odd characters visible, not too long.

    >>> quoted("a\\nb"), len(quoted("x" * 1000)) < 160
    ("'a\\\\nb'", True)
    """
    told = str(text)
    rest = len(told) - LONGEST
    return repr(told) if rest <= 0 else f"{told[:LONGEST]!r} and {rest} more characters"


def named(text: str) -> str:
    r"""A name out of a user's file: as it is where it is short and plain, else `quoted`.

    >>> named("sub/a.mp4"), named("a\nb")
    ('sub/a.mp4', "'a\\nb'")
    """
    plain = text.isprintable() and text == text.strip() and 0 < len(text) <= LONGEST
    return text if plain else quoted(text)


def text_of(path: Path) -> str:
    """The text of a table in UTF-8, or in UTF-16 that says so; DataError with the line where it is something else."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe or device"
            raise DataError(f"{path}: expected a file with a table, found {kind}")
        if status.st_size > LARGEST:
            told = f"{path}: {status.st_size} bytes are too many for a table (at most {LARGEST})"
            raise DataError(f"{told}; is it another kind of file?")
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
        told = f"{path}: line {line}: not {encoding.removesuffix('-sig').upper()} text (byte {error.start})"
        raise DataError(f"{told}; save the table as CSV in UTF-8") from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DataError(f"{path}: line {line}: holds a character of value 0; save the table as CSV in UTF-8")
    return text


def cells(path: Path) -> list[tuple[int, list[str]]]:
    """Line numbers and cells, stripped, of every row that is not empty; DataError names the line of a fault."""
    text = text_of(path)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_mark(text), strict=True, skipinitialspace=True)
    found: list[tuple[int, list[str]]] = []
    while True:
        begin = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return found
        except csv.Error as error:
            raise DataError(f"{path}: line {begin}: {_told(error)}") from None
        stripped = [cell.strip() for cell in row]
        if any(stripped):
            found.append((begin, stripped))


def _told(error: csv.Error) -> str:
    """What the library says of a broken row, and what to do."""
    text = str(error)
    if "field larger" in text:
        return f'a cell of more than {csv.field_size_limit()} characters; a quote (") before it may lack its end'
    if "unexpected end" in text:
        return 'the quote (") that begins here has no end; write "" for a quote inside quotes'
    return f'not a row of a table ({printable(text)}); write "" for a quote inside quotes'


def _mark(text: str) -> str:
    """What stands between cells: the first of comma, semicolon and tab that makes a header or a row of a first line."""
    first = text.lstrip("\r\n").replace("\r", "\n").split("\n", 1)[0]
    there = [mark for mark in ",;\t" if mark in first]
    for mark in there:
        words = [word.strip().strip('"').lower() for word in first.split(mark)]
        if "path" in words or "label" in words or any(label_of(word) is not None for word in words[1:2]):
            return mark
    return there[0] if there else ","


def rows(path: Path, known: Sequence[str], without_header: Sequence[str] = ()) -> Iterator[Row]:
    """The rows of a table with the columns ``path``, ``label`` and others that are ``known``.

    Columns of other names are left out, which is reported once. ``without_header``: the columns of a table whose first
    line is a row already; without them a header is needed. DataError names file and line.
    """
    columns: list[str] | None = None
    for number, found in cells(path):
        where = f"{path}: line {number}"
        if columns is None:
            columns = _header(found, known, where, bool(without_header))
            if columns is not None:
                continue
            columns = list(without_header)
        extra = found[len(columns) :]
        if any(extra) or len(found) < 2:
            told = f"expected {','.join(named(c) for c in columns)}, got {len(found)} cells"
            raise DataError(f"{where}: {told}: {quoted(','.join(found))}")
        made = {name: cell for name, cell in zip(columns, found, strict=False) if name in known}
        if not made.get("path"):
            raise DataError(f"{where}: no path")
        yield Row(where, made)


def _header(found: list[str], known: Sequence[str], where: str, optional: bool) -> list[str] | None:
    """The columns that a first line names, None if it is a row already."""
    names = [cell.lower() for cell in found]
    if optional and len(names) > 1 and "path" not in names and label_of(names[1]) is not None:
        return None
    if not {"path", "label"} <= set(names):
        told = f"{where}: expected a header with path and label ({','.join(known)})"
        told += f" or a row with a label in its second cell ({', '.join(LABELS)})" if optional else ""
        raise DataError(f"{told}, got {quoted(','.join(found))}")
    for name in known:
        if names.count(name) > 1:
            raise DataError(f"{where}: two columns are called {name}; leave one out")
    extra = [name for name in names if name not in known]
    for name in extra:
        near = get_close_matches(name[:LONGEST], [k for k in known if k not in names], 1, NEAR)
        if near:
            raise DataError(
                f"{where}: unknown column {quoted(name)}; did you mean {near[0]!r}? Known: {', '.join(known)}"
            )
    if extra:
        told = ", ".join(quoted(name) if name else "one without a name" for name in extra[:10])
        report("column-extra", f"columns that are not read: {told}{' ...' if extra[10:] else ''}", where=where)
    return names
