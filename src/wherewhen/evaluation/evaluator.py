"""Evaluation: every metric of a model on videos with ground truth, beside trivial baselines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from wherewhen.core import registry
from wherewhen.core.contracts import Baseline, Metric
from wherewhen.core.errors import DataError
from wherewhen.core.values import Bag, HeatMap, Prediction, Truth
from wherewhen.evaluation.measurable import FAMILIES, EvaluationSet, Measurable, measurable
from wherewhen.extraction import frame_rates, loading
from wherewhen.extraction.extractor import FeatureSpec
from wherewhen.inference import score_maps
from wherewhen.inference.frame_scores import frame_prediction, prediction_of, scored_steps
from wherewhen.inference.model import Model
from wherewhen.inference.scoring import join_predictions
from wherewhen.metrics import lacks
from wherewhen.video.batch import Quarantine

Scored = dict[str, Prediction]
Numbers = dict[str, float]

IMPORTED = "imported"  # features without pictures
CELLS = "cells"  # the input view of trivial rows: what the model scores, on a grid
MOVERS = "movers"  # the input view of trivial rows for movers: what the model scores, unchanged
DIFFERENCE = "difference"  # the input view of the row "motion only"


class Row(NamedTuple):
    """One line of a table: a number of a method on a backbone's features, over ``n`` repeats."""

    method: str
    backbone: str
    metric: str
    mean: float
    std: float
    n: int


def feature_specs(specs: Mapping[str, FeatureSpec]) -> dict[str, FeatureSpec]:
    """The views that evaluation needs: a model's own and, where there are pictures, that of the row "motion only"."""
    if any(spec.backbone == IMPORTED for spec in specs.values()):
        return dict(specs)
    return {**specs, DIFFERENCE: FeatureSpec.named("frame_difference")}


def trivial_rows(model: Model, bags: Sequence[Bag]) -> list[str]:
    """The trivial rows of a table: of movers where the model scores any; "motion only" where there are pictures.

    Rows that compare with normal cells are those of a model that has some.
    """
    moving = any(bag.views[model.config.scored].paths is not None for bag in bags)
    pictures = any(DIFFERENCE in bag.views for bag in bags)
    rows: dict[str, Baseline] = {name: registry.load("baselines", name) for name in registry.names("baselines")}
    bank = len(model.bank.features) > 0
    able = [name for name, row in rows.items() if (moving or row.scores is None) and (bank or not row.uses_bank)]
    return [name for name in able if pictures or name != "motion_only"]


def normalized(model: Model, bags: Iterable[Bag]) -> list[Bag]:
    """Bags with normalized features, as the method gets them."""
    return [model.normalized_bag(bag) for bag in bags]


def reads_places(families: Sequence[str]) -> bool:
    """Whether any of these metric families reads more of a prediction than frame scores."""
    return any(set(registry.load("metrics", family).reads) - {"frames"} for family in families)


def detect_bags(model: Model, bags: Iterable[Bag], places: bool = True) -> Scored:
    """Predictions of a model for (normalized) bags, by video id; without ``places`` they hold frame scores alone."""
    if not places:
        return {bag.video.id: frame_prediction(model, bag) for bag in bags}
    predictions = {}
    for bag in bags:
        parts = ((name, bag.views[name]) for name in model.config.views)
        located = model.located(model.answered(parts), model.movers_of(bag.video))
        predictions[bag.video.id] = replace(join_predictions(located), detected=model.detected(bag.video))
    return predictions


def trivial_predictions(
    name: str, model: Model, bags: Sequence[Bag], truths: Mapping[str, Truth], places: bool = True
) -> Scored:
    """Predictions of a trivial row for the same bags; its alarm is always on, so that the gate costs nothing.

    Without ``places`` they hold frame scores alone.
    """
    row: Baseline = registry.load("baselines", name)
    settings = model.config.settings[model.config.localizer]
    localizer = model.config.part("localizer")(replace(settings, **row.settings))
    predictions = {}
    for bag in bags:
        maps = _trivial(row, model, bag, truths[bag.video.id])
        if places:
            prediction = join_predictions(localizer(maps))
        else:
            prediction = prediction_of(*scored_steps(localizer, maps), localizer.threshold)
        assert prediction.frames is not None
        always = HeatMap(0.5 + 0.5 * prediction.frames.values, prediction.frames.edges)
        detected = model.detected(bag.video) if places else None
        predictions[bag.video.id] = replace(prediction, frames=always, events=(), detected=detected)
    return predictions


def _trivial(row: Baseline, model: Model, bag: Bag, truth: Truth) -> Iterable[HeatMap]:
    """The maps of a trivial row for one video."""
    instances = bag.views[model.config.scored]
    if row.scores is not None:
        return score_maps.heat(
            [(instances, row.scores(replace(bag, views={MOVERS: instances}), truth, model.config.seed))]
        )
    views = {CELLS: instances} | ({DIFFERENCE: bag.views[DIFFERENCE]} if DIFFERENCE in bag.views else {})
    on_grid = replace(bag, views={view: score_maps.gridded(part) for view, part in views.items()})
    assert row.heat is not None
    return [row.heat(on_grid, truth, model.bank, model.config.seed)]


