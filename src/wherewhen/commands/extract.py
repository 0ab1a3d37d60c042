"""Look at videos ahead of time, so that training needs no more than features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wherewhen.needs import Fits, Need, Sections, features_alone, no_engine, of_looks

RECIPE = True
ADDRESSES = ("ray_address",)
NEEDS = (
    Need(("ray_address",), "distributed"),
    Fits(("localizer", "validation", "movers", "training"), features_alone),
    Fits(("engine", "precision"), no_engine),
    Sections(of_looks),
)


@dataclass(frozen=True)
class Options:
    """What ``extract`` is told. Settings that train takes choose the features; --backbone takes several, with commas.

    Args:
        data: data set, folder of videos, video file or glob.
        output: store to write; default: the user's cache, where train and bench look first.
        stored: float32 keeps features exact; float16 halves a store.
        workers: processes; default: one per core.
        distributed: ray, to work on a Ray cluster.
        ray_address: of a running cluster; default: one on this machine.
        dry_run: look at a few clips only and tell how long all would take.
        device: auto, cpu or cuda, where networks run.
        reader: name of the data set's reader (wherewhen list datasets); default: the one that recognizes the folder.
        normal: folders of normal videos, between commas, where they have names of your own (with --anomalous).
        anomalous: the same for anomalous videos; a folder's name is the class of its videos.
        damaged: keep uses a damaged recording as far as it can be read and says so; set-aside leaves it out.
        quiet: no progress bars.
    """

    data: str
    output: str | None = None
    stored: str = "float32"
    workers: int | None = None
    distributed: str | None = None
    ray_address: str | None = None
    dry_run: bool = False
    device: str = "auto"
    reader: str | None = None
    normal: str | None = None
    anomalous: str | None = None
    damaged: str = "keep"
    quiet: bool = False


def run(options: Options, settings: dict[str, Any]) -> int:
    """Extract and say what was done; exit code 3 if a video was set aside."""
    from pathlib import Path

    from wherewhen import extraction
    from wherewhen.datasets import Folders
    from wherewhen.evaluate import looks
    from wherewhen.machine import pick_device
    from wherewhen.recipe import Recipe
    from wherewhen.spread import Where
    from wherewhen.store import fingerprint

    backbones = str(settings.get("backbone", "motion")).split(",")
    recipes = [Recipe.of({**settings, "backbone": backbone}) for backbone in backbones]
    what = extraction.sources(options.data, options.reader, Folders.of(options.normal, options.anomalous))
    if options.device != "auto":  # left to each process; those of a cluster may have none
        pick_device(options.device)
    own = [recipe.feature_specs(options.device) for recipe in recipes]
    if what.known:  # evaluation asks for more than training does
        own = [looks(some) for some in own]
    wanted = list({fingerprint(look): look for some in own for look in some.values()}.values())
    videos = len(what.dataset.videos)
    where = Where.of(options.workers, options.distributed, options.ray_address, videos)
    if options.dry_run:
        for told in extraction.forecast(what, wanted, where, options.stored):
            print(
                f"{told.look}: {told.videos} videos, {told.hours:.2f} h, {told.frames} frames, "
                f"{told.gigabytes:.3f} GB; {told.rate:.0f} frames/s measured in one process, "
                f"{_clock(told.seconds)} with {where.workers}"
            )
        return 0
    store = Path(options.output) if options.output else None
    how: dict[str, Any] = {"where": where, "stored": options.stored, "damaged": options.damaged, "quiet": options.quiet}
    done = extraction.extract_all(what, wanted, store, **how)
    print("\n".join(done.lines()))
    return 3 if done.quarantine.reasons else 0


def _clock(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02} h"
