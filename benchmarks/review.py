"""What verdicts of a simulated reviewer teach a model: false alarms a day at equal recall, after so many verdicts.

    python benchmarks/review.py BASE --stream STREAM --test TEST   # three data sets, such as drawn ones
    python benchmarks/review.py DATA                               # one data set, divided by seed: 40, 30 and 30 %

The champion is trained on BASE. Its alerts in STREAM, one for each 5 seconds at most, are judged in some order by the
truth, or by labels of clips where there is no other; 5 % of the verdicts are mistakes. A challenger learns from them
as `wherewhen learn` does, a fifth of the clips is held out. On TEST: false alarms a day (10 seconds count once), at
the threshold of each model that finds 50, 60, 70, 80 and 90 % of the events, and their mean; AUC on anomalous clips;
hits of the peak. Rows ``kept`` have the challenger where it would be promoted, else the champion. Thresholds are from
training scores. Mean, and 95 % interval of the ratio to the champion, over seeds.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is loaded

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from wherewhen import datasets
from wherewhen.api.learning import Comparison
from wherewhen.core.calibration import calibrate
from wherewhen.core.values import Bag, Floats, Truth, Video
from wherewhen.evaluation.evaluator import detect_bags, measure, normalized
from wherewhen.evaluation.measurable import evaluation_set
from wherewhen.extraction import loading
from wherewhen.inference.frame_scores import frame_scores
from wherewhen.inference.model import Model
from wherewhen.inference.model_config import ModelConfig
from wherewhen.metrics import roc_auc
from wherewhen.review.judged import Judged
from wherewhen.review.order import Groups, priorities, uncertainty
from wherewhen.training.fit import choose_threshold, fit
from wherewhen.training.out_of_fold import block_maxima
from wherewhen.training.verdicts import cut, draws, weak_labels

ORDERS = ("random", "score", "ours")
RECALLS = (0.5, 0.6, 0.7, 0.8, 0.9)
WRONG = 0.05  # share of the verdicts that are mistakes
EVERY = 5.0  # seconds of a clip for each of its alerts
APART = 3.0  # seconds between two alerts of a clip
ASKED = 10  # verdicts after which the order is computed again
BLOCK = 10.0
DAY = 86400.0
SHARES = (0.4, 0.7)  # where a data set is divided

Numbers = dict[str, float]


class Clips(NamedTuple):
    """Videos with features, and what truly happens in them; ``root``: their data set."""

    root: str
    bags: Sequence[Bag]
    truths: Mapping[str, Truth]

    def spans(self, video: Video) -> list[tuple[float, float]]:
        """Seconds in which something anomalous happens; the whole clip where only its label is known."""
        if not video.label:
            return []
        truth = self.truths.get(video.id)
        return [(0.0, float("inf"))] if truth is None else [(float(a), float(b)) for a, b in truth.spans]

    def subset(self, bags: Sequence[Bag]) -> Clips:
        """Some of them."""
        return self._replace(bags=bags)


@dataclass(frozen=True)
class Alert:
    """A peak of the champion's scores in a video: score (0.5 is the threshold), seconds, and the features in them."""

    video: Video
    score: float
    start: float
    end: float
    feature: Floats
    is_event: bool


def loaded(root: Path, config: ModelConfig) -> Clips:
    """The labelled videos of a data set with their features; ids begin with its name."""
    reader, name = datasets.reader_of(root), root.name
    videos = [replace(v, id=f"{name}-{v.id}") for v in reader.load(root).videos if v.label is not None]
    truths = {f"{name}-{id}": truth for id, truth in reader.truth(root).items()} if reader.truth else {}
    return Clips(str(root), loading.gathered(videos, config.feature_specs("cpu"), quiet=True), truths)


def divided(clips: Clips, seed: int) -> list[Clips]:
    """The clips in three parts, each with its share of both labels."""
    rng, parts = np.random.default_rng([seed, 7]), [list[Bag](), list[Bag](), list[Bag]()]
    for label in (0, 1):
        bags = [bag for bag in clips.bags if bag.video.label == label]
        cuts = [round(share * len(bags)) for share in SHARES]
        for part, numbers in zip(parts, np.split(rng.permutation(len(bags)), cuts), strict=True):
            part += [bags[k] for k in numbers]
    return [clips.subset(part) for part in parts]


