"""File names as text for files, logs and terminals: characters that can't be shown are escaped, reversibly.

A file's name is bytes. Python reads those that are no UTF-8 as lone surrogates, which file formats reject; control
characters break lines and tables and steer terminals. Each byte of both becomes ``\\xNN``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from itertools import chain, count

LONGEST = 180  # bytes of a part of a name of a new file; systems allow 255, and suffixes and drafts need some

_UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_MISTAKABLE = re.compile(rf"{_UNFIT.pattern}|\\(?=x[0-9a-f]{{2}})")
_ESCAPED = re.compile(r"\\x([0-9a-f]{2})")


def printable(text: object) -> str:
    r"""The text with control characters and bytes that are no UTF-8 as ``\xNN``; see `original`.

    >>> print(printable("caf\udce9.mp4"), printable("cam\n1"), printable("Café 🎥"))
    caf\xe9.mp4 cam\x0a1 Café 🎥
    """
    return _MISTAKABLE.sub(_escaped, str(text))


def legible(text: str) -> str:
    r"""The same for text that may hold `printable` names already, which stay as they are.

    >>> print(legible(printable("caf\udce9.mp4")), legible("a\nb"))
    caf\xe9.mp4 a\x0ab
    """
    return _UNFIT.sub(_escaped, text)


def original(text: str) -> str:
    r"""The file's name that `printable` was given.

    >>> original(printable("caf\udce9.mp4")) == "caf\udce9.mp4"
    True
    """
    pieces = _ESCAPED.split(text)  # text and hex digits alternate
    data = b"".join(bytes.fromhex(piece) if number % 2 else _bytes(piece) for number, piece in enumerate(pieces))
    return data.decode("utf-8", "surrogateescape")


def _escaped(match: re.Match[str]) -> str:
    return "".join(f"\\x{byte:02x}" for byte in _bytes(match[0]))


def _bytes(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a surrogate that is no escaped byte
        return text.encode("utf-8", "surrogatepass")


def fitted(name: str) -> str:
    """A name for a new file, each part of it short enough for every file system; a long part ends in its hash.

    Equal names stay equal, and different names stay different.

    >>> fitted("a/b"), len(fitted("x" * 300))
    ('a/b', 180)
    """
    return "/".join(_short(part) for part in name.split("/"))


def _short(part: str) -> str:
    data = part.encode("utf-8", "surrogateescape")
    if len(data) <= LONGEST:
        return part
    mark = hashlib.sha256(data).hexdigest()[:16]
    return f"{data[: LONGEST - len(mark) - 1].decode('utf-8', 'ignore')}-{mark}"


def unused(name: str, is_used: Callable[[str], bool]) -> str:
    """The first of ``name``, ``name-2``, ``name-3``, ... that is not used.

    >>> unused("run", {"run", "run-2"}.__contains__)
    'run-3'
    """
    names = chain([name], (f"{name}-{number}" for number in count(2)))
    return next(candidate for candidate in names if not is_used(candidate))


def cut(text: str, most: int = 60) -> str:
    """A text for a repr, quoted; of a longer one than ``most`` characters the end.

    >>> cut("clips/a.mp4"), cut("x" * 90 + "a.mp4", 10)
    ("'clips/a.mp4'", "'...xxa.mp4'")
    """
    return repr(text if len(text) <= most else "..." + text[3 - most :])
