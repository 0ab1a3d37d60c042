"""Choose a threshold for a number of false alarms a day, on normal footage, with a confidence bound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from wherewhen.cli.needs import CONTINUED_RUN
from wherewhen.cli.verb import Verb


@dataclass(frozen=True)
class Options:
    """Options of ``calibrate``.

    Args:
        model: run folder of a trained or adapted model; default: runs/latest. It is not changed.
        footage: folder of videos, video file or glob: recordings of the camera without anomalies, which the model was
            not trained on; three days are needed for a promise of one alarm a day.
        output: run folder to write; default: a new one below runs/.
        alarms_per_day: number of false alarms a day, at most.
        which: best (by validation) or last checkpoint.
        device: auto, cpu or cuda.
        trust: run the code in the TorchScript file that the model names, if it names one.
        resume: skip videos whose results are in the output folder.
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
    """Calibrate, and print what is promised; exit code 3 if videos are in quarantine."""
    from pathlib import Path

    from wherewhen.api import calibrating, runs
    from wherewhen.core.console import print_json
    from wherewhen.core.documents import read_json
    from wherewhen.core.errors import ConfigError
    from wherewhen.video.reader import policy

    if not options.footage:
        raise ConfigError("calibrate needs --footage: a folder of videos of the camera, a file or a glob")
    folder = Path(options.output) if options.output else runs.next_folder("runs", "calibrate")
    calibrating.calibrate(
        options.model, options.footage, folder, alarms_per_day=options.alarms_per_day, which=options.which,
        device=options.device, trust=options.trust, resume=options.resume, damaged=policy(options.damaged),
        quiet=options.quiet,
    )  # fmt: skip
    record = read_json(folder / calibrating.RECORD)
    following = f"wherewhen detect VIDEO --model {folder} --output found/"
    if options.json:
        print_json({"output": folder, **record, "next": following})
    else:
        print("\n".join([*record["promise"], f"model: {folder}", f"next:  {following}"]))
    return 3 if record["quarantined"] else 0


VERB = Verb("start", Options, run, needs=CONTINUED_RUN)
