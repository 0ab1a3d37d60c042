"""Adapt a trained model to a new camera from unlabelled, mostly normal footage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from wherewhen.cli.needs import CONTINUED_RUN
from wherewhen.cli.verb import Verb


@dataclass(frozen=True)
class Options:
    """Options of ``adapt``.

    Args:
        model: run folder of a trained model; default: runs/latest. It is not changed.
        footage: folder of videos, video file or glob: recordings of the new camera, mostly normal; at least 30 seconds,
            better hours.
        output: run folder to write; default: a new one below runs/.
        alarms_per_day: number of false alarms a day, which chooses the threshold; measured on the footage.
        which: best (by validation) or last checkpoint.
        device: auto, cpu or cuda.
        trust: run the code in the TorchScript file that the model names, if it names one.
        resume: continue an interrupted adaptation.
        damaged: keep uses damaged videos as far as they can be read; set-aside lists them in quarantine.json.
        json: print the result as JSON instead of text.
        quiet: no progress bars, and only warnings and errors in the log.
    """

    model: str = "runs/latest"
    footage: str = ""
    output: str | None = None
    alarms_per_day: float = 1.0
    which: Literal["best", "last"] = "best"
    device: str = "auto"
    trust: bool = False
    resume: bool = False
    damaged: Literal["keep", "set-aside"] = "keep"
    json: bool = False
    quiet: bool = False


def run(options: Options) -> int:
    """Adapt and print the run folder; exit code 3 if videos are in quarantine."""
    from pathlib import Path

    from wherewhen.api import adapting, runs
    from wherewhen.core.console import print_json
    from wherewhen.core.documents import read_json
    from wherewhen.core.errors import ConfigError
    from wherewhen.video.reader import policy

    if not options.footage:
        raise ConfigError("adapt needs --footage: a folder of videos of the new camera, a file or a glob")
    folder = Path(options.output) if options.output else runs.next_folder("runs", "adapt")
    adapting.adapt(
        options.model,
        options.footage,
        folder,
        alarms_per_day=options.alarms_per_day,
        which=options.which,
        device=options.device,
        trust=options.trust,
        resume=options.resume,
        damaged=policy(options.damaged),
        quiet=options.quiet,
    )
    record = read_json(folder / adapting.RECORD)
    code = 3 if (folder / "quarantine.json").exists() else 0
    following = f"wherewhen detect VIDEO --model {folder} --output found/"
    if options.json:
        names = ("hours", "threshold", "excluded", "notes")
        print_json({"output": folder, **{name: record[name] for name in names}, "next": following})
        return code
    threshold = record["threshold"]
    print(
        f"footage: {record['hours']:.2f} h, {len(record['excluded'])} blocks of 10 s excluded\n"
        f"alarms: {threshold['alarms']} in {threshold['hours']:.2f} h at the threshold, up to "
        f"{threshold['bound_per_day']:.3g} a day with 95 % confidence"
    )
    print(f"model: {folder}\nnext:  {following}")
    return code


VERB = Verb("start", Options, run, needs=CONTINUED_RUN)
