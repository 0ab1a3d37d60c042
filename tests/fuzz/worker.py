"""The process that tries inputs: a case a line comes in, an answer a line goes out; the system enforces the limits.

Limits: `MEMORY` bytes of address space, `DISK` bytes of one file, and for each case seconds of the processor and of the
clock. A case that takes longer ends the process, with its stack on standard error.
"""

from __future__ import annotations

import faulthandler
import gc
import io
import json
import os
import resource
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from case import REFUSED, RIGHT, WRONG, Refused, Wrong, check_message, drawn, kind

MEMORY = 3 * 2**30
DISK = 2**30
GROWTH = 2**30  # bytes of memory that one case may take beside what is loaded


def bounded(memory: int = MEMORY) -> None:
    """Bound the address space of this process and the size of files that it writes."""
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (DISK, DISK))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def timed(cpu: float, wall: float) -> None:
    """End the process after so many seconds of the processor or of the clock from now; 0: no limit."""
    signal.setitimer(signal.ITIMER_PROF, cpu)
    signal.setitimer(signal.ITIMER_REAL, wall)


def _resident(what: str) -> int:
    """``VmRSS`` or ``VmHWM`` in bytes; 0 where the system doesn't tell."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{what}:")), 0)


def _forget_peak() -> None:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def _place(error: BaseException) -> str:
    """Where an exception came from: the last line of ours, or else the last of all."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/wherewhen/" in frame.filename]
    told = [f"{Path(f.filename).parent.name}/{Path(f.filename).name}:{f.lineno} {f.name}" for f in (own or frames)[-1:]]
    return " ".join(told)


def judged(name: str, file: Path, corpus: Path) -> dict[str, Any]:
    """What comes of an input."""
    from wherewhen.core.errors import WherewhenError

    try:
        try:
            kind(name).judge(file, corpus)
            return {"outcome": RIGHT}
        except Refused as error:
            return {"outcome": REFUSED, "why": str(error)}
        except WherewhenError as error:
            check_message(str(error), file.name, *file.parts[-2:-1])
            return {"outcome": REFUSED, "why": f"{type(error).__name__}: {error}"}
    except Wrong as error:
        return {"outcome": WRONG, "why": str(error), "way": error.way, "where": _place(error)}
    except Exception as error:
        told = {"way": type(error).__name__, "why": f"{type(error).__name__}: {str(error)[:500]}"}
        return {"outcome": WRONG, **told, "where": _place(error), "trace": traceback.format_exc()[-6000:]}


def seeded(order: dict[str, Any]) -> Path:
    """The seed files of a kind, made when first asked for."""
    corpus = Path(order["work"], "corpus", order["kind"])
    if not corpus.exists():
        corpus.mkdir(parents=True)
        kind(order["kind"]).seeds(corpus)
    return corpus


def answered(order: dict[str, Any]) -> dict[str, Any]:
    """Try a case; its input stays in the folder ``input``, until the next one."""
    timed(0, order["seeds"])
    name, work, corpus = order["kind"], Path(order["work"]), seeded(order)
    given = work / "input"
    if "input" in order:
        given, file = Path(order["input"]), Path(order["file"])
    else:
        shutil.rmtree(given, ignore_errors=True)
        file, data = drawn(name, order["seed"], order["number"], corpus)
        (given / file).parent.mkdir(parents=True)
        (given / file).write_bytes(data)
        del data
    case = work / f"case-{name}"
    shutil.rmtree(case, ignore_errors=True)
    shutil.copytree(given, case)
    gc.collect()
    _forget_peak()
    before, began = _resident("VmRSS"), time.perf_counter()
    timed(order["cpu"], order["wall"])
    answer = judged(name, case / file, corpus)
    timed(0, 0)
    answer |= {"file": str(file), "seconds": time.perf_counter() - began}
    answer["grown"] = grown = max(0, _resident("VmHWM") - before)
    shutil.rmtree(case, ignore_errors=True)
    if grown > order["growth"] and answer["outcome"] != WRONG:
        answer |= {"outcome": WRONG, "way": "memory", "why": f"took {grown / 2**20:.0f} MB of memory"}
    good = "input" not in order and order["number"] < len(kind(name).files(corpus)) and kind(name).good
    if good and answer["outcome"] == REFUSED:
        answer |= {"outcome": WRONG, "way": "a good file is refused", "why": f"a good file is refused: {answer['why']}"}
    return answer


def _load() -> None:
    """Load the libraries, so that their size is not counted as that of an input."""
    import av  # noqa: F401
    import cv2  # noqa: F401
    import torch

    torch.set_num_threads(1)


def main() -> None:
    """Answer cases until there are none."""
    bounded()
    orders, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # whatever libraries print goes to the log, not among the answers
    sys.stdout = io.TextIOWrapper(os.fdopen(1, "wb"), line_buffering=True)
    faulthandler.enable(2)
    for stop in (signal.SIGPROF, signal.SIGALRM):
        faulthandler.register(stop, 2, all_threads=True, chain=True)  # the stack, then the end
    if "--bare" not in sys.argv:
        _load()
    gc.collect()
    gc.freeze()  # what is loaded by now is not looked through again after each case
    for line in orders:
        answers.write(json.dumps(answered(json.loads(line))) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
