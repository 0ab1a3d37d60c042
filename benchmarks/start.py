"""What starting costs: help, import, and detection in a clip of ten seconds from a new process.

    python benchmarks/start.py [--rounds 5]

Each line is the best of ROUNDS new processes, taken in turn: processor time, the clock's, and the ratio to a Python
that does nothing. ``detect`` writes scores, events, overlay and timeline of a drawn clip of 320 x 240 pixels with 25
pictures a second; beside it are the same without overlay and timeline, and detection in a process that has everything
loaded. The model is trained for a few steps: its scores mean nothing, its cost is the usual one.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is loaded
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import resource
import runpy
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import wherewhen
from wherewhen.runtime.hardware import described

CLIP = {"clip": ("libx264", (320, 240), {"preset": "veryfast", "bf": "0"})}
LENGTH = 10  # seconds


class Spent(NamedTuple):
    """Seconds of the processor and of the clock."""

    processor: float
    clock: float


def spent(work: Callable[[], object], who: int) -> Spent:
    """What some work takes; ``who``: this process or its children, of the module ``resource``."""
    before, begin = resource.getrusage(who), time.perf_counter()
    work()
    after, end = resource.getrusage(who), time.perf_counter()
    return Spent(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, end - begin)


def started(*words: str) -> Callable[[], object]:
    """A new Python process with these words."""
    return lambda: subprocess.run([sys.executable, *words], check=True, capture_output=True)


def works_of(clip: Path, run: Path, folder: Path) -> dict[str, Callable[[], object]]:
    """New processes by their name in the table."""
    detect = ["-m", "wherewhen", "detect", str(clip), "--model", str(run), "--device", "cpu", "--quiet"]
    return {
        "python -c pass": started("-c", "pass"),
        "import numpy": started("-c", "import numpy"),
        "import wherewhen": started("-c", "import wherewhen"),
        "wherewhen --help": started("-m", "wherewhen", "--help"),
        "wherewhen detect --help": started("-m", "wherewhen", "detect", "--help"),
        "import torch, av, cv2": started("-c", "import torch, av, cv2"),
        "wherewhen detect": started(*detect, "--output", str(folder / "whole")),
        "wherewhen detect --no-render": started(*detect, "--no-render", "--output", str(folder / "scores")),
    }


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    streams = runpy.run_path(str(Path(__file__).with_name("streams.py")))
    streams["VIDEOS"].update(CLIP)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        clip = streams["drawn"](folder / "clip.mp4", "clip", LENGTH)
        streams["trained"]({"backbone": "motion"}, clip).save(folder / "model.safetensors")
        works = works_of(clip, folder / "model.safetensors", folder)
        least: dict[str, Spent] = {}
        for _ in range(options.rounds):
            for name, work in works.items():
                note(least, name, spent(work, resource.RUSAGE_CHILDREN))
        model = wherewhen.load(folder / "model.safetensors", device="cpu")
        for _ in range(options.rounds):
            note(least, "detection in a running process", spent(lambda: model.detect(clip), resource.RUSAGE_SELF))
    print(f"{described()}\n{table(least)}")


def note(least: dict[str, Spent], name: str, found: Spent) -> None:
    """Keep the least that some work took."""
    before = least.get(name, found)
    least[name] = Spent(min(before.processor, found.processor), min(before.clock, found.clock))


def table(least: Mapping[str, Spent]) -> str:
    """The rows, the first one as 1."""
    first = next(iter(least.values()))
    rows = [
        f"| {name} | {found.processor:.2f} | {found.clock:.2f} | {found.processor / first.processor:.1f} |"
        for name, found in least.items()
    ]
    head = "| | processor, s | clock, s | x nothing |"
    return "\n".join([head, "|---|---:|---:|---:|", *rows])


if __name__ == "__main__":
    main()
