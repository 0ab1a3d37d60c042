"""The worker as the fuzzer sees it: asked for a case, started when needed, replaced when a case has ended it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from typing import Any

from case import HERE, WRONG
from worker import GROWTH

CPU = 30.0  # seconds of the processor that one case may take
WALL = 120.0  # seconds of the clock: a process that waits takes no processor, one on a busy machine is slow
SEEDS = 600.0  # seconds for making the seed files of a kind
SPARE = 60.0  # seconds after which a worker that should have ended by itself is ended
SIGNALS = {-signal.SIGPROF: "hangs", -signal.SIGALRM: "hangs"}


@dataclass
class Worker:
    """A process that tries cases in the folder ``work``; ``loads`` the libraries before the first one."""

    work: Path
    cpu: float = CPU
    wall: float = WALL
    growth: int = GROWTH
    loads: bool = True
    process: subprocess.Popen[str] | None = None

    def ask(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """What came of a case; a hang or the end of the process is an answer too."""
        process = self._started()
        assert process.stdin and process.stdout
        limits = {"cpu": self.cpu, "wall": self.wall, "growth": self.growth, "seeds": SEEDS}
        process.stdin.write(json.dumps({**order, **limits, "work": str(self.work)}) + "\n")
        process.stdin.flush()
        with DefaultSelector() as ready:
            ready.register(process.stdout, EVENT_READ)
            late = not ready.select(SEEDS + self.wall + SPARE)
        if not late and (line := process.stdout.readline()):
            answer: dict[str, Any] = json.loads(line)
            return answer
        code = None if late else process.wait()
        self.stop()
        way = "hangs" if late else SIGNALS.get(code or 0, f"the process died ({code})")
        return {"outcome": WRONG, "way": way, "why": way, "where": self._stack(), "trace": self._told()}

    def stop(self) -> None:
        """End the process and those that it started."""
        if self.process:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.communicate()
            self.process = None

    def _started(self) -> subprocess.Popen[str]:
        if self.process is None:
            (self.work / "cache").mkdir(parents=True, exist_ok=True)
            threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
            told = {"WHEREWHEN_CACHE": str(self.work / "cache"), "MALLOC_ARENA_MAX": "2", "COLUMNS": "80"}
            with (self.work / "worker.log").open("w") as log:
                self.process = subprocess.Popen(
                    [sys.executable, str(HERE / "worker.py"), *(["--bare"] * (not self.loads))],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
                    env={**os.environ, **threads, **told}, cwd=self.work / "cache", start_new_session=True,
                )  # fmt: skip
        return self.process

    def _told(self) -> str:
        return (self.work / "worker.log").read_text(errors="replace")[-6000:]

    def _stack(self) -> str:
        """The innermost line of ours in the stack that the worker wrote."""
        lines = [line.strip() for line in self._told().splitlines() if line.strip().startswith("File ")]
        own = [line for line in lines if "/wherewhen/" in line] or lines
        return own[0].rpartition("wherewhen/")[2][:120] if own else ""
