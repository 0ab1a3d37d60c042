"""Run the whole job on toy scenes: draw, train, detect on unseen clips, judge, report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
    """What ``demo`` is told.

    Args:
        output: folder to write; what an earlier demo left there is replaced, as long as nobody changed it.
        seed: another number, another world.
        quiet: no progress bars.
    """

    output: str = "demo"
    seed: int = 0
    quiet: bool = False


def run(options: Options) -> int:
    """Do the whole job and print the table and where to look."""
    from pathlib import Path

    from wherewhen import detection, draw, outputs, runs
    from wherewhen.datasets import native
    from wherewhen.evaluate import markdown

    folder = Path(options.output)
    parts = [folder / part for part in ("clips", "run", "found", "evaluation")]
    for part in parts:
        outputs.check_stamp(part)
    for part in parts:
        outputs.remove_folder(part)
    clips = folder / "clips"
    draw.toy(clips, quiet=options.quiet, seed=options.seed, scene=options.seed, **WORLD)
    fold = native.load(clips).folds[0]
    model = runs.train(
        clips, folder / "run", fold=fold.name, settings={"seed": options.seed}, device="cpu", quiet=options.quiet
    )
    unseen = [video.path for video in fold.test if video.label == 1]
    found, _ = detection.detect(model, unseen, folder / "found", base=clips / "videos", quiet=options.quiet)
    made = runs.judge(model, clips, folder / "evaluation", fold=fold.name, families=FAMILIES, quiet=options.quiet)
    for part in parts:
        outputs.stamp(part)
    print(markdown(made.table, SHOWN))
    print()
    print(f"{sum(len(one.events) for one in found)} events in {len(found)} unseen clips. Look at:")
    print(f"  {folder}/found/*.mp4             what was found, painted over the clips")
    print(f"  {folder}/found/events.json       when and where, in seconds, frames and boxes")
    print(f"  {folder}/evaluation/report.html  how good it is, beside the trivial rows")
    print(f"  {folder}/run/report.html         how it was trained")
    return 0
