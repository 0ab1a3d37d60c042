"""Train and judge methods over all folds and seeds of a data set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wherewhen.needs import Fits, Need, Sections, no_engine, of_recipes

RECIPE = True
NEEDS = (
    Need(("methods",), "ablate", False, "one method is compared with itself changed"),
    Need(("reader",), "across", False, "each data set is recognized by itself"),
    Fits(("engine", "precision"), no_engine),
    Sections(of_recipes),
)


@dataclass(frozen=True)
class Options:
    """What ``bench`` is told.

    Args:
        data: data set with truth and folds (wherewhen list datasets).
        methods: method names between commas.
        backbones: backbone names between commas.
        seeds: how many seeds, from 0 on.
        metrics: metric families between commas (wherewhen list metrics); default: of frame, video, pixel, tiou and
            pointing those that the truth allows.
        ablate: this method with each of its parts changed, one at a time, instead of --methods.
        across: other data sets between commas: train on each of them all, judge on each.
        json: write the table, intervals and paired comparisons to this file.
        reader: name of the data set's reader (wherewhen list datasets); default: the one that recognizes the folder.
        output: folder for bench.json, bench.md and report.html.
        workers: processes; default: one per core.
        quiet: no progress bars.
    """

    data: str
    methods: str = "cuboid_mil"
    backbones: str = "motion"
    seeds: int = 1
    metrics: str | None = None
    ablate: str | None = None
    across: str | None = None
    json: str | None = None
    output: str | None = None
    reader: str | None = None
    workers: int | None = None
    quiet: bool = False


def run(options: Options, settings: dict[str, Any]) -> int:
    """Run the protocol, print the table and write what was asked for."""
    from pathlib import Path

    from wherewhen import benchmark, datasets, outputs, review
    from wherewhen.evaluate import headlines, markdown
    from wherewhen.measurable import USUAL, named
    from wherewhen.store import write_json

    families = named(options.metrics)
    roots = [options.data, *(options.across.split(",") if options.across else [])]
    sets = [datasets.reader_of(root, options.reader).load(Path(root)).name for root in roots]
    outputs.check([options.json] if options.json else [], "choose another --json")
    if options.output:
        for name in review.bench_folders(sets):
            outputs.check_folder(Path(options.output) / name, review.BENCHED)
    made = benchmark.matrix(
        roots,
        options.methods.split(","),
        options.backbones.split(","),
        seeds=range(options.seeds),
        families=families,
        settings=settings,
        workers=options.workers,
        quiet=options.quiet,
        reader=options.reader,
        ablate=options.ablate,
    )
    for one in made:
        if len(made) > 1:
            print(f"\ntrained on {one.facts['train']}, judged on {one.facts['test']}")
        for note in one.facts["notes"]:
            print(f"note: {note}")
        if one.table:
            print(markdown(one.table, headlines(one.table, families or USUAL)))
    print("--json and --output give every number")
    if options.json:
        told = [one.as_json() for one in made]
        write_json(options.json, {**told[0], "across": told[1:]} if len(told) > 1 else told[0])
    if options.output:
        for one, name in zip(made, review.bench_folders(sets), strict=True):
            review.bench_pages(Path(options.output) / name, one.table, one.as_json())
    return 0
