"""Train a model on labelled clips."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from wherewhen.cli.needs import Fits, Need, Sections, no_engine, of_candidates, of_configs
from wherewhen.cli.verb import Verb


@dataclass(frozen=True)
class Options:
    """Options of ``train``.

    Args:
        data: folder with normal/ and anomalous/ clips, or with a labels.csv (path,label[,class][,split][,camera]), or
            of a known data set (wherewhen list datasets).
        output: run folder to write; default: a new one below runs/.
        fold: train on the training part of this fold only; all: on every labelled video. Default: all, or the part
            train of a labels.csv with a column split.
        reader: name of the data set's reader (wherewhen list datasets); default: the one that recognizes the folder.
        normal: names of the folders of normal videos, separated by commas; needs --anomalous too.
        anomalous: names of the folders of anomalous videos; a folder's name is the class of its videos.
        seed: number that all random choices depend on.
        device: auto, cpu or cuda.
        resume: continue an interrupted run.
        check: estimate the quality on new videos by cross-validation; takes about as long as training.
        threshold_from: scores that choose the threshold: out-of-fold, of each training video by a model that was not
            trained on it, or training, of the model itself. Default: out-of-fold where methods are compared, as the
            scores exist then; for a named method it takes three more trainings.
        alarms_per_day: number of false alarms a day, in place of the rule for the threshold; measured on
            normal training videos out of fold.
        damaged: keep uses damaged videos as far as they can be read; set-aside lists them in quarantine.json.
        json: print the result as JSON instead of text.
        quiet: no progress bars, and only warnings and errors in the log.
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
    threshold_from: Literal["out-of-fold", "training"] | None = None
    alarms_per_day: float | None = None
    damaged: Literal["keep", "set-aside"] = "keep"
    json: bool = False
    quiet: bool = False


def run(options: Options, settings: dict[str, Any]) -> int:
    """Train and print the run folder; only the first of the processes that torchrun starts prints."""
    import json
    from pathlib import Path

    from wherewhen.api import runs
    from wherewhen.core.console import print_json
    from wherewhen.training import distributed
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
            threshold_from=options.threshold_from,
            alarms_per_day=options.alarms_per_day,
            damaged=policy(options.damaged),
            quiet=options.quiet,
        )
    numbers = json.loads((folder / "metrics.json").read_text("utf-8"))
    sane, selection = numbers.get("sanity"), numbers.get("selection")
    code = 3 if (folder / "quarantine.json").exists() else 0
    if options.json:
        following = runs.following(model.config, options.data, folder)
        print_json({"output": folder, "selection": selection, "check": sane, "next": following})
        return code
    if selection:
        print(f"method: {selection['method']}: {selection['reason']}")
    if sane:
        print(f"check: {sane['line']}")
        for warning in sane["warnings"]:
            print(f"       {warning}")
    print(f"model: {folder}\nnext:  {runs.following(model.config, options.data, folder)}")
    return code


VERB = Verb(
    "start",
    Options,
    run,
    model_options=True,
    chooses_method=True,
    needs=(
        Need(("resume",), "output", True, "a run continues in its own folder"),
        Fits(("engine", "precision"), no_engine, note="networks only"),
        Sections(of_configs, others=of_candidates),
    ),
)
