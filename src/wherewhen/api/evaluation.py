"""Evaluation of a model on a data set with truth: tables, predictions and a report in a folder."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from wherewhen import datasets
from wherewhen.api.logs import log_file
from wherewhen.api.runs import JUDGED, check_names
from wherewhen.api.tables import write_events, write_scores
from wherewhen.core import diagnostics, outputs
from wherewhen.core.documents import json_of
from wherewhen.core.feature_file import content
from wherewhen.core.store import write_json
from wherewhen.datasets import Folders
from wherewhen.evaluation import pages
from wherewhen.evaluation.evaluator import Row, evaluate_videos
from wherewhen.evaluation.measurable import EvaluationSet, demanded, evaluation_set
from wherewhen.inference.model import Model
from wherewhen.video.batch import Quarantine
from wherewhen.video.reader import Damaged

log = logging.getLogger("wherewhen")


class EvaluationReport(NamedTuple):
    """Result of `evaluate`: a table, the unreadable videos, the metric families in it, notes on it."""

    table: list[Row]
    quarantine: Quarantine
    families: tuple[str, ...]
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        skipped = f"{len(self.quarantine.reasons)} videos skipped"
        return f"EvaluationReport({len(self.table)} rows, {len(self.families)} metric families, {skipped})"


def evaluate(
    model: Model,
    root: str | Path,
    output: str | Path,
    *,
    fold: str | None = None,
    reader: str | None = None,
    normal: str | None = None,
    anomalous: str | None = None,
    families: Sequence[str] | None = None,
    damaged: Damaged = "keep",
    quiet: bool = False,
) -> EvaluationReport:
    """Evaluate a model on a data set and write metrics, scores, events and a report to a folder.

    Args:
        model: a trained model.
        root: folder of a data set with ground truth; labels of whole videos allow the family ``video`` only.
        output: folder to write.
        fold: evaluate on the test part of this fold; None: as the data set states.
        reader: name of the data set's reader; None: the one that recognizes the folder.
        normal: names of the folders of normal videos, separated by commas; needs ``anomalous`` too.
        anomalous: names of the folders of anomalous videos.
        families: metric families; None: the usual ones that the ground truth allows.
        damaged: keep uses a damaged video as far as it can be read; set-aside lists it in ``quarantine.json``.
        quiet: no progress bars.

    Returns:
        The metrics of the model and of the trivial baselines on the same videos.

    Raises:
        DataError: the ground truth does not define a family in ``families``.
        OutputError: a file that the toolkit did not write would be replaced.
    """
    folder = Path(output)
    check_names(folder, JUDGED, JUDGED if _judged(folder) else ())
    chosen = datasets.reader_of(root, reader, Folders.of(normal, anomalous))
    with diagnostics.collected(root):
        dataset, truths = chosen.load(Path(root)), chosen.truth(Path(root))
    videos = datasets.evaluation_videos(dataset, fold)
    subject = evaluation_set(videos, truths, str(root))
    requested = demanded(families, subject.truths.values(), str(root))
    quarantine = Quarantine(folder, damaged)
    with outputs.reading(video.path for video in videos), log_file(folder):
        quarantine.write()
        notes = _training_notes(model, subject)
        table, predictions, truths, used, more = evaluate_videos(
            model, subject, requested, quarantine=quarantine, quiet=quiet
        )
        for note in more:
            log.info("%s", note)
        notes += more
        write_scores(folder / "scores.parquet", predictions)
        write_events(folder / "events.json", videos, predictions)
        rows = [row._asdict() for row in table]
        document = {"dataset": dataset.name, "fold": fold or dataset.default or None, "notes": notes, "rows": rows}
        write_json(folder / "metrics.json", document)
        pages.page(
            folder / "report.html",
            f"Evaluation on {dataset.name}",
            videos=videos,
            predictions=predictions,
            truths=truths,
            table=table,
            settings=model.config.plain(),
            notes=notes,
            quarantine=quarantine,
        )
    return EvaluationReport(table, quarantine, used, tuple(more))


def _training_notes(model: Model, subject: EvaluationSet) -> list[str]:
    """A note, also logged, where the model was trained on some of the videos."""
    trained = [v.id for v in subject.videos if v.path.exists() and content(v.path) in model.trained_on]
    if not trained:
        return []
    note = f"{len(trained)} of these {len(subject.videos)} videos were trained on, so the figures are too high"
    log.warning("%s; evaluate on other videos, or on the test part of a --fold", note)
    return [note]


def _judged(folder: Path) -> bool:
    """Whether a folder holds an evaluation, by its ``metrics.json``."""
    try:
        document = json_of((folder / "metrics.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(document, dict) and set(document) >= {"dataset", "fold", "rows"}