def alerts_of(model: Model, stream: Clips) -> list[Alert]:
    """The highest peaks of each clip."""
    alerts = []
    for bag in stream.bags:
        ready = model.normalized_bag(bag)
        times, raw = frame_scores(model, ready)
        scores = calibrate(raw.astype(np.float32), model.threshold)
        free, cells = np.ones(len(scores), bool), ready.views[model.config.scored]
        for _ in range(max(1, round(float(times[-1, 1] - times[0, 0]) / EVERY))):
            if not free.any():
                break
            peak = low = high = int(np.where(free, scores, -1).argmax())
            while low > 0 and free[low - 1] and scores[low - 1] >= 0.8 * scores[peak]:
                low -= 1
            while high < len(scores) - 1 and free[high + 1] and scores[high + 1] >= 0.8 * scores[peak]:
                high += 1
            start, end = float(times[low, 0]), float(times[high, 1])
            free &= (times[:, 1] <= start - APART) | (times[:, 0] >= end + APART)
            inside = (cells.extents[:, 1] > start) & (cells.extents[:, 0] < end) & cells.features.any(1)
            feature = np.abs(cells.features[inside]).mean(0) if inside.any() else np.zeros(cells.features.shape[1])
            is_event = any(min(end, b) > max(start, a) for a, b in stream.spans(bag.video))
            alerts.append(Alert(bag.video, float(scores[peak]), start, end, feature, is_event))
    return alerts


def groups_of(alerts: Sequence[Alert]) -> list[int]:
    """The group of look-alikes of each alert."""
    groups = Groups()
    return [groups.add(alert.video.camera or "", alert.feature) for alert in alerts]


def asked(alerts: Sequence[Alert], order: str, count: int, rng: np.random.Generator) -> list[int]:
    """Numbers of the alerts that are judged first in an order."""
    if order == "random":
        return [int(k) for k in rng.permutation(len(alerts))[:count]]
    scores = np.array([alert.score for alert in alerts])
    if order == "score":
        return [int(k) for k in np.argsort(-scores, kind="stable")[:count]]
    groups = groups_of(alerts)
    worth = uncertainty(scores, np.full(len(alerts), 0.5))
    places, numbers = [alert.video.id for alert in alerts], list[int]()
    while len(numbers) < min(count, len(alerts)):
        judged = np.isin(np.arange(len(alerts)), numbers)
        values = np.where(judged, -1, priorities(worth, groups, places, judged))
        more = min(ASKED, count - len(numbers), int((~judged).sum()))
        numbers += [int(k) for k in np.argsort(-values, kind="stable")[:more]]
    return numbers


def judged_of(alerts: Sequence[Alert], numbers: Sequence[int], wrong: Sequence[bool]) -> list[Judged]:
    """What the reviewer says of these alerts."""
    groups = groups_of(alerts)
    items = []
    for at, k in enumerate(numbers):
        alert, verdict = alerts[k], "true" if alerts[k].is_event != wrong[k] else "false"
        place = (None, None, None, groups[k], "alert")
        items.append(Judged(str(k), "camera", verdict, alert.video.path, alert.start, alert.end, *place, at,
                            alert.video.id))  # fmt: skip
    return items


def numbers_of(model: Model, test: Clips, hits: bool = False) -> Numbers:
    """The numbers of a model on test clips; ``hits``: those of the heat maps too, which take longer."""
    peaks, blocks, seconds = list[float](), list[float](), 0.0
    inside, outside = list[float](), list[float]()
    for bag in test.bags:
        times, scores = frame_scores(model, model.normalized_bag(bag))
        spans = test.spans(bag.video)
        if not bag.video.label:
            blocks += block_maxima(times, scores, BLOCK)
            seconds += float(times[-1, 1] - times[0, 0])
            continue
        middles = times.mean(1)
        for a, b in spans:
            within = (times[:, 1] > a) & (times[:, 0] < b)
            peaks.append(float(scores[within].max()) if within.any() else 0.0)
        anomalous = np.any([(middles >= a) & (middles < b) for a, b in spans], 0)
        inside += scores[anomalous].tolist()
        outside += scores[~anomalous].tolist()
    levels = np.sort(peaks)[::-1]
    at = {recall: float(levels[int(np.ceil(recall * len(peaks))) - 1]) for recall in RECALLS}
    rates = {f"fa_at_{recall:g}": float((np.array(blocks) >= at[recall]).sum() * DAY / seconds) for recall in RECALLS}
    result = {"fa": float(np.mean(list(rates.values()))), **rates}
    if inside and outside:
        result["auc_anomalous"] = roc_auc([*inside, *outside], [True] * len(inside) + [False] * len(outside))
    if hits and test.truths:
        ready = normalized(model, [bag for bag in test.bags if bag.video.label])
        truths = evaluation_set([bag.video for bag in ready], test.truths, test.root)
        predictions = detect_bags(model, ready)
        measured = measure(predictions, truths.truths_of(ready, model.config.scored), ("pointing",))
        result["hit"] = float(measured["pointing_hit"] or 0.0)
    return result


def _fitted(bags: Sequence[Bag], config: ModelConfig, **more: Any) -> Model:
    """A model trained on bags, whose threshold is from scores of a third of them."""
    model = fit(bags, config, device="cpu", thresholds=False, **more).best
    model.threshold = choose_threshold(model, [model.normalized_bag(bag) for bag in bags[::3]])
    return model


