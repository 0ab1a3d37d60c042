"""Arrays that grow in pieces and may exceed memory: beyond a limit they are kept in an anonymous temporary file."""

from __future__ import annotations

import os
import sys
import weakref
import zlib
from typing import IO, Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import NDArray

from wherewhen.core.store import Spare, cache_folder, put, scratch

IN_MEMORY = 2**26  # bytes of one array, 64 MiB
CHUNK = 32  # maps that are packed together


class SpillFile:
    """A file without a name below the cache, for arrays that exceed memory; it is created at the first write.

    It is removed with this object, or when the process ends. Where the disk is full, `write` returns None, and the
    caller keeps the values in memory.

    >>> file = SpillFile()
    >>> start = file.write(np.arange(3, dtype=np.uint8))
    >>> list(file.read(start, 3))
    [0, 1, 2]
    """

    def __init__(self) -> None:
        self.size = 0
        self._file: IO[bytes] | None = None

    def write(self, values: NDArray[Any], start: int | None = None) -> int | None:
        """Write at ``start``, or at the end, and return the offset in bytes; None where the disk is full."""
        with Spare(cache_folder() / "scratch"):
            offset = self.size if start is None else start
            file = self._opened()
            file.seek(offset)
            put(file, values)
            self.size = max(self.size, offset + values.nbytes)
            return offset
        return None

    def read(self, start: int, size: int) -> bytes:
        """``size`` bytes from the offset ``start``; safe to call from several threads where the system has pread."""
        parts, end = list[bytes](), start + size
        while start < end and (part := self._read(start, end - start)):  # the system reads at most 2 GiB at once
            parts.append(part)
            start += len(part)
        return b"".join(parts)

    def _read(self, start: int, size: int) -> bytes:
        file = self._opened()
        if hasattr(os, "pread"):
            return os.pread(file.fileno(), size, start)
        file.seek(start)
        return file.read(size)

    def reserve(self, size: int) -> None:
        """Occupy ``size`` bytes where the system can; OSError if the disk is full, instead of a signal later."""
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(self._opened().fileno(), 0, size)

    def mapped(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> NDArray[Any]:
        """The file as an array, which can be written and outlives this object."""
        return np.memmap(self._opened(), dtype, "r+", shape=shape)

    def _opened(self) -> IO[bytes]:
        if self._file is None:
            self._file = scratch()
            weakref.finalize(self, self._file.close)
        return self._file


class Packed(NDArrayOperatorsMixin):
    """Maps ``(h, w)`` that are appended, as an array ``(T, h, w)`` float32 that is read on access.

    Up to a limit they are in memory, unchanged. Beyond it they are in a file without a name, packed in half precision
    (an error of 0.0005 at most in [0, 1]), so that memory is bounded, unless the disk is full.

    >>> maps = Packed()
    >>> maps.append(np.ones((2, 3, 4)))
    >>> maps.shape, float(maps[-1].max())
    ((2, 3, 4), 1.0)
    """

    ndim, dtype = 3, np.dtype(np.float32)

    def __init__(self, in_memory: int = IN_MEMORY // 2) -> None:
        self.in_memory, self.rows, self._bytes = in_memory, 0, 0
        self._maps: list[NDArray[Any]] = []  # after those in the file, or all
        self._file = SpillFile()
        self._chunks: list[tuple[int, int] | bytes] = []  # offset and length of each in the file
        self._read: tuple[int, NDArray[Any]] | None = None
        self._shape: tuple[int, ...] = ()

    def append(self, maps: NDArray[Any]) -> None:
        """Add maps ``(n, h, w)``; ValueError where they are not like those before, or not finite."""
        if maps.ndim != 3 or (self._shape and maps.shape[1:] != self._shape):
            raise ValueError(f"heat map: expected maps of {self._shape or '(n, h, w)'}, got {maps.shape}")
        if not np.isfinite(maps).all():
            raise ValueError("heat map: every value must be finite")
        self._shape = maps.shape[1:]
        self.rows += len(maps)
        self._maps += list(maps.astype(np.float32))
        self._bytes += maps.nbytes
        while self._bytes > self.in_memory and len(self._maps) >= CHUNK:
            chunk, self._maps = self._maps[:CHUNK], self._maps[CHUNK:]
            self._chunks.append(self._stored(zlib.compress(np.stack(chunk).astype(np.float16).data, 1)))

    def _stored(self, packed: bytes) -> tuple[int, int] | bytes:
        """Their offset and length in the file; where the disk is full, they stay in memory."""
        start = self._file.write(np.frombuffer(packed, np.uint8))
        return packed if start is None else (start, len(packed))

    @property
    def shape(self) -> tuple[int, ...]:
        """As of an array."""
        return (self.rows, *self._shape)

    @property
    def size(self) -> int:
        """As of an array."""
        return int(np.prod(self.shape)) if self.rows else 0  # without maps the shape is unknown

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, rows: Any) -> Any:
        """One map by its number, or those of a slice or of an array of numbers."""
        if isinstance(rows, slice):
            rows = range(*rows.indices(self.rows))
        if isinstance(rows, int | np.integer):
            return self._map(int(rows) + (self.rows if rows < 0 else 0))
        return np.stack([self._map(int(row)) for row in rows])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:], dtype)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **more: Any) -> Any:
        return getattr(ufunc, method)(
            *(np.asarray(value) if isinstance(value, Packed) else value for value in inputs), **more
        )

    def whole(self) -> NDArray[Any] | Packed:
        """All maps: an array where they are in memory, else this object."""
        return self if self._chunks else np.stack(self._maps)

    def max(self) -> float:
        """The highest value."""
        return max(float(self._map(row).max()) for row in range(self.rows))

    def __reduce__(self) -> tuple[Any, ...]:
        return np.asarray, (self[:],)

    def _map(self, row: int) -> NDArray[Any]:
        if not 0 <= row < self.rows:
            raise IndexError(f"map {row} of {self.rows}")
        number, inside = divmod(row, CHUNK)
        if number >= len(self._chunks):
            return self._maps[row - CHUNK * len(self._chunks)]
        if self._read is None or self._read[0] != number:
            packed = self._packed(self._chunks[number])
            shape = (CHUNK, *self._shape)
            self._read = number, np.frombuffer(zlib.decompress(packed), np.float16).reshape(shape)
        heat: NDArray[Any] = self._read[1][inside].astype(np.float32)
        return heat

    def _packed(self, place: tuple[int, int] | bytes) -> bytes:
        if isinstance(place, bytes):
            return place
        return self._file.read(*place)


