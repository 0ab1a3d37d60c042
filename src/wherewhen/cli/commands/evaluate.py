"""Evaluate a model on videos with ground truth, beside trivial baselines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from wherewhen.cli.needs import Fits, one_model
from wherewhen.cli.verb import Verb


@dataclass(frozen=True)
class Options:
    """Options of ``evaluate``.

    Args:
        data: folder of a data set with ground truth (wherewhen list datasets), or of clips with labels.
        model: run folder of a trained model; default: runs/latest.
        fold: evaluate on the test part of this fold only; all: on every video. Default: all, or the part test of a
            labels.csv with a column split.
        reader: name of the data set's reader (wherewhen list datasets); default: the one that recognizes the folder.
        normal: names of the folders of normal videos, separated by commas; needs --anomalous too.
        anomalous: names of the folders of anomalous videos; a folder's name is the class of its videos.
        metrics: families of metrics, separated by commas (wherewhen list metrics); default: those of frame, video,
            pixel, tiou and pointing that the truth allows.
        output: folder for the report; default: evaluation/ in the run folder.
        which: best (by validation) or last checkpoint.
        device: auto, cpu or cuda.
        trust: run the code in the TorchScript file that the model names, if it names one.
        damaged: keep uses damaged videos as far as they can be read; set-aside lists them in quarantine.json.
        json: print the result as JSON instead of text.
        quiet: no progress bars, and only warnings and errors in the log.
    """

    data: str
    model: str = "runs/latest"
    fold: str | None = None
    reader: str | None = None
    normal: str | None = None
    anomalous: str | None = None
    metrics: str | None = None
    output: str | None = None
    which: Literal["best", "last"] = "best"
    device: str = "auto"
    trust: bool = False
    damaged: Literal["keep", "set-aside"] = "keep"
    json: bool = False
    quiet: bool = False


def run(options: Options) -> int:
    """Evaluate, print the table and write the report."""
    from pathlib import Path

    from wherewhen.api import evaluation
    from wherewhen.core.console import print_json
    from wherewhen.evaluation.evaluator import headlines, markdown
    from wherewhen.evaluation.measurable import named
    from wherewhen.inference.model import Model
    from wherewhen.video.reader import policy

    model = Model.load(options.model, options.which, options.device, trust=options.trust)
    folder = Path(options.output) if options.output else Path(options.model) / "evaluation"
    families = named(options.metrics)
    table, quarantine, families, notes = evaluation.evaluate(
        model,
        options.data,
        folder,
        fold=options.fold,
        reader=options.reader,
        normal=options.normal,
        anomalous=options.anomalous,
        families=families,
        damaged=policy(options.damaged),
        quiet=options.quiet,
    )
    code = 3 if quarantine.reasons else 0
    if options.json:
        rows = [row._asdict() for row in table]
        print_json({"notes": notes, "rows": rows, "quarantine": quarantine.reasons, "output": folder})
        return code
    for note in notes:
        print(f"note: {note}")
    if table:
        print(markdown(table, headlines(table, families)))
    print(f"written: {folder} (all numbers: metrics.json, report.html)")
    return code


VERB = Verb("start", Options, run, needs=(Fits(("which",), one_model, note="run folders only"),))