def trivial_numbers(
    name: str, model: Model, bags: Sequence[Bag], truths: Mapping[str, Truth], families: Sequence[str]
) -> Numbers:
    """Every number of a trivial row; none where the truth lacks what the row needs."""
    row: Baseline = registry.load("baselines", name)
    if lacks(row.needs, list(truths.values())):
        return {}
    predictions = trivial_predictions(name, model, bags, truths, reads_places(families))
    return measure(predictions, truths, families)


def measure(predictions: Scored, truths: Mapping[str, Truth], families: Sequence[str]) -> Numbers:
    """Every number of the named metric families."""
    numbers: Numbers = {}
    for family in families:
        metric: Metric = registry.load("metrics", family)
        numbers |= metric.compute(predictions, truths)
    return numbers


def rows(method: str, backbone: str, repeats: Sequence[Numbers]) -> list[Row]:
    """Mean and deviation over repeats; a number that a repeat lacks is not counted for it."""
    names = dict.fromkeys(name for numbers in repeats for name in numbers)
    table = []
    for name in names:
        reported = [value for r in repeats if (value := r.get(name)) is not None]
        values = np.array([value for value in reported if np.isfinite(value)])
        if len(values):
            std = float(values.std(ddof=1)) if len(values) > 1 else 0.0
            table.append(Row(method, backbone, name, float(values.mean()), std, len(values)))
    return table


class Evaluation(NamedTuple):
    """A table, the model's predictions, the truths of the videos, the measured metric families, and notes."""

    table: list[Row]
    predictions: Scored
    truths: dict[str, Truth]
    families: tuple[str, ...]
    notes: list[str]

    def __repr__(self) -> str:
        return f"Evaluation({len(self.table)} rows, {len(self.truths)} videos, {len(self.families)} metric families)"


def evaluate_videos(
    model: Model,
    judged: EvaluationSet,
    selection: Measurable,
    *,
    quarantine: Quarantine | None = None,
    quiet: bool = False,
) -> Evaluation:
    """A table of the model and all trivial rows on videos with truth or labels, by all metrics that these allow."""
    specs = feature_specs(model.config.feature_specs(model.device))
    bags = normalized(model, loading.bags(judged.videos, specs, quarantine=quarantine, quiet=quiet))
    frame_rates.warn_of_videos((bag.video for bag in bags), specs.values())
    held = judged.truths_of(bags, model.config.scored)
    if not held:
        raise DataError("no video is left to evaluate; see the reasons in quarantine.json")
    left = measurable(selection.families, held.values())  # a video that can't be read may have been the only one
    predictions = detect_bags(model, bags)
    table = rows(model.config.method, model.config.backbone, [measure(predictions, held, left.families)])
    for name in trivial_rows(model, bags):
        numbers = trivial_numbers(name, model, bags, held, left.families)
        table += rows(name, model.config.backbone, [numbers])
    notes = [
        *judged.notes,
        *Measurable(left.families, {**selection.skipped, **left.skipped}).notes,
        alarms(predictions, held),
    ]
    return Evaluation(table, predictions, held, left.families, notes)


def alarms(predictions: Scored, truths: Mapping[str, Truth]) -> str:
    """How many anomalous and normal videos have an event, in words."""
    counts = []
    for label, word in ((1, "anomalous"), (0, "normal")):
        flags = [bool(predictions[name].events) for name, truth in truths.items() if truth.label == label]
        if flags:
            counts.append(f"{sum(flags)} of {len(flags)} {word} videos")
    return f"alarms in {' and '.join(counts)}"


def headlines(table: Sequence[Row], families: Sequence[str]) -> list[str]:
    """The numbers of a table that a terminal has room for: the preferred or the first ones of each family."""
    preferred = {
        "frame": ("frame_auc", "frame_auc_anomalous", "frame_ap"),
        "video": ("vauc", "vap"),
        "tiou": ("tiou", "iou_ungated"),
        "delay": ("false_alarms_per_hour", "false_alarm_share", "missed_events"),
    }
    names = [
        n for f in families for n in preferred.get(f, registry.load("metrics", f).names[: 1 if f in FAMILIES else 2])
    ]
    metrics = {row.metric for row in table}
    return [name for name in names if name in metrics]


def markdown(table: Sequence[Row], metrics: Sequence[str] | None = None) -> str:
    """A table with methods as lines and metrics as columns, in percent-free numbers."""
    columns = list(metrics or dict.fromkeys(row.metric for row in table))
    cells = {(r.method, r.backbone, r.metric): r for r in table}
    lines = ["| method | backbone | " + " | ".join(columns) + " |", "|---|---|" + "---:|" * len(columns)]
    for method, backbone in dict.fromkeys((r.method, r.backbone) for r in table):
        numbers = [cells.get((method, backbone, c)) for c in columns]
        texts = [_cell_text(n) for n in numbers]
        lines.append(f"| {method} | {backbone} | " + " | ".join(texts) + " |")
    return "\n".join(lines)


def _cell_text(row: Row | None) -> str:
    if row is None:
        return "-"
    return f"{row.mean:.3f}" + (f" ± {row.std:.3f}" if row.n > 1 else "")
