"""Memory stays with the process inside a block, and goes back at its end."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import pytest

from wherewhen.runtime import allocation
from wherewhen.runtime.allocation import kept_memory

has_glibc = sys.platform == "linux" and hasattr(ctypes.CDLL(None), "gnu_get_libc_version")
is_decided = any(name in os.environ for name in allocation.OF_USER)
needs_glibc = pytest.mark.skipif(not has_glibc or is_decided, reason="no glibc, or its variables are set")

PROGRAM = """
import resource
from pathlib import Path
import numpy as np
from wherewhen.runtime.allocation import kept_memory

LARGE = 2**26  # bytes, beyond the largest dynamic threshold

def faults():  # pages that come with the tenth large array in a row
    for _ in range(9):
        np.ones(LARGE, np.uint8)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(LARGE, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

before = resident()
try:
    with kept_memory():
        with kept_memory():
            pass
        print(faults())
        raise KeyError
except KeyError:
    print(faults())
print(resident() - before)
"""


@needs_glibc
def test_memory_is_used_again_inside_the_block_alone() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120, check=True)
    inside, outside, more = map(int, done.stdout.split())
    assert inside <= 2 < outside
    assert more < 2**25


@pytest.mark.parametrize("user", [False, True])
def test_elsewhere_and_where_the_user_decides_nothing_changes(user: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if user:
        monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.mmap_max=3")
    else:
        monkeypatch.setattr(allocation.sys, "platform", "darwin")
    monkeypatch.setattr(allocation.ctypes, "CDLL", lambda name: pytest.fail("no library is asked"))
    with kept_memory():
        pass
