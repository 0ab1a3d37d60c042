"""Output to terminals and logs: without secrets of addresses, in characters that they support."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, TextIO

from wherewhen.core.addresses import masked
from wherewhen.core.printable import legible


def tables() -> Any:
    """A console for tables of users' names, without markup and emoji."""
    from rich.console import Console

    return Console(markup=False, emoji=False, highlight=False)


def print_json(value: Any) -> None:
    """Print a result as JSON on standard output, as every verb with ``--json`` does."""
    from wherewhen.core.store import json_text

    print(json_text(value))


def print_lines(name: str, lines: list[str], *, as_json: bool) -> None:
    """Print lines, or as JSON a list of them with a name."""
    if as_json:
        print_json({name: lines})
    else:
        print("\n".join(lines))


class Discreet(logging.Filter):
    """Removes secrets of addresses and control characters from log records; added to every handler of the toolkit."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Clean the text of a record; every record passes."""
        lines = str(record.msg) if not record.args else record.getMessage()
        record.msg, record.args = "\n".join(map(legible, masked(lines).split("\n"))), None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = masked(record.exc_text)
        return True


class _Fit:
    """A text stream that writes no secret, and escapes what its encoding lacks instead of failing.

    ``broken``: the error of a failed write: a closed pipe or a full disk.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.broken: OSError | None = None

    def write(self, text: str) -> int:
        """Write a text without secrets; returns the length of ``text``."""
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        fit = masked(text)
        try:
            fit.encode(encoding)
        except UnicodeEncodeError:
            fit = "".join(legible(character) if "\ud800" <= character <= "\udfff" else character for character in fit)
            fit = fit.encode(encoding, "backslashreplace").decode(encoding)
        with self._noting():
            self._stream.write(fit)
        return len(text)

    def flush(self) -> None:
        """Flush the stream."""
        with self._noting():
            self._stream.flush()

    @contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.broken = error
            raise

    def writelines(self, lines: Any) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def discreet() -> Iterator[None]:
    """Remove secrets of addresses from all output inside the block, and from tracebacks."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _Fit(before[0]), _Fit(before[1])
    sys.excepthook = _crash
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def _crash(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    print(masked("".join(traceback.format_exception(kind, error, trace))), end="", file=_Fit(sys.stderr))
