"""What an index of many hours costs: python benchmarks/search.py [hours] [entries per hour] [length].

Synthetic unit vectors around many centers stand for entries. The index is asked, and so is numpy with the same
vectors as float32, one after the other in one process and on one thread; compare ratios, never seconds. ``recall``: the
share of the exact ten that are among the index's ten. Questions are vectors between an entry and noise, as texts are.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

import numpy as np

from wherewhen import search_index

ASKED = 20
BLOCK = 50_000


def block(number: int, rows: int, centers: np.ndarray) -> np.ndarray:
    """Entries of one block, the same whenever asked."""
    rng = np.random.default_rng([1, number])
    made = centers[rng.integers(0, len(centers), rows)] + rng.normal(size=(rows, centers.shape[1]), scale=0.8).astype(
        np.float32
    )
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float16)


def memory() -> float:
    """MiB of this process that are not backed by a file."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("RssAnon")).split()[1]) / 1024


def exact(blocks: Iterator[np.ndarray], queries: np.ndarray) -> tuple[list[np.ndarray], float]:
    """The ten nearest of each query by numpy, and seconds per query."""
    best: list[np.ndarray] = [np.empty((0, 2))] * len(queries)
    spent, start = 0.0, 0
    for rows in blocks:
        wide = rows.astype(np.float32)
        for k, query in enumerate(queries):
            begun = perf_counter()
            cosines = wide @ query
            top = np.argpartition(-cosines, 10)[:10]
            found = np.concatenate([best[k], np.stack([cosines[top], top + start], 1)])
            best[k] = found[np.argsort(-found[:, 0])[:10]]
            spent += perf_counter() - begun
        start += len(rows)
    return [rows[:, 1].astype(int) for rows in best], spent / len(queries)


def main(hours: float = 100, per_hour: int = 14_400, length: int = 512) -> None:
    count = int(hours * per_hour)
    sizes = [min(BLOCK, count - k) for k in range(0, count, BLOCK)]
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(2000, length)).astype(np.float32)
    first = block(0, sizes[0], centers).astype(np.float32)
    queries = first[rng.integers(0, len(first), ASKED)] + 0.5 * rng.normal(size=(ASKED, length)) / np.sqrt(length)
    queries = (queries / np.linalg.norm(queries, axis=1, keepdims=True)).astype(np.float32)
    wanted, plain = exact((block(k, size, centers) for k, size in enumerate(sizes)), queries)
    with tempfile.TemporaryDirectory() as folder:
        begun = perf_counter()
        path = search_index.build(Path(folder) / "index", (block(k, s, centers) for k, s in enumerate(sizes)), count)
        built, disk = perf_counter() - begun, path.stat().st_size
        before = memory()
        index = search_index.load(path)
        index.nearest(queries[0], 10)
        begun = perf_counter()
        found = [index.nearest(query, 10)[1] for query in queries]
        asked = (perf_counter() - begun) / len(queries)
        held = memory() - before
    recall = np.mean([len({*a.tolist()} & {*b.tolist()}) / 10 for a, b in zip(wanted, found, strict=True)])
    raw = 4 * length * count
    print(f"{hours:g} hours, {count} entries of {length} numbers, {path.suffix}")
    print(f"disk            {disk / raw:8.3f} of the vectors as float32 ({disk / 2**30:.2f} GiB)")
    print(f"memory held     {held / (raw / 2**20):8.4f} of the same ({held:.0f} MiB)")
    print(f"a question      {asked / plain:8.4f} of exact numpy's time ({1000 * asked:.1f} ms here)")
    print(f"building        {built / plain:8.1f} exact questions' time ({built:.0f} s here)")
    print(f"recall@10       {recall:8.3f}")


if __name__ == "__main__":
    given = sys.argv[1:]
    main(*(kind(value) for kind, value in zip((float, int, int), given, strict=False)))
