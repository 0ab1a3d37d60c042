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
        json: write the table to this file.
        workers: processes; default: one per core.
        quiet: no progress bars.
    """

    data: str
    methods: str = "cuboid_mil"
    backbones: str = "motion"
    seeds: int = 1
    metrics: str = "frame,pixel,tiou,pointing"
    json: str | None = None
    workers: int | None = None
    quiet: bool = False


def run(options: Options, settings: dict[str, Any]) -> int:
    """Run the protocol and print the table."""
    from wherewhen import benchmark
    from wherewhen.evaluate import markdown
    from wherewhen.store import write_json

    made = benchmark.bench(
        options.data,
        options.methods.split(","),
        options.backbones.split(","),
        seeds=range(options.seeds),
        families=options.metrics.split(","),
        settings=settings,
        workers=options.workers,
        quiet=options.quiet,
    )
    if options.json:
        write_json(options.json, made.as_json())
    print(markdown(made.table))
    return 0
