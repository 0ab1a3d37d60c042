"""Reads a published pickle without running it: plain containers, text and numbers only.

A pickle is a program. The ones of published box sets hold lists in dictionaries; anything that names a class, a
function or a stored object is refused before it is looked up.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any, NoReturn

from wherewhen.core.errors import DataError

LARGEST = 2**28  # bytes
DEEPEST = 100  # levels; those of a dictionary count twice
_KINDS = (dict, list, tuple, set, frozenset)


class _Plain(pickle._Unpickler):  # of the two the one that makes no room for the numbers that a file names
    def find_class(self, module: str, name: str) -> NoReturn:
        raise DataError(f"names {module}.{name}; only dict, list, tuple, str, bytes, int, float, bool, None are read")

    def persistent_load(self, key: object) -> NoReturn:
        raise DataError("points to a stored object; only plain containers are read")


def read(path: Path) -> Any:
    """The content of a pickle of either Python (2's text as Latin-1); DataError if it holds more than plain values.

    >>> import pickle, tempfile
    >>> path = Path(tempfile.mkdtemp()) / "boxes.pkl"
    >>> _ = path.write_bytes(pickle.dumps({"a": [1, 2.5, None]}))
    >>> read(path)
    {'a': [1, 2.5, None]}
    """
    try:
        if path.stat().st_size > LARGEST:
            raise DataError(f"is larger than {LARGEST} bytes")
        data = path.read_bytes()
        content = _Plain(io.BytesIO(data), encoding="latin1").load()
        _check_depth(content)
        return content
    except DataError as error:
        raise DataError(f"{path}: refused, the pickle {error}") from None
    except Exception as error:  # a damaged pickle may raise nearly anything
        raise DataError(f"{path}: not a readable pickle ({type(error).__name__}: {str(error)[:120]})") from None


def _check_depth(content: object) -> None:
    """DataError where containers lie deeper in each other than any list of boxes."""
    level, visited = [content], set[int]()
    for _ in range(DEEPEST):
        parts = (value.items() if isinstance(value, dict) else value for value in level if isinstance(value, _KINDS))
        inner = [value for part in parts for value in part]
        fresh = {id(value): value for value in inner if isinstance(value, _KINDS) and id(value) not in visited}
        visited |= fresh.keys()
        level = list(fresh.values())
        if not level:
            return
    raise DataError(f"is nested more than {DEEPEST} levels deep")
