"""Learn from labelled clips."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wherewhen.needs import Fits, Need, Sections, no_engine, of_recipes

RECIPE = True
NEEDS = (
    Need(("resume",), "output", True, "a run is gone on with in its own folder"),
    Fits(("engine", "precision"), no_engine),
    Sections(of_recipes),
)


@dataclass(frozen=True)
class Options:
    """What ``train`` is told.

    Args:
        data: folder with normal/ and anomalous/ clips, a labels.csv (path,label[,class][,split]) or a known data set.
        output: run folder to write; default: a new one below runs/.
        fold: train on the training part of this fold only, for data sets that have folds; all: on every labelled video.
            Default: all, or the part train of a labels.csv with a column split.
        reader: name of the data set's reader (wherewhen list datasets); default: the one that recognizes the folder.
        normal: folders of normal videos, between commas, where they have names of your own (with --anomalous).
        anomalous: the same for anomalous videos; a folder's name is the class of its videos.
        seed: everything random follows from it.
        device: auto, cpu or cuda.
        resume: go on with an interrupted run.
        check: estimate what the model does on new videos; it takes about as long as training does.
        damaged: keep uses a damaged recording as far as it can be read and says so; set-aside leaves it out.
        quiet: no progress bars.
    """

    data: str
    output: str | None = None
    fold: str | None = None
    reader: str | None = None
    normal: str | None = None
    anomalous: str | None = None
    seed: int = 0
    device: str = "auto"
    resume: bool = False
    check: bool = True
    damaged: str = "keep"
    quiet: bool = False


def run(options: Options, settings: dict[str, Any]) -> int:
    """Train and say where the run lies; processes that torchrun started beside the first one help and say nothing."""
    import json
    from pathlib import Path

    from wherewhen import distributed, runs
    from wherewhen.video.reader import policy

    with distributed.started(options.device) as (team, device):
        if not team.leads:
            runs.follow(device)
            return 0
        folder = Path(options.output) if options.output else runs.next_folder("runs", "train")
        model = runs.train(
            options.data,
            folder,
            settings={**settings, "seed": options.seed},
            fold=options.fold,
            reader=options.reader,
            normal=options.normal,
            anomalous=options.anomalous,
            device=device,
            resume=options.resume,
            check=options.check,
            damaged=policy(options.damaged),
            quiet=options.quiet,
        )
    if sane := json.loads((folder / "metrics.json").read_text("utf-8")).get("sanity"):
        print(f"check: {sane['line']}")
        for warning in sane["warnings"]:
            print(f"       {warning}")
    print(f"model: {folder}\nnext:  {_next(model.recipe, options.data, folder)}")
    return 3 if (folder / "quarantine.json").exists() else 0


def _next(recipe: Any, data: str, folder: Any) -> str:
    """What works with the model: features of unknown making can be judged, but not made of another video."""
    made = recipe.settings.get("imported")
    if made is not None and made.backbone == "unknown":
        return f"wherewhen evaluate --data {data} --model {folder}"
    return f"wherewhen detect VIDEO --model {folder} --output found/"
