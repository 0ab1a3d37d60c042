"""Estimated quality of a model on new videos, right after training, from labels of whole videos.

Labels that a model was trained on can't evaluate it. So each training video is scored by a model not trained on it
(cross-fitting): together these models need about as many steps as the training itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from wherewhen.core import extents as ext
from wherewhen.core.calibration import calibrate
from wherewhen.core.errors import WherewhenError
from wherewhen.core.values import Bag, Instances, Prediction, Truth, Video
from wherewhen.evaluation import evaluator
from wherewhen.evaluation.statistics import auc_interval
from wherewhen.extraction.loading import BagSubset
from wherewhen.inference.model import Model
from wherewhen.inference.model_config import ModelConfig
from wherewhen.metrics import roc_auc
from wherewhen.training import distributed
from wherewhen.training.fit import Fitted, fit
from wherewhen.training.out_of_fold import FOLDS
from wherewhen.visualization.report import Facts

PARTS = 4  # of cross-fitting
MANY = 20  # validation videos of each label that are enough for an estimate
WIDE = 0.2  # width of an interval of the AUC above which videos are few
ALIKE = 0.02  # smallest difference to the AUC of plain motion that counts as better
SHOWN = 8  # names in a table
GOOD = 0.98  # AUC from which on plain motion is not compared

Protocol = Literal["out of fold", "on validation videos", "in sample"]
WORDS: Mapping[str, str] = {
    "out of fold": "each by a model that was not trained on it",
    "on validation videos": "which also chose the checkpoint",
    "in sample": "the model was trained on them, so this is no estimate",
}


@dataclass(frozen=True)
class Sanity:
    """Labelled videos: ``scores``, the highest frame score of each; ``alarms``, whether there is any event.

    ``protocol``: how they were scored; ``motion``: AUC of plain motion, None where it is unknown; ``single``: labels
    whose videos are from one file; ``parts``: number of parts of cross-fitting; ``trouble``: why there was none.
    """

    protocol: Protocol
    labels: Mapping[str, int]
    scores: Mapping[str, float]
    alarms: Mapping[str, bool]
    motion: float | None = None
    single: tuple[str, ...] = ()
    parts: int = 0
    trouble: str = ""

    def of(self, label: int) -> list[str]:
        """The videos with this label."""
        return [name for name, value in self.labels.items() if value == label]

    def count(self, label: int) -> int:
        """How many of them raise an alarm."""
        return sum(self.alarms[name] for name in self.of(label))

    @property
    def auc(self) -> float:
        """AUC of the highest scores of videos."""
        return roc_auc([self.scores[name] for name in self.labels], list(self.labels.values()))

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the AUC on as many new videos of the same kind."""
        return auc_interval(self.auc, len(self.of(1)), len(self.of(0)))

    @property
    def line(self) -> str:
        """The estimate as one line."""
        (low, high), count = self.interval, len(self.labels)
        counts = " and ".join(
            f"{self.count(label)} of {len(self.of(label))} {word}" for label, word in ((1, "anomalous"), (0, "normal"))
        )
        motion = f", plain motion {_short(self.motion)}" if self.motion is not None else ""
        scored = f"{self.protocol}: {WORDS[self.protocol]}"
        line = f"{counts} training videos would alarm, {scored}; AUC {_short(self.auc)}{motion}"
        if self.protocol == "in sample":
            return line
        few = f"{count} videos are few: " if high - low > WIDE else ""
        return f"{line}; {few}expect an AUC of {_short(low)} to {_short(high)} on others like these"

    @property
    def warnings(self) -> list[str]:
        """Problems of the model."""
        messages = []
        if self.trouble:
            messages.append(self.trouble)
        if self.single and self.protocol == "in sample":
            messages.append(
                f"all {' and all '.join(self.single)} videos are from one file, so validation is not possible"
            )
        elif self.protocol != "in sample" and self.interval[0] <= 0.5:
            messages.append("no better than chance on these videos: label more videos, or check their labels")
        if self.protocol != "in sample" and self.motion is not None and self.auc < min(self.motion + ALIKE, GOOD):
            comparison = f"motion alone {_short(self.motion)}, this model {_short(self.auc)}"
            messages.append(f"it separates videos no better than plain motion ({comparison})")
        if (level := self.level) is not None:
            reached = [sum(self.scores[name] >= level for name in self.of(label)) for label in (1, 0)]
            messages.append(
                f"the threshold of 0.50 is not the best here: {reached[0]} of {len(self.of(1))} anomalous and "
                f"{reached[1]} of {len(self.of(0))} normal videos reach {level:.2f}; see detect --threshold {level:.2f}"
            )
        return messages

    @property
    def level(self) -> float | None:
        """The score that separates the labels best, where 0.5 separates them far worse; None else."""
        if self.protocol == "in sample":
            return None
        peaks = [np.array([self.scores[name] for name in self.of(label)]) for label in (1, 0)]
        sorted_peaks = np.sort(np.concatenate(peaks))
        levels = np.unique(((sorted_peaks[1:] + sorted_peaks[:-1]) / 2).clip(0.01, 0.99).round(2))
        gains = [float((peaks[0] >= level).mean() - (peaks[1] >= level).mean()) for level in levels]
        now = self.count(1) / len(self.of(1)) - self.count(0) / len(self.of(0))
        if max(gains) <= now + WIDE:
            return None
        best = levels[np.array(gains) == max(gains)]  # of these the one farthest from any video
        return float(best[np.abs(best[:, None] - sorted_peaks).min(1).argmax()])

    @property
    def facts(self) -> Facts:
        """The estimate as a table."""
        (low, high), groups = self.interval, [self.of(label) for label in (1, 0)]
        alarmed = [[name for name in group if self.alarms[name]] for group in groups]
        wrong = [name for name in groups[0] if not self.alarms[name]], alarmed[1]
        shares = [f"{len(names)} ({len(names) / len(group):.0%})" for names, group in zip(alarmed, groups, strict=True)]
        rows = [
            ("videos", *(str(len(group)) for group in groups)),
            ("with an alarm", *shares),
            ("highest score, median", *(_short(float(np.median([self.scores[k] for k in g]))) for g in groups)),
            ("missed; false alarms", *(_first_names(names) for names in wrong)),
        ]
        motion = "" if self.motion is None else f" Plain motion, without training: {_short(self.motion)}."
        note = f"Scored {self.protocol}: {WORDS[self.protocol]}. AUC of the highest scores: {_short(self.auc)}.{motion}"
        expect = (
            ""
            if self.protocol == "in sample"
            else f" 95 % interval for as many similar videos: {_short(low)} to {_short(high)}."
        )
        return Facts("Estimate for new videos", ("anomalous", "normal"), rows, note + expect)

    def plain(self) -> dict[str, Any]:
        """The estimate as plain values, for ``metrics.json``."""
        low, high = self.interval
        counts = {
            word: {"videos": len(self.of(label)), "alarms": self.count(label)}
            for label, word in ((1, "anomalous"), (0, "normal"))
        }
        numbers = {"how": self.protocol, "parts": self.parts, **counts, "vauc": self.auc, "low": low, "high": high}
        more = {"motion": self.motion, "line": self.line, "warnings": self.warnings}
        return {**numbers, **more, "scores": dict(self.scores), "alarms": [k for k, on in self.alarms.items() if on]}


