"""Kill extraction at random moments, again and again, and compare what is left in the end with an undisturbed run.

    python benchmarks/kills.py [--kills 30] [--workers 1,4] [--ray no,yes] [--clips 12] [--seconds 6]

Each row: a store is filled by ``wherewhen extract`` whose whole process group is killed (SIGKILL) at a random moment,
then started again, until it was killed so often; where it finishes before, a fresh store is begun. Every third kill
waits from its moment on until a file is half written. Every store is then finished undisturbed and compared with the
reference, file by file and bit by bit.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple


class Row(NamedTuple):
    """What became of the stores of one setting."""

    workers: int
    ray: bool
    kills: int
    stores: int
    drafts: int
    different: int
    left: int
    seconds: float


def contents(store: Path) -> dict[str, str]:
    """sha256 of every file below a folder, hidden ones too."""
    files = [path for path in sorted(store.rglob("*")) if path.is_file()]
    return {path.relative_to(store).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def start(data: Path, store: Path, workers: int, ray: bool) -> subprocess.Popen[bytes]:
    """An extraction in a process group of its own."""
    words = [sys.executable, "-m", "wherewhen", "extract", str(data), "--output", str(store), "--quiet"]
    words += ["--workers", str(workers), *(["--distributed", "ray"] if ray else [])]
    return subprocess.Popen(words, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def finish(data: Path, store: Path, workers: int, ray: bool) -> float:
    """Run to the end; how long it took."""
    began = time.perf_counter()
    if code := start(data, store, workers, ray).wait():
        raise SystemExit(f"extraction failed with exit code {code}")
    return time.perf_counter() - began


def half(store: Path) -> list[Path]:
    """Files that are being written, or were when their process was killed."""
    return [path for path in store.rglob(".*") if "~" in path.name] if store.exists() else []


def over(running: subprocess.Popen[bytes], store: Path, seconds: float, wait: bool) -> bool:
    """Whether it ends before its moment, or, where it shall wait, before a file is seen half written."""
    try:
        running.wait(seconds)
        return True
    except subprocess.TimeoutExpired:
        while wait and running.poll() is None and not half(store):
            time.sleep(0.0005)
        return running.poll() is not None


def torment(
    data: Path, folder: Path, workers: int, ray: bool, kills: int, reference: dict[str, str], rng: random.Random
) -> Row:
    """Fill stores under so many kills, finish each and compare."""
    began = time.perf_counter()
    whole = finish(data, folder / "rehearsal", workers, ray)
    done, drafts, different, left, number = 0, 0, 0, 0, 0
    while done < kills:
        store = folder / f"{workers}-{ray}-{number}"
        number += 1
        while done < kills:
            running = start(data, store, workers, ray)
            if over(running, store, rng.uniform(0.05, 1) * whole, done % 3 == 2):
                break  # done before its time
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()
            done += 1
            drafts += len(half(store))
        finish(data, store, workers, ray)
        found = contents(store)
        left += sum("~" in name for name in found)
        different += {k: v for k, v in found.items() if "~" not in k} != reference
        shutil.rmtree(store)
    shutil.rmtree(folder / "rehearsal")
    return Row(workers, ray, done, number, drafts, different, left, time.perf_counter() - began)


def main() -> None:
    """Print the table, a row at a time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--workers", default="1,4")
    parser.add_argument("--ray", default="no,yes")
    parser.add_argument("--clips", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    rng = random.Random(chosen.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        half = str(chosen.clips // 2)
        words = ["toy", "--output", str(folder / "data"), "--normal-clips", half, "--anomalous-clips", half]
        words += ["--seconds", str(chosen.seconds), "--width", "160", "--height", "120", "--quiet"]
        subprocess.run([sys.executable, "-m", "wherewhen", *words], check=True, stdout=subprocess.DEVNULL)
        finish(folder / "data", folder / "reference", 1, False)
        reference = contents(folder / "reference")
        print(f"reference: {len(reference)} files\n")
        print("| workers | Ray | kills | stores | drafts left by kills | stores that differ | drafts at the end | s |")
        print("|---:|---|---:|---:|---:|---:|---:|---:|", flush=True)
        for ray in chosen.ray.split(","):
            for workers in map(int, chosen.workers.split(",")):
                row = torment(folder / "data", folder, workers, ray == "yes", chosen.kills, reference, rng)
                told = [row.workers, "yes" if row.ray else "no", *row[2:-1], f"{row.seconds:.0f}"]
                print(f"| {' | '.join(map(str, told))} |", flush=True)


if __name__ == "__main__":
    main()
