"""Memory that the C library keeps for the next step of a computation, in place of new pages from the system."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4  # parameters of glibc's mallopt
USUAL_MMAP_MAX, LARGEST_DYNAMIC = 65536, 32 * 2**20  # its own values: the second is where its dynamic threshold ends


@contextmanager
def kept_memory() -> Iterator[None]:
    """Inside the block freed memory stays with the process, whose largest need it is anyway; then it is given back.

    Arrays beyond 32 MiB otherwise come as new pages from the system each time, which it fills with zeros: a fifth to a
    third of a step of training. Only with glibc; elsewhere nothing changes.

    >>> with kept_memory():
    ...     pass
    """
    libc = _glibc()
    if libc is None:
        yield
        return
    libc.mallopt(MMAP_MAX, 0)
    libc.mallopt(TRIM_THRESHOLD, -1)
    try:
        yield
    finally:
        libc.mallopt(MMAP_MAX, USUAL_MMAP_MAX)
        libc.mallopt(MMAP_THRESHOLD, LARGEST_DYNAMIC)
        libc.mallopt(TRIM_THRESHOLD, 2 * LARGEST_DYNAMIC)
        libc.malloc_trim(0)


def _glibc() -> Any:
    """The C library, if it is glibc, else None."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)
    return libc if all(hasattr(libc, name) for name in ("gnu_get_libc_version", "mallopt", "malloc_trim")) else None