def _first_names(names: Sequence[str]) -> str:
    rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return (", ".join(names[:SHOWN]) + rest) or "none"


def _short(share: float) -> str:
    return f"{share:.2f}"


def check(
    bags: Sequence[Bag],
    fitted: Fitted,
    config: ModelConfig,
    held: Sequence[Video],
    device: str,
    *,
    cross: bool = True,
    quiet: bool = True,
) -> Sanity:
    """Estimate the quality of the model on new videos, from the (not normalized) bags of its training.

    Videos are scored out of fold where each label has two files; by the validation videos ``held`` where these are
    many, or ``cross`` is false, or several processes train; else in sample, which is no estimate.
    """
    videos = [bag.video for bag in bags]
    files = _files(videos)
    count = {label: sum(value == label for value in files.values()) for label in (0, 1)}
    spared = min(sum(video.label == label for video in held) for label in (0, 1))
    parts = min(PARTS, *count.values()) if cross and distributed.team().size == 1 and spared < MANY else 0
    protocol: Protocol = "out of fold" if parts > 1 else "on validation videos" if spared else "in sample"
    trouble = ""
    if protocol == "out of fold":
        try:
            predictions = crossed(bags, config, parts, device, quiet)
        except WherewhenError as error:  # the model itself is trained and must not be lost
            protocol, trouble = (
                "on validation videos" if spared else "in sample",
                f"no model could be cross-fitted: {error}",
            )
    if protocol != "out of fold":
        chosen = {video.id for video in (held if spared else videos)}
        predictions = predicted(
            fitted.best, BagSubset(bags, [k for k, video in enumerate(videos) if video.id in chosen])
        )
    labels = {video.id: int(video.label or 0) for video in videos if video.id in predictions}
    return Sanity(
        protocol,
        labels,
        {name: _peak(predictions[name]) for name in labels},
        {name: bool(predictions[name].events) for name in labels},
        plain_motion(bags, labels, fitted.best),
        tuple(word for label, word in ((1, "anomalous"), (0, "normal")) if count[label] < 2),
        parts if protocol == "out of fold" else 0,
        trouble,
    )


