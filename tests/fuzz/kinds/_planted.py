"""A kind with faults planted in it, to see that the fuzzer finds each way to fail."""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from pathlib import Path
from random import Random

from case import Kind, Refused, Wrong, check_command

WAYS = (
    "right", "refused", "error", "foreign", "traceback", "no name", "no cause", "wrong", "hang", "sleep", "large",
    "too large", "abort", "exit",
)  # fmt: skip


def seeds(corpus: Path) -> None:
    for number, way in enumerate(WAYS):
        (corpus / f"{number:02}").write_text(way)


def mutated(rng: Random, name: str, data: bytes) -> bytes:
    return data + b" " * rng.randrange(9)


def judge(file: Path, corpus: Path) -> None:
    from wherewhen.core.errors import DataError

    match file.read_text().strip():
        case "refused":
            raise Refused("no")
        case "error":
            raise DataError(f"{file}: no")
        case "foreign":
            raise KeyError("x")
        case "traceback":
            try:
                raise ValueError("x")
            except ValueError:
                check_command(1, traceback.format_exc() + "error: x\n")
        case "no name":
            raise DataError("the file can't be read")
        case "no cause":
            raise DataError("")
        case "wrong":
            raise Wrong("wrong")
        case "hang":
            while True:
                pass
        case "sleep":
            time.sleep(1000)
        case "large":
            sys.stdout.write(f"{len(b'x' * 2**27)}")
        case "too large":
            bytearray(2**40)
        case "abort":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "exit":
            os._exit(0)


KIND = Kind(seeds, mutated, judge, good=False)
