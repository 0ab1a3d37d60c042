"""Judge a model on videos with truth, beside the trivial rows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """What ``evaluate`` is told.

    Args:
        model: run folder of a trained model.
        data: data set with truth (wherewhen list datasets).
        fold: judge on the test part of this fold only.
        metrics: metric families between commas (wherewhen list metrics).
        output: folder for the report; default: evaluation/ in the run folder.
        which: best (by validation) or last.
        json: also write the table to this file.
        device: auto, cpu or cuda.
        quiet: no progress bars.
    """

    model: str
    data: str
    fold: str | None = None
    metrics: str = "frame,pixel,tiou,pointing"
    output: str | None = None
    which: str = "best"
    json: str | None = None
    device: str = "auto"
    quiet: bool = False


def run(options: Options) -> int:
    """Evaluate, print the table and write the report."""
    from pathlib import Path

    from wherewhen import data, evaluate, runs
    from wherewhen.errors import DataError
    from wherewhen.model import Model
    from wherewhen.store import write_json

    model = Model.load(options.model, options.which, options.device)
    folder = Path(options.output) if options.output else Path(options.model) / "evaluation"
    reader = data.reader_of(options.data)
    dataset = reader.load(Path(options.data))
    videos = dataset.videos
    if options.fold is not None:
        named = {fold.name: fold.test for fold in dataset.folds}
        if options.fold not in named:
            raise DataError(f"{options.data}: no fold {options.fold!r}; there are {', '.join(named) or 'none'}")
        videos = named[options.fold]
    truths = reader.truth(Path(options.data))
    quarantine: dict[str, str] = {}
    families = options.metrics.split(",")
    with runs.log_file(folder):
        table, found = evaluate.evaluate(model, videos, truths, families, quarantine=quarantine, quiet=options.quiet)
        evaluate.write_scores(folder / "scores.parquet", found)
        write_json(folder / "metrics.json", {"rows": evaluate.as_dicts(table), "quarantine": quarantine})
    if options.json:
        write_json(options.json, {"rows": evaluate.as_dicts(table)})
    print(evaluate.markdown(table))
    print(f"written: {folder}")
    return 3 if quarantine else 0
