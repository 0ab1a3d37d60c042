"""Buffers of a thread, reused from picture to picture because allocation of large arrays is slow."""

from __future__ import annotations

from math import prod
from threading import local
from typing import Any

import numpy as np
from numpy.typing import NDArray


class _Rooms(local):
    def __init__(self) -> None:
        self.by_name: dict[tuple[str, type[np.generic]], NDArray[Any]] = {}


_ROOMS = _Rooms()


def room(name: str, *shape: int, kind: type[np.generic] = np.float32) -> NDArray[Any]:
    """An array of undefined values; it overwrites the previous one of this name and type in this thread."""
    size, key = prod(shape), (name, kind)
    if key not in _ROOMS.by_name or _ROOMS.by_name[key].size < size:
        _ROOMS.by_name[key] = np.empty(size, kind)
    return _ROOMS.by_name[key][:size].reshape(shape)
