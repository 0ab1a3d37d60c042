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
from wherewhen.evaluation.measurable import FAMILIES, Judged, Measurable, measurable
from wherewhen.extraction import frame_rates, loading
from wherewhen.extraction.extractor import FeatureSpec
from wherewhen.inference import score_maps
from wherewhen.inference.model import Model
from wherewhen.inference.scoring import join_predictions
from wherewhen.metrics import lacks
from wherewhen.video.batch import Quarantine

Scored = dict[str, Prediction]
Numbers = dict[str, float]

IMPORTED = "imported"  # features without pictures
CELLS = "cells"  # the view that trivial rows look at: what the model scores, on a grid
MOVERS = "movers"  # the same where it moves, as it is
DIFFERENCE = "difference"  # the view that the row "motion only" looks at


class Row(NamedTuple):
    """One line of a table: a number of a method on a backbone's features, over ``n`` repeats."""

    method: str
    backbone: str
    metric: str
    mean: float
    std: float
    n: int


def looks(own: Mapping[str, FeatureSpec]) -> dict[str, FeatureSpec]:
    """The views that evaluation needs: a model's own and, where there are pictures, that of the row "motion only"."""
    if any(look.backbone == IMPORTED for look in own.values()):
        return dict(own)
    return {**own, DIFFERENCE: FeatureSpec.named("frame_difference")}


def trivial_rows(model: Model, bags: Sequence[Bag]) -> list[str]:
    """The trivial rows of a table: of movers where the model scores any; "motion only" where there are pictures."""
    moving = any(bag.views[model.config.scored].paths is not None for bag in bags)
    pictures = any(DIFFERENCE in bag.views for bag in bags)
    rows: dict[str, Baseline] = {name: registry.load("baselines", name) for name in registry.names("baselines")}
    able = [name for name, row in rows.items() if moving or row.scores is None]
    return [name for name in able if pictures or name != "motion_only"]


def normalized(model: Model, bags: Iterable[Bag]) -> list[Bag]:
    """Bags as the method sees them."""
    return [replace(bag, views=model.normalized(bag.views)) for bag in bags]


def detect_bags(model: Model, bags: Iterable[Bag]) -> Scored:
    """Predictions of a model for (normalized) bags, by video id."""
    found = {}
    for bag in bags:
        parts = ((name, bag.views[name]) for name in model.config.views)
        located = model.located(model.answered(parts), model.movers_of(bag.video))
        found[bag.video.id] = join_predictions(located)
    return found


def trivial_predictions(name: str, model: Model, bags: Sequence[Bag], truths: Mapping[str, Truth]) -> Scored:
    """Predictions of a trivial row for the same bags; its alarm is always on, so its gate costs it nothing."""
    row: Baseline = registry.load("baselines", name)
    settings = model.config.settings[model.config.localizer]
    localizer = model.config.part("localizer")(replace(settings, **row.settings))
    found = {}
    for bag in bags:
        made = join_predictions(localizer(_trivial(row, model, bag, truths[bag.video.id])))
        assert made.frames is not None
        found[bag.video.id] = replace(
            made, frames=HeatMap(0.5 + 0.5 * made.frames.values, made.frames.edges), events=()
        )
    return found


def _trivial(row: Baseline, model: Model, bag: Bag, truth: Truth) -> Iterable[HeatMap]:
    """The maps of a trivial row for one video."""
    own = bag.views[model.config.scored]
    if row.scores is not None:
        return score_maps.heat([(own, row.scores(replace(bag, views={MOVERS: own}), truth, model.config.seed))])
    seen = {CELLS: own} | ({DIFFERENCE: bag.views[DIFFERENCE]} if DIFFERENCE in bag.views else {})
    on_grid = replace(bag, views={view: score_maps.gridded(one) for view, one in seen.items()})
    assert row.heat is not None
    return [row.heat(on_grid, truth, model.bank, model.config.seed)]


