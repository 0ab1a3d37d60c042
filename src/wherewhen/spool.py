"""Arrays that come piece by piece and may outgrow memory: beyond a limit they lie in a file that nobody else sees."""

from __future__ import annotations

import sys
import weakref
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from wherewhen.store import Spare, cache_folder, put, scratch

IN_MEMORY = 2**26  # bytes of one array, 64 MiB


class Spool:
    """Collects pieces ``(n, ...)`` of one array; `whole` is the array, mapped from a file where it is large.

    The file lies below the cache without a name, so that it is gone with the process, however that ends.

    >>> spool = Spool()
    >>> spool.append(np.zeros((2, 3)))
    >>> spool.append(np.ones((1, 3)))
    >>> spool.whole().shape
    (3, 3)
    """

    def __init__(self, in_memory: int = IN_MEMORY) -> None:
        self.in_memory, self.rows = in_memory, 0
        self.kept: list[NDArray[Any]] = []
        self.file: IO[bytes] | None = None

    def append(self, piece: NDArray[Any]) -> None:
        """Add rows; ValueError where they are not like those before."""
        first = self.kept[0] if self.kept else piece
        if (piece.dtype, piece.shape[1:]) != (first.dtype, first.shape[1:]):
            raise ValueError(f"expected rows {first.dtype} {first.shape[1:]}, got {piece.dtype} {piece.shape[1:]}")
        self.rows += len(piece)
        self.kept.append(piece)
        if self.file is None and sum(one.nbytes for one in self.kept) > self.in_memory:
            self.file = scratch()
            weakref.finalize(self, self.file.close)
        if self.file is not None:
            self._write(self.file)

    def _write(self, file: IO[bytes]) -> None:
        """Move what is in memory to the file; where the disk is full, all comes back to memory and stays there."""
        done = self.rows - sum(map(len, self.kept))
        with Spare(cache_folder() / "scratch"):
            for one in self.kept:
                put(file, one)
            self.kept = [self.kept[0][:0].copy()]
            return
        first = self.kept[0]
        file.seek(0)
        row = first.dtype.itemsize * int(np.prod(first.shape[1:]))
        before = np.frombuffer(file.read(done * row), first.dtype).reshape(done, *first.shape[1:])
        self.kept = [before, *self.kept]
        self.file, self.in_memory = None, sys.maxsize

    def whole(self) -> NDArray[Any]:
        """All rows; ValueError where none ever came."""
        if not self.kept:
            raise ValueError("nothing was collected")
        if self.file is None:
            return np.concatenate(self.kept)
        self.file.flush()
        return np.memmap(self.file, self.kept[0].dtype, "r+", shape=(self.rows, *self.kept[0].shape[1:]))
