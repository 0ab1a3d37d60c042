"""Train a model again with the verdicts of a review, and use the new one only if it is better on held-out verdicts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from wherewhen.cli.needs import Fits, one_model
from wherewhen.cli.verb import Verb


@dataclass(frozen=True)
class Options:
    """Options of ``learn``.

    Args:
        from_: review.db or live.db with the verdicts, or the folder that holds it: results of detect, a store of watch.
        model: run folder of a trained or calibrated model; default: runs/latest. It is not changed. Of a store, the
            model that was promoted in its place learns.
        output: run folder to write; default: a new one below runs/.
        videos: folder of the training videos, where it was moved.
        alarms_per_day: number of false alarms a day, which chooses the threshold; measured on normal training videos
            out of fold.
        promote: cameras that use the model change to the new one at once, if it may take over.
        which: best (by validation) or last checkpoint.
        device: auto, cpu or cuda.
        trust: run the code in the TorchScript file that the model names, if it names one.
        damaged: keep uses damaged videos as far as they can be read; set-aside lists them in quarantine.json.
        json: print the result as JSON instead of text.
        quiet: no progress bars, and only warnings and errors in the log.
    """

    from_: str = ""
    model: str = "runs/latest"
    output: str | None = None
    videos: str | None = None
    alarms_per_day: float | None = None
    promote: bool = True
    which: Literal["best", "last"] = "best"
    device: str = "auto"
    trust: bool = False
    damaged: Literal["keep", "set-aside"] = "keep"
    json: bool = False
    quiet: bool = False


def run(options: Options) -> int:
    """Learn, and print the comparison; exit code 3 if videos are in quarantine."""
    from wherewhen.api import learning
    from wherewhen.core.console import print_json
    from wherewhen.core.documents import read_json
    from wherewhen.core.errors import ConfigError
    from wherewhen.video.reader import policy

    if not options.from_:
        raise ConfigError("learn needs --from: review.db, or the folder of a store or of results that was reviewed")
    learned = learning.learn(
        options.from_, options.model, options.output, videos=options.videos, alarms_per_day=options.alarms_per_day,
        promote=options.promote, which=options.which, device=options.device, trust=options.trust,
        damaged=policy(options.damaged), quiet=options.quiet,
    )  # fmt: skip
    record = read_json(learned.folder / learning.RECORD)
    if options.json:
        print_json({"output": learned.folder, **record})
    else:
        print("\n".join([*learned.lines(), f"model: {learned.folder}"]))
    return 3 if (learned.folder / "quarantine.json").exists() else 0


VERB = Verb("start", Options, run, needs=(Fits(("which",), one_model, note="run folders only"),))
