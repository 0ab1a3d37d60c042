"""Mutate inputs of every kind and try them, for so many seconds; only a right result or an error of ours will do.

python tests/fuzz/run.py --seconds 60 --seed 1            # all kinds, in turn
python tests/fuzz/run.py --kinds video,model --seconds 600
python tests/fuzz/run.py --replay fuzz-findings/video-1-204

The seed alone says which inputs come, one after the other; the time says how far it goes. Each is tried in one worker
process with limits of time and memory; a worker that hangs or dies is a finding too, and replaced. Inputs that fail
are kept with what was found, ready for ``--replay``. Exit code 1 where there are findings.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from bounds import Worker
from case import REFUSED, RIGHT, WRONG, names
from worker import bounded

KEPT = 3  # inputs kept of each way to fail


@dataclass
class Tally:
    """What came of all cases so far."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    ways: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    seconds: Counter[str] = field(default_factory=Counter)
    largest: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, answer: dict[str, Any]) -> int:
        """Count an answer; gives how often a case failed in this way so far, 0 for one that didn't."""
        self.outcomes[name, answer["outcome"]] += 1
        self.seconds[name] += answer.get("seconds", 0.0)
        self.largest[name] = max(self.largest.get(name, 0), answer.get("grown", 0))
        if answer["outcome"] != WRONG:
            return 0
        way = (name, answer["way"], answer.get("where", ""))
        self.ways[way] += 1
        return self.ways[way]

    def table(self) -> str:
        """A line for each kind: how many inputs were tried, and what came of them."""
        rows = [f"{'kind':<14}{'inputs':>8}{'right':>8}{'refused':>9}{'wrong':>7}{'ms each':>9}{'most MB':>9}"]
        for name in sorted({name for name, _ in self.outcomes}):
            right, refused, wrong = (self.outcomes[name, outcome] for outcome in (RIGHT, REFUSED, WRONG))
            total = right + refused + wrong
            each, most = 1000 * self.seconds[name] / total, self.largest[name] / 2**20
            rows.append(f"{name:<14}{total:>8}{right:>8}{refused:>9}{wrong:>7}{each:>9.0f}{most:>9.0f}")
        ways = [f"{count:>6} x {name}: {way}  {where}" for (name, way, where), count in self.ways.most_common()]
        return "\n".join([*ways, *rows, f"{sum(self.outcomes.values())} inputs, {len(self.ways)} ways to fail"])


def cases(chosen: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Kinds and numbers of cases, one of each kind in turn, without end."""
    return ((name, number) for number in count() for name in chosen)


def tried(worker: Worker, save: Path, tally: Tally, name: str, seed: int, number: int) -> dict[str, Any]:
    """Try a case; the first ones that fail in a way are kept in ``save`` and told."""
    answer = worker.ask({"kind": name, "seed": seed, "number": number})
    if 0 < (times := tally.add(name, answer)) <= KEPT:
        folder = save / f"{name}-{seed}-{number}"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(worker.work / "input", folder / "input")
        told = {"kind": name, "seed": seed, "number": number, **answer}
        (folder / "finding.json").write_text(json.dumps(told, indent=1))
        if times == 1:
            print(f"finding: {name} {number}: {answer['why'][:300]}  {answer.get('where', '')}")
            print(f"    python tests/fuzz/run.py --replay {folder}", flush=True)
    return answer


def replay(folder: Path, worker: Worker) -> dict[str, Any]:
    """Try a kept input again."""
    told, given = json.loads((folder / "finding.json").read_text()), folder.absolute() / "input"
    file = next(path for path in given.rglob("*") if path.is_file()).relative_to(given)
    return worker.ask({"kind": told["kind"], "input": str(given), "file": str(file)})


def fuzz(
    worker: Worker, save: Path, chosen: Sequence[str], seed: int, seconds: float, most: float = float("inf")
) -> int:
    """Try cases until the time is over, at least one of each kind and at most ``most``; print what was found."""
    tally, until = Tally(), time.monotonic() + seconds
    try:
        for name, number in cases(chosen):
            if number >= most or (number and time.monotonic() > until):
                break
            tried(worker, save, tally, name, seed, number)
    except KeyboardInterrupt:
        print("stopped")
    print(tally.table())
    return int(bool(tally.ways))


def main() -> int:
    """Run as told on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to try inputs (default 60)")
    parser.add_argument("--seed", type=int, default=0, help="which inputs (default 0)")
    parser.add_argument("--most", type=float, default=float("inf"), help="inputs of each kind at most (default any)")
    parser.add_argument("--kinds", default="", help=f"some of {','.join(names())} (default all)")
    parser.add_argument("--save", type=Path, default=Path("fuzz-findings"), help="folder for inputs that fail")
    parser.add_argument("--replay", type=Path, help="a folder of --save: try its input again")
    told = parser.parse_args()
    bounded()
    with tempfile.TemporaryDirectory(prefix="wherewhen-fuzz-") as work:
        worker = Worker(Path(work))
        try:
            if told.replay is None:
                chosen = [name for name in told.kinds.split(",") if name] or names()
                return fuzz(worker, told.save, chosen, told.seed, told.seconds, told.most)
            answer = replay(told.replay, worker)
            print("\n".join(f"{key}: {value}" for key, value in answer.items()))
            return int(answer["outcome"] == WRONG)
        finally:
            worker.stop()


if __name__ == "__main__":
    sys.exit(main())