def of_peaks(bags: Sequence[Bag], model: Model, peaks: Mapping[str, float]) -> Sanity:
    """Estimate the quality of the model from ``peaks``: raw highest scores of its training videos, out of fold."""
    labels = {bag.video.id: int(bag.video.label or 0) for bag in bags if bag.video.id in peaks}
    raw = np.array([peaks[name] for name in labels])
    scores = dict(zip(labels, calibrate(raw, model.threshold).tolist(), strict=True))
    alarmed = {name: score >= model.alarm for name, score in scores.items()}
    return Sanity("out of fold", labels, scores, alarmed, plain_motion(bags, labels, model), parts=FOLDS)


def crossed(
    bags: Sequence[Bag], config: ModelConfig, parts: int, device: str, quiet: bool = True
) -> dict[str, Prediction]:
    """Predictions for each bag by a model that learned from other files, in so many parts.

    The models share the steps of the training and use no validation videos.
    """
    steps = max(1, config.training.steps // parts)
    training = replace(config.training, steps=steps, validate_every=steps)
    quick = replace(config, training=training, validation=0.0)
    part = split([bag.video for bag in bags], parts, config.seed)
    predictions: dict[str, Prediction] = {}
    for number in range(parts):
        learn, judge = ([k for k, index in enumerate(part) if (index == number) == test] for test in (False, True))
        model = fit(BagSubset(bags, learn), quick, device=device, quiet=quiet).last
        predictions |= predicted(model, BagSubset(bags, judge))
    return predictions


def split(videos: Sequence[Video], parts: int, seed: int) -> list[int]:
    """The part of each video; videos of one file are in one part, and labels are distributed evenly.

    >>> from pathlib import Path
    >>> clips = [Video(f"{n}", Path(f"{n // 2}.mp4"), n // 4) for n in range(8)]
    >>> part = split(clips, 2, 0)
    >>> [part[n] == part[n + 1] for n in (0, 2, 4, 6)], part[0] != part[2]
    ([True, True, True, True], True)
    """
    rng = np.random.default_rng(seed)
    files, place = _files(videos), dict[str, int]()
    for value in (0, 1):
        names = [name for name, label in files.items() if label == value]
        place |= {names[k]: number % parts for number, k in enumerate(rng.permutation(len(names)).tolist())}
    return [place[str(video.path)] for video in videos]


def _files(videos: Sequence[Video]) -> dict[str, int]:
    """The label of each file: anomalous where any of its videos is."""
    files: dict[str, int] = {}
    for video in videos:
        files[str(video.path)] = max(files.get(str(video.path), 0), int(video.label or 0))
    return files


def plain_motion(bags: Sequence[Bag], labels: Mapping[str, int], model: Model) -> float | None:
    """AUC of the same videos by their amount of motion, without training; None where it is unknown."""
    view = model.config.scored
    peaks = []
    for bag in bags:
        if bag.video.id in labels:
            motion = moving(bag.views[view])
            if motion is None:
                return None
            views = {**model.normalized_bag(bag).views, evaluator.DIFFERENCE: motion}
            truth = {bag.video.id: Truth(motion.extents[[0, -1], [0, 1]])}
            (prediction,) = evaluator.trivial_predictions("motion_only", model, [Bag(bag.video, views)], truth).values()
            peaks.append(_peak(prediction))
    return roc_auc(peaks, [labels[bag.video.id] for bag in bags if bag.video.id in labels])


def moving(instances: Instances) -> Instances | None:
    """The amount of motion of instances on a grid, as a grid of one number; None where not measured."""
    if instances.shape is None or instances.detail is None:
        return None
    steps, rows, columns = instances.detail.shape
    spans = instances.extents.reshape(instances.shape[0], -1, 6)[:, 0, :2]
    places = ext.grid([0, 1, 0, 0, 1, 1], (1, rows, columns))
    extents = np.tile(places, (steps, 1))
    extents[:, :2] = spans.repeat(rows * columns, 0)
    return Instances(instances.detail.reshape(-1, 1), extents, shape=instances.detail.shape)


def predicted(model: Model, bags: Sequence[Bag]) -> dict[str, Prediction]:
    """Predictions for (not normalized) bags."""
    return evaluator.detect_bags(
        model, (normalized_bag for bag in bags for normalized_bag in evaluator.normalized(model, [bag]))
    )


def _peak(prediction: Prediction) -> float:
    assert prediction.frames is not None
    return float(prediction.frames.values.max())
