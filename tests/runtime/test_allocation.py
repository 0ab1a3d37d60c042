"""Memory stays with the process inside a block, and goes back at its end."""

from __future__ import annotations

import ctypes
import resource
import sys
from pathlib import Path

import numpy as np
import pytest

from wherewhen.runtime import allocation
from wherewhen.runtime.allocation import kept_memory

LARGE = 2**26  # bytes, beyond the largest dynamic threshold
has_glibc = sys.platform == "linux" and hasattr(ctypes.CDLL(None), "gnu_get_libc_version")
needs_glibc = pytest.mark.skipif(not has_glibc, reason="no glibc")


def faults() -> int:
    """Pages that come with the tenth large array in a row."""
    for _ in range(9):
        np.ones(LARGE, np.uint8)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(LARGE, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def resident() -> int:
    """Bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@needs_glibc
def test_memory_is_used_again_inside_the_block_alone() -> None:
    before = resident()
    with kept_memory():
        with kept_memory():
            pass
        inside = faults()
    outside = faults()
    assert inside <= 2 < outside
    assert resident() - before < LARGE


@needs_glibc
def test_an_error_ends_it_too() -> None:
    with pytest.raises(ValueError, match="of the block"), kept_memory():
        raise ValueError("of the block")
    assert faults() > 2


@pytest.mark.parametrize("user", [False, True])
def test_without_glibc_or_where_the_user_decides_nothing_is_changed(
    user: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if user:
        monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.mmap_max=3")
    else:
        monkeypatch.setattr(allocation.sys, "platform", "darwin")
    monkeypatch.setattr(allocation.ctypes, "CDLL", lambda name: pytest.fail("no library is asked"))
    with kept_memory():
        pass
