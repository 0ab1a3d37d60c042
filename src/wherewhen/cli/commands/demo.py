"""Draw clips, train on them, detect in unseen ones, evaluate and write reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wherewhen.cli.verb import Verb

METHOD = {"method": "cuboid_mil"}  # the clips are too few to choose one
FAMILIES = ("frame", "pixel", "pointing")
WORLD: dict[str, Any] = {
    "kinds": ("running", "wheels"),
    "clips_normal": 12,
    "clips_anomalous": 12,
    "seconds": 12.0,
    "rate": 12.5,
}
SHOWN = ("frame_auc", "frame_auc_anomalous", "pixel_auc", "pointing_hit")


@dataclass(frozen=True)
class Options:
    """Options of ``demo``.

    Args:
        output: folder to write; files of an earlier demo are replaced unless they were changed.
        seed: number that all random choices depend on.
        json: print the result as JSON instead of text.
        quiet: no progress bars, and only warnings and errors in the log.
    """

    output: str = "demo"
    seed: int = 0
    json: bool = False
    quiet: bool = False


def run(options: Options) -> int:
    """Run all steps, print the table and the files to look at."""
    from pathlib import Path

    from wherewhen.api import detection, evaluation, runs
    from wherewhen.core import outputs
    from wherewhen.core.console import print_json
    from wherewhen.data_tools import toy_videos
    from wherewhen.datasets import native
    from wherewhen.evaluation.evaluator import markdown

    folder = Path(options.output)
    parts = [folder / part for part in ("clips", "run", "found", "evaluation")]
    for part in parts:
        outputs.check_stamp(part)
    for part in parts:
        outputs.remove_folder(part)
    clips = folder / "clips"
    toy_videos.toy(clips, quiet=options.quiet, seed=options.seed, scene=options.seed, **WORLD)
    fold = native.load(clips).folds[0]
    model = runs.train(
        clips,
        folder / "run",
        fold=fold.name,
        settings=METHOD | {"seed": options.seed},
        device="cpu",
        quiet=options.quiet,
    )
    unseen = [video.path for video in fold.test if video.label == 1]
    results, _ = detection.detect(model, unseen, folder / "found", base=clips / "videos", quiet=options.quiet)
    report = evaluation.evaluate(
        model, clips, folder / "evaluation", fold=fold.name, families=FAMILIES, quiet=options.quiet
    )
    for part in parts:
        outputs.stamp(part)
    events = sum(len(result.events) for result in results)
    if options.json:
        rows = [row._asdict() for row in report.table]
        print_json({"output": folder, "events": events, "videos": len(results), "rows": rows})
        return 0
    print(markdown(report.table, SHOWN))
    print()
    print(f"{events} events in {len(results)} unseen clips. Results:")
    print(f"  {folder}/found/*.mp4             the clips with the events drawn in")
    print(f"  {folder}/found/events.json       start and end in seconds and frames, and boxes")
    print(f"  {folder}/evaluation/report.html  metrics beside the trivial baselines")
    print(f"  {folder}/run/report.html         the training")
    return 0


VERB = Verb("start", Options, run)
