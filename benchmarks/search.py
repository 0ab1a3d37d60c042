"""What an index of many hours costs: python benchmarks/search.py [hours] [entries per hour] [length].

Synthetic unit vectors around many centers stand for entries, an hour for a video. They are added to an index hour by
hour as `wherewhen search` does (`pip install "wherewhen[search]"`), and compared with exact search by numpy over the
same vectors as float32, in the same process and on one thread; compare ratios, never seconds. ``recall``: the share of
the exact ten that are among the index's ten. Questions are vectors between an entry and noise, as texts are. Drawing
vectors and exact search are not counted as building. ``cold``: the system's cache of the index's files was dropped
before each question.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # one core: before numpy comes

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread
from time import perf_counter, process_time

import numpy as np

from wherewhen.text.search_index import Index

ASKED, COLD, BEST = 100, 5, 10
CENTERS = 2000


def hour(number: int, rows: int, centers: np.ndarray) -> np.ndarray:
    """Entries of one hour, the same whenever asked."""
    rng = np.random.default_rng([1, number])
    made = rng.standard_normal((rows, centers.shape[1]), np.float32)
    made *= 0.8
    made += centers[rng.integers(0, len(centers), rows)]
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    return made


def memory(kind: str = "RssAnon") -> float:
    """MiB of this process: RssAnon has no file behind it, RssFile is the system's cache that it looks at."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(kind)).split()[1]) / 1024


class Watch(Thread):
    """The most memory that this process takes while it is watched."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.base, self.most, self.over = memory(), 0.0, Event()

    def run(self) -> None:
        while not self.over.wait(0.05):
            self.most = max(self.most, memory() - self.base)


class World:
    """Hours that are added, and what exact search finds in them meanwhile."""

    def __init__(self, per_hour: int, length: int) -> None:
        rng = np.random.default_rng(0)
        self.per_hour = per_hour
        self.centers = rng.standard_normal((CENTERS, length), np.float32)
        near = hour(0, per_hour, self.centers)[rng.integers(0, per_hour, ASKED)]
        asked = near + 0.5 * rng.standard_normal((ASKED, length), np.float32) / np.sqrt(length)
        self.asked = (asked / np.linalg.norm(asked, axis=1, keepdims=True)).astype(np.float32)
        self.found = [np.empty((0, 3))] * ASKED
        self.plain = self.aside = 0.0

    def entries(self, video: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """One hour's vectors and rows, in pieces of a minute or so."""
        begun, number = process_time(), int(video)
        rows = hour(number, self.per_hour, self.centers)
        self._exact(number, rows)
        times = np.arange(self.per_hour) / 4
        table = np.stack([times, times + 1, *np.tile([[0], [0], [1], [1]], self.per_hour)], 1).astype(float)
        self.aside += process_time() - begun
        for start in range(0, self.per_hour, 480):
            yield rows[start : start + 480], table[start : start + 480]

    def _exact(self, number: int, rows: np.ndarray) -> None:
        begun = process_time()
        top = np.argpartition(-(rows @ self.asked[0]), BEST)[:BEST]
        self.plain += process_time() - begun
        for k, cosines in enumerate(self.asked @ rows.T):
            top = np.argpartition(-cosines, BEST)[:BEST]
            told = np.stack([cosines[top], np.full(BEST, number), top / 4], 1)
            both = np.concatenate([self.found[k], told])
            self.found[k] = both[np.argsort(-both[:, 0], kind="stable")[:BEST]]


def spent(work: Callable[[], object]) -> float:
    """Seconds of the processor."""
    begun = process_time()
    work()
    return process_time() - begun


def dropped(folder: Path) -> None:
    """Let the system forget what it holds of a folder's files."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file)
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def asked_cold(folder: Path, questions: np.ndarray) -> list[float]:
    """Seconds of the clock for questions to an index that nobody looked at yet, opening included."""
    times = []
    for question in questions:
        dropped(folder)
        begun = perf_counter()
        Index(folder).nearest(question, BEST)
        times.append(perf_counter() - begun)
    return times


def main(hours: int = 1000, per_hour: int = 14_400, length: int = 512, where: str | None = None) -> None:
    world = World(per_hour, length)
    folder = Path(tempfile.mkdtemp(prefix="search-", dir=where))
    try:
        index, wanted, watch = Index(folder), {str(k): 0 for k in range(hours)}, Watch()
        watch.start()
        built = spent(lambda: index.update(wanted, world.entries)) - world.aside
        watch.over.set()
        plain, aside = world.plain, world.aside
        disk = sum(path.stat().st_size for path in folder.iterdir())
        before, index = memory(), Index(folder)
        opening = spent(lambda: index.nearest(world.asked[0], BEST))
        times, hits = [], 0
        for question, exact in zip(world.asked, world.found, strict=True):
            begun = perf_counter()
            found = index.nearest(question, BEST)
            times.append(perf_counter() - begun)
            seconds = {*zip(map(float, found.videos), found.spans[:, 0].tolist(), strict=True)}
            hits += sum((video, second) in seconds for _, video, second in exact.tolist())
        held, seen = memory() - before, memory("RssFile")
        del index
        cold, index = asked_cold(folder, world.asked[:COLD]), Index(folder)
        one_more = spent(lambda: index.update(wanted | {str(hours): 0}, world.entries)) - (world.aside - aside)
        one_less = spent(lambda: index.update(wanted, world.entries))
    finally:
        shutil.rmtree(folder)
    raw = 4 * length * hours * per_hour
    p50, p95 = np.percentile(times, [50, 95])
    print(f"{hours} hours, {hours * per_hour} entries of {length} numbers")
    print(f"disk            {disk / raw:8.3f} of the vectors as float32 ({disk / 2**30:.2f} GiB)")
    print(f"memory to build {watch.most / (raw / 2**20):8.4f} of the same ({watch.most:.0f} MiB)")
    print(f"memory to ask   {held / (raw / 2**20):8.4f} of the same ({held:.0f} MiB; cache of files {seen:.0f} MiB)")
    print(f"question, p50   {p50 / plain:8.4f} of exact numpy's time ({1000 * p50:.0f} ms here, of {1000 * plain:.0f})")
    print(f"question, p95   {p95 / plain:8.4f} ({1000 * p95:.0f} ms here)")
    print(f"opening + 1     {opening / plain:8.4f} ({1000 * opening:.0f} ms of the processor here)")
    print(f"cold, median    {np.median(cold) / plain:8.4f} ({1000 * np.median(cold):.0f} ms here)")
    print(f"building        {built / plain:8.1f} exact questions' time ({built:.0f} s of the processor here)")
    print(f"one hour more   {one_more / plain:8.2f} ({one_more:.2f} s)")
    print(f"one hour less   {one_less / plain:8.2f} ({one_less:.2f} s)")
    print(f"recall@{BEST}       {hits / (ASKED * BEST):8.3f}")


if __name__ == "__main__":
    given = sys.argv[1:]
    main(*(kind(value) for kind, value in zip((int, int, int, str), given, strict=False)))
