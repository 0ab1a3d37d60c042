"""What verdicts of a simulated reviewer teach a model: false alarms a day at equal recall, after so many verdicts.

    python benchmarks/review.py BASE --stream STREAM --test TEST   # three data sets with truth, such as drawn ones
    python benchmarks/review.py DATA                               # one data set, divided by seed: 40, 30 and 30 %

The champion is trained on BASE. Its alerts in STREAM are judged, some of them wrongly, in each order; a challenger
learns from them as `wherewhen learn` does, a fifth is held out. Both are compared on TEST: false alarms a day in
normal clips at the threshold that finds a share of the anomalous ones, AUC on anomalous clips, hits of the peak. Rows
``kept`` have the challenger where it would be promoted, else the champion. Mean and deviation over seeds.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is loaded

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from wherewhen.core.values import Bag, Truth, Video
from wherewhen.evaluation.evaluator import detect_bags, measure, normalized
from wherewhen.evaluation.measurable import evaluation_set
from wherewhen.inference.model import Model
from wherewhen.review.judged import Judged
from wherewhen.training.fit import frame_scores

ORDERS = ("random", "score", "ours")
RECALLS = (0.5, 0.6, 0.7, 0.8, 0.9)
WRONG = 0.05  # share of the verdicts that are mistakes
EACH = 2  # alerts of a clip at most
APART = 3.0  # seconds between two alerts of a clip
DAY = 86400.0


class Set(NamedTuple):
    """Videos with features, and what truly happens in them."""

    root: str
    bags: Sequence[Bag]
    truths: Mapping[str, Truth]

    def spans(self, video: Video) -> list[tuple[float, float]]:
        """When something anomalous happens; the whole clip where only its label is known."""
        if not video.label:
            return []
        known = self.truths.get(video.id)
        if known is None or not len(known.spans):
            return [(0.0, float("inf"))]
        return [(float(a), float(b)) for a, b in known.spans]


@dataclass(frozen=True)
class Alert:
    """A peak of the champion's scores in a video: its score, seconds, and the features around it."""

    video: Video
    score: float
    start: float
    end: float
    feature: np.ndarray
    is_event: bool


def alerts_of(model: Model, stream: Set) -> list[Alert]:
    """The highest peaks of each clip."""
    found = []
    for bag in stream.bags:
        ready = model.normalized_bag(bag)
        times, scores = frame_scores(model, ready)
        free = np.ones(len(scores), bool)
        for _ in range(EACH):
            if not free.any():
                break
            peak = int(np.where(free, scores, -1).argmax())
            low = high = peak
            while low > 0 and scores[low - 1] >= 0.8 * scores[peak] and free[low - 1]:
                low -= 1
            while high < len(scores) - 1 and scores[high + 1] >= 0.8 * scores[peak] and free[high + 1]:
                high += 1
            start, end = float(times[low, 0]), float(times[high, 1])
            free &= (times[:, 1] <= start - APART) | (times[:, 0] >= end + APART)
            cells = ready.views[model.config.scored]
            inside = (cells.extents[:, 1] > start) & (cells.extents[:, 0] < end) & cells.features.any(1)
            feature = np.abs(cells.features[inside]).mean(0) if inside.any() else np.zeros(cells.features.shape[1])
            is_event = any(min(end, b) > max(start, a) for a, b in stream.spans(bag.video))
            found.append(Alert(bag.video, float(scores[peak]), start, end, feature, is_event))
    return found


def ordered(alerts: Sequence[Alert], order: str, rng: np.random.Generator) -> list[int]:
    """Numbers of the alerts in the order in which they are judged."""
    if order == "random":
        return [int(k) for k in rng.permutation(len(alerts))]
    if order == "score":
        return sorted(range(len(alerts)), key=lambda k: -alerts[k].score)
    raise NotImplementedError(order)


def judged(alerts: Sequence[Alert], numbers: Sequence[int], wrong: np.ndarray) -> list[Judged]:
    """What the reviewer says of alerts."""
    items = []
    for at, k in enumerate(numbers):
        alert = alerts[k]
        verdict = "true" if alert.is_event != bool(wrong[k]) else "false"
        items.append(Judged(
            f"{k}", "camera", verdict, alert.video.path, alert.start, alert.end, None, None, alert.video.category,
            None, "alert", float(at), f"{alert.video.id}",
        ))  # fmt: skip
    return items


Numbers = dict[str, float]


def numbers_of(model: Model, test: Set) -> Numbers:
    """The numbers of a model on test clips."""
    false, peaks, seconds = [], [], 0.0
    for bag in test.bags:
        times, scores = frame_scores(model, model.normalized_bag(bag))
        spans = test.spans(bag.video)
        if not spans:
            false.append(float(scores.max()))
            seconds += float(times[-1, 1] - times[0, 0])
            continue
        inside = np.zeros(len(scores), bool)
        for a, b in spans:
            inside |= (times[:, 1] > a) & (times[:, 0] < b)
        peaks.append(float(scores[inside].max()) if inside.any() else 0.0)
    result = {}
    for recall in RECALLS:
        level = np.sort(peaks)[::-1][max(0, int(np.ceil(recall * len(peaks))) - 1)]
        result[f"fa{recall:g}"] = float((np.array(false) >= level).sum() * DAY / seconds)
    result["fa"] = float(np.mean([result[f"fa{recall:g}"] for recall in RECALLS]))
    order = np.argsort(np.argsort(np.concatenate([peaks, false])))[: len(peaks)]
    result["vauc"] = float((order.sum() - len(peaks) * (len(peaks) - 1) / 2) / len(peaks) / len(false))
    if test.truths:
        chosen = evaluation_set([bag.video for bag in test.bags], test.truths, test.root)
        bags = normalized(model, test.bags)
        measured = measure(detect_bags(model, bags), chosen.truths_of(bags, model.config.scored), ("frame", "pointing"))
        for name, key in (("frame_auc_anomalous", "auc_a"), ("pointing_hit", "hit")):
            if measured.get(name) is not None:
                result[key] = float(measured[name])
    return result
