"""Memory that the C library keeps for the next step of a computation, in place of new pages from the system."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4  # parameters of glibc's mallopt
USUAL_MMAP_MAX, LARGEST_DYNAMIC = 65536, 32 * 2**20  # its own values: the second is where its dynamic threshold ends
OF_USER = ("GLIBC_TUNABLES", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_MAX_")
"""Variables with which a user decides it."""

_lock = Lock()
_open = 0  # number of blocks that are entered


@contextmanager
def kept_memory() -> Iterator[None]:
    """Inside the block memory that the main thread frees stays with the process; then it is given back.

    Arrays beyond 32 MiB otherwise come as new pages from the system each time, which it fills with zeros: up to half of
    a step of training. Blocks of several threads are one. Only with glibc, and where the user has not set its
    variables; elsewhere nothing changes.

    >>> with kept_memory():
    ...     pass
    """
    libc = _glibc()
    if libc is None:
        yield
        return
    _count(libc, 1)
    try:
        yield
    finally:
        _count(libc, -1)


def _count(libc: Any, change: int) -> None:
    """Note the begin or end of a block; the first and the last one change what is kept."""
    global _open
    with _lock:
        _open += change
        if change == _open == 1:
            libc.mallopt(MMAP_MAX, 0)
            libc.mallopt(TRIM_THRESHOLD, -1)
        elif not _open:
            libc.mallopt(MMAP_MAX, USUAL_MMAP_MAX)
            libc.mallopt(MMAP_THRESHOLD, LARGEST_DYNAMIC)
            libc.mallopt(TRIM_THRESHOLD, 2 * LARGEST_DYNAMIC)
            libc.malloc_trim(0)


def _glibc() -> Any:
    """The C library, if it is glibc with its usual settings, else None."""
    if sys.platform != "linux" or any(name in os.environ for name in OF_USER):
        return None
    libc = ctypes.CDLL(None)
    return libc if all(hasattr(libc, name) for name in ("gnu_get_libc_version", "mallopt", "malloc_trim")) else None
