"""Results of a training run: weights, numbers, scores, events and report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wherewhen.api.sanity import Sanity
from wherewhen.api.tables import write_events, write_scores
from wherewhen.core.feature_file import content
from wherewhen.core.store import write_json
from wherewhen.core.values import Bag, Video
from wherewhen.evaluation import choices, pages
from wherewhen.evaluation.evaluator import detect_bags, normalized
from wherewhen.metrics import roc_auc
from wherewhen.training.fit import Fitted
from wherewhen.training.selection import Selection
from wherewhen.video.batch import Quarantine


def save(folder: Path, fitted: Fitted, videos: Sequence[Video]) -> None:
    """Write the weights of the last step and those that validation chose."""
    fitted.last.trained_on = fitted.best.trained_on = tuple(sorted({content(v.path) for v in videos}))
    fitted.last.save(folder / "weights" / "last.safetensors")
    fitted.best.save(folder / "weights" / "best.safetensors")


def write(
    folder: Path,
    fitted: Fitted,
    bags: Sequence[Bag],
    selection: Selection,
    quarantine: Quarantine,
    sane: Sanity,
    origin: str,
) -> None:
    """Write numbers, scores, events and report; ``origin`` of the threshold."""
    videos, held = [bag.video for bag in bags], {v.id for v in fitted.held_out}
    predictions = detect_bags(
        fitted.best, (normalized_bag for bag in bags for normalized_bag in normalized(fitted.best, [bag]))
    )
    peaks = {name: float(p.frames.values.max()) for name, p in predictions.items() if p.frames is not None}
    numbers: dict[str, Any] = {
        "videos": len(videos),
        "quarantined": len(quarantine.reasons),
        "threshold": fitted.best.threshold,
        "threshold_from": origin,
    }
    for part, ids in (("training", peaks.keys() - held), ("validation", held)):
        labels = [v.label == 1 for v in videos if v.id in ids]
        if any(labels) and not all(labels):
            values = [peaks[v.id] for v in videos if v.id in ids]
            numbers[f"{part}_vauc"] = roc_auc(values, labels)
    numbers["selection"] = choice = selection.plain()
    numbers["sanity"] = sane.plain()
    numbers["history"] = fitted.history
    numbers["video_scores"] = peaks
    write_json(folder / "metrics.json", numbers)
    write_scores(folder / "scores.parquet", predictions)
    write_events(folder / "events.json", videos, predictions)
    notes = [f"{name}: {numbers[name]:.3f}" for name in ("training_vauc", "validation_vauc") if name in numbers]
    pages.page(
        folder / "report.html",
        f"Training: {folder.name}",
        videos=videos,
        predictions=predictions,
        settings=selection.config.plain(),
        notes=[
            f"Method {selection.line}.",
            f"The threshold is from {origin}.",
            *sane.warnings,
            "The scores below are of the training videos and do not estimate the quality on new videos.",
            *notes,
        ],
        facts=[fact for fact in (sane.facts, choices.table(choice)) if fact],
        quarantine=quarantine,
    )
    (folder / "weights" / "checkpoint.safetensors").unlink(missing_ok=True)