def trivial_numbers(
    name: str, model: Model, bags: Sequence[Bag], truths: Mapping[str, Truth], families: Sequence[str]
) -> Numbers:
    """Every number of a trivial row; none where the truth lacks what the row is told by."""
    row: Baseline = registry.load("baselines", name)
    if lacks(row.needs, list(truths.values())):
        return {}
    return measure(trivial_predictions(name, model, bags, truths), truths, families)


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
    made = []
    for name in names:
        known = [value for r in repeats if (value := r.get(name)) is not None]
        values = np.array([value for value in known if np.isfinite(value)])
        if len(values):
            std = float(values.std(ddof=1)) if len(values) > 1 else 0.0
            made.append(Row(method, backbone, name, float(values.mean()), std, len(values)))
    return made


class Evaluation(NamedTuple):
    """A table, the model's predictions, what is known of each video, and what a reader must know about the table."""

    table: list[Row]
    found: Scored
    truths: dict[str, Truth]
    families: tuple[str, ...]
    notes: list[str]

    def __repr__(self) -> str:
        return f"Evaluation({len(self.table)} rows, {len(self.truths)} videos, {len(self.families)} metric families)"


def evaluate_videos(
    model: Model,
    known: Judged,
    asked: Measurable,
    *,
    quarantine: Quarantine | None = None,
    quiet: bool = False,
) -> Evaluation:
    """A table of the model and all trivial rows on videos of which something is known, by all that can be measured."""
    seen = looks(model.config.feature_specs(model.device))
    bags = normalized(model, loading.bags(known.videos, seen, quarantine=quarantine, quiet=quiet))
    frame_rates.tell_seen((bag.video for bag in bags), seen.values())
    held = known.seen(bags, model.config.scored)
    if not held:
        raise DataError("no video is left to evaluate; see the reasons in quarantine.json")
    left = measurable(asked.families, held.values())  # a video that can't be read may have been the only one
    found = detect_bags(model, bags)
    table = rows(model.config.method, model.config.backbone, [measure(found, held, left.families)])
    for name in trivial_rows(model, bags):
        numbers = trivial_numbers(name, model, bags, held, left.families)
        table += rows(name, model.config.backbone, [numbers])
    notes = [*known.notes, *Measurable(left.families, {**asked.skipped, **left.skipped}).notes, alarms(found, held)]
    return Evaluation(table, found, held, left.families, notes)


def alarms(found: Scored, truths: Mapping[str, Truth]) -> str:
    """How many anomalous and normal videos have an event, in words."""
    told = []
    for label, word in ((1, "anomalous"), (0, "normal")):
        some = [bool(found[name].events) for name, truth in truths.items() if truth.label == label]
        if some:
            told.append(f"{sum(some)} of {len(some)} {word} videos")
    return f"alarms in {' and '.join(told)}"


def headlines(table: Sequence[Row], families: Sequence[str]) -> list[str]:
    """The numbers of a table that a terminal has room for: the first ones of each family, or the best known."""
    known = {
        "frame": ("frame_auc", "frame_auc_anomalous", "frame_ap"),
        "video": ("vauc", "vap"),
        "tiou": ("tiou", "iou_ungated"),
        "delay": ("false_alarms_per_hour", "false_alarm_share", "missed_events"),
    }
    wanted = [n for f in families for n in known.get(f, registry.load("metrics", f).names[: 1 if f in FAMILIES else 2])]
    there = {row.metric for row in table}
    return [name for name in wanted if name in there]


def markdown(table: Sequence[Row], metrics: Sequence[str] | None = None) -> str:
    """A table with methods as lines and metrics as columns, in percent-free numbers."""
    columns = list(metrics or dict.fromkeys(row.metric for row in table))
    cells = {(r.method, r.backbone, r.metric): r for r in table}
    lines = ["| method | backbone | " + " | ".join(columns) + " |", "|---|---|" + "---:|" * len(columns)]
    for method, backbone in dict.fromkeys((r.method, r.backbone) for r in table):
        numbers = [cells.get((method, backbone, c)) for c in columns]
        told = [_told(n) for n in numbers]
        lines.append(f"| {method} | {backbone} | " + " | ".join(told) + " |")
    return "\n".join(lines)


def _told(row: Row | None) -> str:
    if row is None:
        return "-"
    return f"{row.mean:.3f}" + (f" ± {row.std:.3f}" if row.n > 1 else "")
