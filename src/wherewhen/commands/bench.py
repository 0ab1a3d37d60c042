"""Train and judge methods over all folds and seeds of a data set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

RECIPE = True


@dataclass(frozen=True)
class Options:
    """What ``bench`` is told.

    Args:
        data: data set with truth and folds (wherewhen list datasets).
        methods: method names between commas.
        backbones: backbone names between commas.
        seeds: how many seeds, from 0 on.
        metrics: metric families between commas (wherewhen list metrics).
        test: train on all of data and judge on this other data set.
        json: write the table, intervals and paired comparisons to this file.
        output: folder for bench.json, bench.md and report.html.
        workers: processes; default: one per core.
        quiet: no progress bars.
    """

    data: str
    methods: str = "cuboid_mil"
    backbones: str = "motion"
    seeds: int = 1
    metrics: str = "frame,pixel,tiou,pointing"
    test: str | None = None
    json: str | None = None
    output: str | None = None
    workers: int | None = None
    quiet: bool = False


def run(options: Options, settings: dict[str, Any]) -> int:
    """Run the protocol and print the table."""
    from pathlib import Path

    from wherewhen import benchmark, review
    from wherewhen.evaluate import markdown
    from wherewhen.store import write_json

    made = benchmark.bench(
        options.data,
        options.methods.split(","),
        options.backbones.split(","),
        seeds=range(options.seeds),
        families=options.metrics.split(","),
        settings=settings,
        test=options.test,
        workers=options.workers,
        quiet=options.quiet,
    )
    if options.json:
        write_json(options.json, made.as_json())
    if options.output:
        review.bench_pages(Path(options.output), made.table, made.as_json())
    print(markdown(made.table))
    return 0
