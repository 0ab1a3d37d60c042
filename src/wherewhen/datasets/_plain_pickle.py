"""Reads a published pickle without running it: plain containers, text and numbers only.

A pickle is a program. The ones of published box sets hold lists in dictionaries; anything that names a class, a
function or a stored object is refused before it is looked up.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any, NoReturn

from wherewhen.errors import DataError


class _Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> NoReturn:
        raise DataError(f"names {module}.{name}; only dict, list, tuple, str, bytes, int, float, bool, None are read")

    def persistent_load(self, key: object) -> NoReturn:
        raise DataError(f"points to a stored object {key!r}; only plain containers are read")


def read(path: Path) -> Any:
    """The content of a pickle of either Python (2's text as Latin-1); DataError if it holds more than plain values.

    >>> import pickle, tempfile
    >>> path = Path(tempfile.mkdtemp()) / "boxes.pkl"
    >>> _ = path.write_bytes(pickle.dumps({"a": [1, 2.5, None]}))
    >>> read(path)
    {'a': [1, 2.5, None]}
    """
    try:
        return _Plain(io.BytesIO(path.read_bytes()), encoding="latin1").load()
    except DataError as error:
        raise DataError(f"{path}: refused, the pickle {error}") from None
    except Exception as error:  # a damaged pickle may raise nearly anything
        raise DataError(f"{path}: not a readable pickle ({type(error).__name__}: {error})") from None
