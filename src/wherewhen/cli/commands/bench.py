"""Train and evaluate methods over all folds and seeds of a data set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wherewhen.cli.needs import Fits, Need, Sections, no_engine, of_candidates, of_configs
from wherewhen.cli.verb import Verb


@dataclass(frozen=True)
class Options:
    """Options of ``bench``.

    Args:
        data: folder of a data set with ground truth and folds (wherewhen list datasets).
        methods: names of methods, separated by commas (wherewhen list methods); auto chooses one in each fold by
            cross-validation over its training videos.
        backbones: names of backbones, separated by commas (wherewhen list backbones).
        seeds: number of seeds, from 0 on.
        metrics: families of metrics, separated by commas (wherewhen list metrics); default: those of frame, video,
            pixel, tiou and pointing that the truth allows.
        ablate: compare this method with variants that change one of its parts each, instead of --methods.
        across: folders of other data sets, separated by commas; trains on each data set and evaluates on each.
        reader: name of the data set's reader (wherewhen list datasets); default: the one that recognizes the folder.
        output: folder for bench.json, bench.md and report.html; default: nothing is written.
        device: auto, cpu or cuda, which training and evaluation run on.
        workers: number of processes; default: one per core, and one on a GPU.
        json: print the table, intervals and paired comparisons as JSON instead of text.
        quiet: no progress bars, and only warnings and errors in the log.
    """

    data: str
    methods: str = "cuboid_mil"
    backbones: str = "motion"
    seeds: int = 1
    metrics: str | None = None
    ablate: str | None = None
    across: str | None = None
    output: str | None = None
    reader: str | None = None
    device: str = "cpu"
    workers: int | None = None
    json: bool = False
    quiet: bool = False


def run(options: Options, settings: dict[str, Any]) -> int:
    """Run the protocol, print the table and write the output."""
    from pathlib import Path

    from wherewhen import datasets
    from wherewhen.api import benchmark
    from wherewhen.core import outputs
    from wherewhen.core.console import print_json
    from wherewhen.evaluation import choices, pages
    from wherewhen.evaluation.evaluator import headlines, markdown
    from wherewhen.evaluation.measurable import USUAL, named
    from wherewhen.runtime.devices import pick_device

    device = pick_device(options.device)
    families = named(options.metrics)
    roots = [options.data, *(options.across.split(",") if options.across else [])]
    sets = [datasets.reader_of(root, options.reader).load(Path(root)).name for root in roots]
    if options.output:
        for name in pages.bench_folders(sets):
            outputs.check_folder(Path(options.output) / name, pages.BENCHED)
    results = benchmark.matrix(
        roots,
        options.methods.split(","),
        options.backbones.split(","),
        seeds=range(options.seeds),
        families=families,
        settings=settings,
        device=device,
        workers=options.workers or (1 if device != "cpu" else None),
        quiet=options.quiet,
        reader=options.reader,
        ablate=options.ablate,
    )
    if options.output:
        for result, name in zip(results, pages.bench_folders(sets), strict=True):
            pages.bench_pages(Path(options.output) / name, result.table, result.as_json())
    if options.json:
        first, *others = [result.as_json() for result in results]
        print_json({**first, "across": others} if others else first)
        return 0
    for result in results:
        if len(results) > 1:
            print(f"\ntrained on {result.facts['train']}, evaluated on {result.facts['test']}")
        for note in result.facts["notes"]:
            print(f"note: {note}")
        if result.table:
            print(markdown(result.table, headlines(result.table, families or USUAL)))
        for choice in result.facts["choices"]:
            print("\n" + choices.markdown(choice))
    print(f"written: {options.output}" if options.output else "all numbers: --json, or --output FOLDER")
    return 0


VERB = Verb(
    "research",
    Options,
    run,
    model_options=True,
    needs=(
        Need(("methods",), "ablate", False, "one method is compared with itself changed"),
        Need(("reader",), "across", False, "each data set is recognized by itself"),
        Fits(("engine", "precision"), no_engine, note="networks only"),
        Sections(of_configs, others=of_candidates),
    ),
)