class Spool:
    """Collects pieces ``(n, ...)`` of one array; `whole` is the array, mapped from a file where it is large.

    The file is below the cache, without a name, so that it disappears with the process.

    >>> spool = Spool()
    >>> spool.append(np.zeros((2, 3)))
    >>> spool.append(np.ones((1, 3)))
    >>> spool.whole().shape
    (3, 3)
    """

    def __init__(self, in_memory: int = IN_MEMORY) -> None:
        self.in_memory, self.rows, self.bytes = in_memory, 0, 0
        self.parts: list[NDArray[Any]] = []
        self.file: SpillFile | None = None

    def append(self, piece: NDArray[Any]) -> None:
        """Add rows; ValueError where they are not like those before."""
        first = self.parts[0] if self.parts else piece
        if (piece.dtype, piece.shape[1:]) != (first.dtype, first.shape[1:]):
            raise ValueError(f"expected rows {first.dtype} {first.shape[1:]}, got {piece.dtype} {piece.shape[1:]}")
        self.rows += len(piece)
        self.bytes += piece.nbytes
        self.parts.append(piece)
        if self.file is None and self.bytes > self.in_memory:
            self.file = SpillFile()
        if self.file is not None:
            self._write(self.file)

    def _write(self, file: SpillFile) -> None:
        """Move the parts in memory to the file; where the disk is full, all data is kept in memory from then on."""
        first, before = self.parts[0], file.size
        if all(file.write(part) is not None for part in self.parts):
            self.parts = [first[:0].copy()]
            return
        rows = np.frombuffer(file.read(0, before), first.dtype)
        self.parts = [rows.reshape(-1, *first.shape[1:]), *self.parts]
        self.file, self.in_memory = None, sys.maxsize

    def whole(self) -> NDArray[Any]:
        """All rows; ValueError without any."""
        if not self.parts:
            raise ValueError("nothing was collected")
        if self.file is None:
            return np.concatenate(self.parts)
        return self.file.mapped(self.parts[0].dtype, (self.rows, *self.parts[0].shape[1:]))
