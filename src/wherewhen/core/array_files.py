"""Arrays with a passport in one safetensors file: written whole or not at all, read or mapped within limits."""

from __future__ import annotations

import json
import math
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wherewhen.core.documents import json_of
from wherewhen.core.errors import StoreError, os_reason
from wherewhen.core.store import atomic, pieces, plain

Arrays = dict[str, NDArray[Any]]
MOST_HEAD = 2**24  # bytes of a file's head, more than any of ours


def save(
    path: str | Path, arrays: Mapping[str, NDArray[Any]], passport: Mapping[str, Any], *, ours: bool = False
) -> None:
    """Write named arrays, and the passport with their settings, as one safetensors file; see `atomic`."""
    header: dict[str, Any] = {"__metadata__": {"passport": json.dumps(plain(passport), sort_keys=True)}}
    whole = {name: np.asarray(array) for name, array in arrays.items()}
    names, start = sorted(whole, key=lambda name: (-whole[name].itemsize, name)), 0
    for name in names:
        array = whole[name]
        end = start + array.nbytes
        header[name] = {"dtype": _dtype(array), "shape": list(array.shape), "data_offsets": [start, end]}
        start = end
    # The writer of the library needs all bytes in memory at once; features of long videos are larger.
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    with atomic(path, ours=ours) as temporary, temporary.open("wb") as file:
        file.write(len(head).to_bytes(8, "little") + head)
        for name in names:
            for rows in pieces(whole[name].reshape(whole[name].shape or (1,))):
                file.write(np.ascontiguousarray(rows).data)


def _dtype(array: NDArray[Any]) -> str:
    """The safetensors name of a type: F32, I64, U8, BOOL."""
    if array.dtype == bool:
        return "BOOL"
    if array.dtype.kind not in "fiu":
        raise StoreError(f"arrays of {array.dtype} can't be written; expected numbers")
    return f"{array.dtype.kind.upper()}{8 * array.itemsize}"


def load(
    path: str | Path, expect: Mapping[str, Any] | None = None, *, advice: str = "delete it and run again"
) -> tuple[Arrays, dict[str, Any]]:
    """Read arrays and passport; StoreError if the file is damaged or its passport is not the expected one.

    ``advice``: the remedy in the error for a damaged file.
    """
    arrays, passport = _opened(path, advice, lambda start: np.fromfile(path, np.uint8, offset=start))
    if expect is not None:
        expected = plain(expect)
        keys = sorted(key for key in expected.keys() | passport.keys() if expected.get(key) != passport.get(key))
        if keys:
            differences = "; ".join(f"{key}: expected {expected.get(key)!r}, got {passport.get(key)!r}" for key in keys)
            raise StoreError(f"{path}: has other settings ({differences})")
    return arrays, passport


def mapped(path: str | Path) -> tuple[Arrays, dict[str, Any]]:
    """Arrays that are read from disk on access, and the passport; StoreError if the file is damaged."""
    return _opened(path, "delete it and run again", lambda start: np.memmap(path, np.uint8, "r")[start:])


def _opened(path: str | Path, advice: str, data: Callable[[int], NDArray[Any]]) -> tuple[Arrays, dict[str, Any]]:
    """Arrays over the bytes that ``data`` returns from an offset on, and the passport."""
    try:
        status = Path(path).stat()
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is a folder, pipe or device")
        with Path(path).open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(MOST_HEAD, status.st_size - 8):
                raise ValueError("no head")
            head = json_of(file.read(length))
        metadata = head.pop("__metadata__", None) if isinstance(head, dict) else None
        if not isinstance(head, dict):
            raise ValueError("no head")
        text = metadata.get("passport") if isinstance(metadata, dict) else None
        passport = json_of(text) if isinstance(text, str) else None
        whole = data(8 + length)
        arrays = {name: _view(whole, entry) for name, entry in head.items()}
    except FileNotFoundError:
        raise StoreError(f"{path}: no such file") from None
    except OSError as error:
        raise StoreError(f"{path}: can't be read: {os_reason(error)}") from None
    except ValueError as error:
        raise StoreError(f"{path}: not a readable safetensors file ({error}); {advice}") from None
    if not isinstance(passport, dict):
        raise StoreError(f"{path}: has no passport, so its settings are unknown")
    return arrays, passport


_NUMBERS = {"BOOL": np.dtype(bool)} | {
    f"{kind}{bits}": np.dtype(f"{kind.lower()}{bits // 8}")
    for kind, sizes in (("F", (16, 32, 64)), ("I", (8, 16, 32, 64)), ("U", (8, 16, 32, 64)))
    for bits in sizes
}


def _view(data: NDArray[np.uint8], entry: Any) -> NDArray[Any]:
    """A tensor as the file's bytes; ValueError where it would exceed them."""
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError("a tensor without type, shape and place")
    kind, shape, place = (_NUMBERS.get(str(entry["dtype"])), entry["shape"], entry["data_offsets"])
    if kind is None or not all(
        isinstance(listed, list) and all(type(number) is int and number >= 0 for number in listed)
        for listed in (shape, place)
    ):
        raise ValueError("a tensor of unknown type or shape")
    if len(place) != 2 or not place[0] <= place[1] <= len(data):
        raise ValueError("a tensor outside the file; it is not whole")
    if math.prod(shape) * kind.itemsize != place[1] - place[0]:
        raise ValueError("a tensor whose shape doesn't fit its size")
    view: NDArray[Any] = np.asarray(data[place[0] : place[1]]).view(kind).reshape(shape)
    return view
