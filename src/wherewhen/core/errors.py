"""Errors of the toolkit: messages name the expected value, the actual value and the remedy."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from difflib import get_close_matches

from wherewhen.core.addresses import masked
from wherewhen.core.printable import legible, printable


class WherewhenError(Exception):
    """Base class of all errors of the toolkit; messages contain no secrets of addresses."""

    def __init__(self, *args: object) -> None:
        super().__init__(*(_fit(arg) if isinstance(arg, str) else arg for arg in args))


def _fit(text: str) -> str:
    return "\n".join(map(legible, masked(text).split("\n")))


LONGEST = 300  # characters of a name that a message shows
MOST = 50  # names that a message lists


def short(name: str) -> str:
    """A name for a message: of a very long one the beginning and the end.

    >>> len(short("x" * 5000)) < 350
    True
    """
    half = LONGEST // 2
    return name if len(name) <= LONGEST else f"{name[:half]}...{name[-half:]} ({len(name)} characters)"


class DataError(WherewhenError):
    """A label file, annotation or data set with a fault."""


class VideoError(WherewhenError):
    """A video that can't be read; ``path`` is its path and ``cause`` the reason."""

    def __init__(self, path: object, cause: str) -> None:
        name = legible(path) if isinstance(path, str) else printable(path)
        self.path, self.cause = short(masked(name)), masked(cause)
        super().__init__(f"{self.path}: {self.cause}")

    def __reduce__(self) -> tuple[type[VideoError], tuple[str, str]]:
        return type(self), (self.path, self.cause)


class ConfigError(WherewhenError):
    """A setting that is unknown, of the wrong type or out of range."""


class StoreError(WherewhenError):
    """A stored array that is missing, damaged or has other settings than requested."""


class OutputError(WherewhenError):
    """A file that can't be written without loss: it is a source, or this toolkit did not write it."""


class EngineError(WherewhenError):
    """An engine that is not installed, can't run a network, or changes its features too much."""


def expected(name: str, requirement: str, got: object) -> ConfigError:
    """The error for an argument of a wrong type: its name, the requirement, the actual value.

    >>> expected("source", "a path", 5)
    ConfigError('source: expected a path, got int 5')
    """
    shown = repr(got)
    shown = f" {shown}" if len(shown) <= 40 and "\n" not in shown else ""
    return ConfigError(f"{name}: expected {requirement}, got {type(got).__name__}{shown}")


def unknown(kind: str, name: str, names: Iterable[str]) -> str:
    """The message for an unknown name, with the most similar known one.

    >>> unknown("method", "cuboid_mill", ["cuboid_mil", "rtfm"])
    "unknown method 'cuboid_mill'; did you mean 'cuboid_mil'? Known: cuboid_mil, rtfm"
    """
    ordered = sorted(names)
    matches = get_close_matches(name[:LONGEST], ordered, 1)
    hint = f"; did you mean {matches[0]!r}?" if matches else "."
    more = f" and {len(ordered) - MOST} more" if len(ordered) > MOST else ""
    return f"unknown {kind} {short(name)!r}{hint} Known: {printable(', '.join(ordered[:MOST])) or 'none'}{more}"


_REASONS = {
    errno.ENOENT: "there is no such file or folder",
    errno.EACCES: "no permission; choose another place, or change who may write there",
    errno.EPERM: "no permission; choose another place, or change who may write there",
    errno.EROFS: "the disk is read-only; choose another place",
    errno.ENOSPC: "the disk is full; make room, or choose another place",
    errno.EDQUOT: "the quota of this disk is used up; make room, or choose another place",
    errno.EFBIG: "the file would be larger than is allowed here; choose another place",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
    errno.EISDIR: "it is a folder; expected a file",
    errno.ENOTDIR: "a part of the path is a file; expected a folder",
    errno.EEXIST: "something of that name is there already; choose another name",
    errno.ENOTEMPTY: "the folder is not empty; choose another one",
    errno.ELOOP: "its links point to each other; choose another path",
    errno.EMFILE: "too many files are open in this process; raise the limit (ulimit -n) or use fewer --workers",
    errno.ENFILE: "too many files are open on this machine; close some programs",
    errno.ENOMEM: "not enough memory; use fewer --workers, or close other programs",
    errno.EIO: "the disk reports a fault while reading or writing; check it",
    errno.ESTALE: "the network drive is no longer mounted; mount it again",
    errno.ENXIO: "the device is not there",
    errno.ENODEV: "the device is not there",
    errno.EBUSY: "it is in use by another program; close that, or choose another place",
    errno.ETXTBSY: "it is in use by another program; close that, or choose another place",
    errno.EINVAL: "the system refuses this name or operation here; choose another place",
}


def os_reason(error: OSError) -> str:
    """The reason of a failed file operation, and the remedy.

    >>> os_reason(OSError(errno.ENOSPC, "No space left on device"))
    'the disk is full; make room, or choose another place'
    """
    text = error.strerror or str(error) or type(error).__name__
    return _REASONS.get(error.errno or 0, text.strip().splitlines()[0])


def os_message(error: OSError) -> str:
    """The path of a system error, where it has one, and the reason.

    >>> os_message(FileNotFoundError(errno.ENOENT, "", "a.mp4"))
    'a.mp4: there is no such file or folder'
    """
    named = error.filename2 if error.filename2 is not None else error.filename
    shown = os.fsdecode(named) if isinstance(named, str | bytes | os.PathLike) else ""
    return f"{shown}: {os_reason(error)}" if shown else os_reason(error)


def first_line(error: Exception) -> str:
    """The first line of a library's error, without its list of all accepted values."""
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    return "there is no such kind" if text.startswith("Expected one of") else text