def challenger_of(base: Clips, stream: Clips, items: Sequence[Judged], champion: Model) -> tuple[Model, Comparison]:
    """The model that learned from verdicts, and how it compares with the champion on those that are held out."""
    config = champion.config
    bags = {bag.video.id: bag for bag in stream.bags}
    videos = {item.id: item.hour for item in items}
    fresh = [cut(label, bags[videos[label.id]]) for label in weak_labels(items)]
    learned = [item for item in fresh if not item.label.held_out]
    often = draws([item.label for item in learned], sum(bag.video.label == 0 for bag in base.bags))
    model = _fitted([*base.bags, *(item.bag for item in learned)], config, draws=often)
    held = [item for item in fresh if item.label.held_out]
    return model, Comparison.of(champion, model, held, "training scores")


def main() -> None:
    """Print a line for each model, and the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--stream", type=Path, nargs="*", default=[])
    parser.add_argument("--test", type=Path)
    parser.add_argument("--method", default="wherewhen")
    parser.add_argument("--set", type=json.loads, default={}, help="more settings, such as '{\"motion\": {...}}'")
    parser.add_argument("--verdicts", default="10,30,100")
    parser.add_argument("--orders", default=",".join(ORDERS))
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--hits", action="store_true", help="of the peaks of heat maps, which takes longer")
    options = parser.parse_args()
    settings = {"method": options.method, **options.set}
    config = ModelConfig.of(settings)
    whole = loaded(options.data, config)
    streams = [loaded(path, config) for path in options.stream]
    rows: dict[tuple[str, int], list[Numbers]] = {}
    champions: list[Numbers] = []
    for seed in map(int, options.seeds.split(",")):
        config = ModelConfig.of({**settings, "seed": seed})
        if streams:
            bags = [bag for clips in streams for bag in clips.bags]
            truths = {id: truth for clips in streams for id, truth in clips.truths.items()}
            base, stream, test = whole, Clips(streams[0].root, bags, truths), loaded(options.test, config)
        else:
            base, stream, test = divided(whole, seed)
        champion = _fitted(base.bags, config)
        champions.append(numbers_of(champion, test, options.hits))
        _print(options, seed, "champion", 0, champions[-1])
        alerts = alerts_of(champion, stream)
        wrong = [bool(w) for w in np.random.default_rng([seed, 1]).random(len(alerts)) < WRONG]
        for order in options.orders.split(","):
            for count in map(int, options.verdicts.split(",")):
                items = judged_of(alerts, asked(alerts, order, count, np.random.default_rng([seed, 2])), wrong)
                challenger, comparison = challenger_of(base, stream, items, champion)
                numbers = numbers_of(challenger, test, options.hits)
                numbers["promoted"] = float(comparison.promoted)
                rows.setdefault((order, count), []).append(numbers)
                rows.setdefault((f"{order}, kept", count), []).append(
                    numbers if comparison.promoted else {**champions[-1], "promoted": 0.0}
                )
                false = sum(item.verdict == "false" for item in items)
                _print(options, seed, f"{order} ({false} of {len(items)} false)", count, numbers)
    print(table(champions, rows))


def _print(options: Any, seed: int, name: str, count: int, numbers: Numbers) -> None:
    values = {key: round(value, 3) for key, value in numbers.items()}
    print(json.dumps({"method": options.method, "seed": seed, "row": name, "verdicts": count, **values}), flush=True)


def table(champions: Sequence[Numbers], rows: Mapping[tuple[str, int], Sequence[Numbers]]) -> str:
    """Markdown: means over seeds, and the ratio of false alarms to the champion with its 95 % interval."""
    names = [name for name in ("fa_at_0.5", "fa_at_0.7", "fa", "auc_anomalous", "hit", "promoted") if any(
        name in numbers for numbers in [*champions, *(n for values in rows.values() for n in values)])]  # fmt: skip
    lines = [f"| order | verdicts | {' | '.join(names)} | ratio |", "|---|---:|" + "---:|" * (len(names) + 1)]
    for (order, count), values in {("champion", 0): champions, **rows}.items():
        cells = [_mean([number[name] for number in values if name in number]) for name in names]
        ratio = "" if order == "champion" else _ratio(champions, values)
        lines.append(f"| {order} | {count} | {' | '.join(cells)} | {ratio} |")
    return "\n".join(lines)


def _mean(values: Sequence[float]) -> str:
    return f"{np.mean(values):.3g}" if values else ""


def _ratio(before: Sequence[Numbers], after: Sequence[Numbers]) -> str:
    """Geometric mean over seeds of the ratios of the mean rates, with the interval of Student's t."""
    from scipy.stats import t

    logs = np.log([(b["fa"] + 1) / (a["fa"] + 1) for a, b in zip(before, after, strict=True)])
    if len(logs) < 2:
        return f"{np.exp(logs.mean()):.2f}"
    half = float(t.ppf(0.975, len(logs) - 1)) * logs.std(ddof=1) / len(logs) ** 0.5
    low, mid, high = np.exp([logs.mean() - half, logs.mean(), logs.mean() + half])
    return f"{mid:.2f} ({low:.2f} to {high:.2f})"


if __name__ == "__main__":
    main()
