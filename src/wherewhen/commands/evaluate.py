"""Judge a model on videos with truth, beside the trivial rows."""

from __future__ import annotations

from dataclasses import dataclass

from wherewhen.needs import Fits, one_model

POSITIONAL = False
NEEDS = (Fits(("which",), one_model),)


@dataclass(frozen=True)
class Options:
    """What ``evaluate`` is told.

    Args:
        data: data set with truth (wherewhen list datasets), or clips with labels alone.
        model: run folder of a trained model.
        fold: judge on the test part of this fold only; all: on every video. Default: all, or the part test of a
            labels.csv with a column split.
        reader: name of the data set's reader (wherewhen list datasets); default: the one that recognizes the folder.
        normal: folders of normal videos, between commas, where they have names of your own (with --anomalous).
        anomalous: the same for anomalous videos; a folder's name is the class of its videos.
        metrics: metric families between commas (wherewhen list metrics); default: of frame, video, pixel, tiou and
            pointing those that the truth allows.
        output: folder for the report; default: evaluation/ in the run folder.
        which: best (by validation) or last.
        json: also write the table to this file.
        device: auto, cpu or cuda.
        trust: run the code in the TorchScript file that the model names, if it names one.
        damaged: keep uses a damaged recording as far as it can be read and says so; set-aside leaves it out.
        quiet: no progress bars.
    """

    data: str
    model: str = "runs/latest"
    fold: str | None = None
    reader: str | None = None
    normal: str | None = None
    anomalous: str | None = None
    metrics: str | None = None
    output: str | None = None
    which: str = "best"
    json: str | None = None
    device: str = "auto"
    trust: bool = False
    damaged: str = "keep"
    quiet: bool = False


def run(options: Options) -> int:
    """Evaluate, print the table and write the report."""
    from pathlib import Path

    from wherewhen import outputs, runs
    from wherewhen.evaluate import headlines, markdown
    from wherewhen.measurable import named
    from wherewhen.model import Model
    from wherewhen.store import write_json
    from wherewhen.video.reader import policy

    model = Model.load(options.model, options.which, options.device, trust=options.trust)
    folder = Path(options.output) if options.output else Path(options.model) / "evaluation"
    families = named(options.metrics)
    outputs.check([options.json] if options.json else [], "choose another --json")
    table, quarantine, families, notes = runs.judge(
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
    if options.json:
        write_json(options.json, {"notes": notes, "rows": [row._asdict() for row in table]})
    for note in notes:
        print(f"note: {note}")
    if table:
        print(markdown(table, headlines(table, families)))
    print("every number: metrics.json and report.html")
    print(f"written: {folder}")
    return 3 if quarantine.reasons else 0
