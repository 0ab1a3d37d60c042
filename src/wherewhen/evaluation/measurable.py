"""Which videos and metric families a ground truth allows to evaluate, and why not others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from wherewhen.core import registry
from wherewhen.core.contracts import Metric
from wherewhen.core.errors import ConfigError, DataError
from wherewhen.core.values import Bag, Floats, Instances, Truth, Video
from wherewhen.metrics import lacks

FAMILIES = ("frame", "video", "pixel", "tiou", "pointing")  # of metrics, measured by default
ALARMS = "delay"  # the family for normal videos alone: how often an alarm is false
USUAL = (*FAMILIES, ALARMS)
SHOWN = 5  # names in a note


@dataclass(frozen=True, slots=True)
class Measurable:
    """Metric families that a truth allows, and why not the others, by family."""

    families: tuple[str, ...]
    skipped: Mapping[str, str]

    @property
    def notes(self) -> list[str]:
        """One line for each reason, with the families that it keeps out.

        >>> Measurable(("frame",), {"pixel": "the truth has no boxes", "tiou": "the truth has no boxes"}).notes
        ['pixel, tiou: skipped, the truth has no boxes']
        """
        reasons = dict.fromkeys(self.skipped.values())
        by_reason = {reason: [name for name, r in self.skipped.items() if r == reason] for reason in reasons}
        return [f"{', '.join(names)}: skipped, {reason}" for reason, names in by_reason.items()]


def named(text: str | None) -> tuple[str, ...] | None:
    """Metric families out of names between commas; None without text. ConfigError for a name that is unknown.

    >>> named("frame, pixel,"), named(None)
    (('frame', 'pixel'), None)
    """
    if text is None:
        return None
    families = tuple(dict.fromkeys(name for part in text.split(",") if (name := part.strip())))
    if not families:
        raise ConfigError(f"metrics: expected names between commas, such as frame,pixel; got {text!r}")
    for name in families:
        registry.load("metrics", name)
    return families


def measurable(names: Sequence[str] | None, truths: Iterable[Truth]) -> Measurable:
    """Which of the named families, or of the usual ones, these truths allow.

    Where they allow none of the usual ones, false alarms are counted, if they allow that.
    """
    held = list(truths)
    reasons = {name: _lack(name, held) for name in (FAMILIES if names is None else names)}
    skipped = {name: reason for name, reason in reasons.items() if reason}
    families = tuple(name for name, reason in reasons.items() if not reason)
    if not families and names is None and not _lack(ALARMS, held):
        families = (ALARMS,)
    return Measurable(families, skipped)


def demanded(names: Sequence[str] | None, truths: Iterable[Truth], where: str) -> Measurable:
    """The same, but DataError for a named family that is not defined."""
    allowed = measurable(names, truths)
    if names is not None and allowed.skipped:
        raise refused(allowed.skipped, where)
    return allowed


def refused(skipped: Mapping[str, str], where: str) -> DataError:
    """The error for named families that are not defined."""
    reasons = "; ".join(f"{name}: {reason}" for name, reason in skipped.items())
    return DataError(f"{where}: can't be measured by {reasons}. Leave it out of --metrics")


def _lack(family: str, truths: Sequence[Truth]) -> str | None:
    metric: Metric = registry.load("metrics", family)
    return lacks(metric.needs, truths)


@dataclass(frozen=True, slots=True)
class EvaluationSet:
    """The videos of a data set that can be judged, the truth of each, and notes on them.

    ``labels``: whether the truths are labels of whole videos alone.
    """

    videos: tuple[Video, ...]
    truths: Mapping[str, Truth]
    notes: tuple[str, ...]
    labels: bool = False

    def truths_of(self, bags: Iterable[Bag], view: str) -> dict[str, Truth]:
        """The truths of the videos of these bags; a label holds for the whole time of this view of its bag."""
        if self.labels:
            return {bag.video.id: _of_label(bag.video, _clock(bag.views[view])) for bag in bags}
        return {bag.video.id: self.truths[bag.video.id] for bag in bags}


def evaluation_set(videos: Sequence[Video], truths: Mapping[str, Truth], where: str) -> EvaluationSet:
    """The videos that have a truth; if none has, those with a label of the whole video.

    DataError without both.
    """
    having = tuple(video for video in videos if video.id in truths)
    if having:
        by_id = {video.id: truths[video.id] for video in having}
        without = [video.id for video in videos if video.id not in truths]
        notes = [f"left out, no truth is known: {_listed(without)}"] if without else []
        return EvaluationSet(having, by_id, (*notes, *_remarks(by_id.values())))
    labelled = tuple(video for video in videos if video.label is not None)
    if not labelled:
        raise DataError(f"{where}: no truth and no label is known of any of its {len(videos)} videos")
    without = [video.id for video in videos if video.label is None]
    notes = [f"left out, no label is known: {_listed(without)}"] if without else []
    by_id = {video.id: _of_label(video, np.array([0.0, 1.0])) for video in labelled}
    return EvaluationSet(labelled, by_id, tuple(notes), labels=True)


def by_fold(
    names: Sequence[str] | None, parts: Sequence[EvaluationSet], where: str
) -> tuple[list[tuple[str, ...]], list[str]]:
    """The families of each fold's test part, and notes: what is left out, and why.

    DataError for a named family that is not defined in any fold.
    """
    folds = [measurable(names or FAMILIES, part.truths.values()) for part in parts]
    if names is None and not any(fold.families for fold in folds):
        folds = [measurable(None, part.truths.values()) for part in parts]
    notes, nowhere = list(dict.fromkeys(note for part in parts for note in part.notes)), dict[str, str]()
    for family in dict.fromkeys(name for fold in folds for name in fold.skipped):
        reasons = [fold.skipped[family] for fold in folds if family in fold.skipped]
        if len(reasons) == len(parts):
            nowhere[family] = reasons[0]
        else:
            notes.append(f"{family}: skipped in {len(reasons)} of {len(parts)} folds, {reasons[0]}")
    if names and nowhere:
        raise refused(nowhere, where)
    return [fold.families for fold in folds], [*notes, *Measurable((), nowhere).notes]


def _of_label(video: Video, edges: Floats) -> Truth:
    """The truth of a label alone; for a normal video it is complete."""
    spans = edges[[0, -1]] if video.label else np.empty((0, 2))
    return Truth(edges, spans, timed=not video.label)


def _clock(view: Instances) -> Floats:
    """The borders of all time steps of a view, in seconds."""
    edges: Floats = np.unique(view.extents[:, :2]) if view.paths is None else view.paths.edges
    return edges


def _remarks(truths: Iterable[Truth]) -> list[str]:
    anomalous = [truth for truth in truths if truth.label]
    if anomalous and all(truth.frames.all() for truth in anomalous):
        return [
            "every anomalous video is anomalous from its first to its last frame: frame measures rank whole videos "
            "and weigh them by their length; use vauc and vap instead"
        ]
    return []


def _listed(ids: Sequence[str]) -> str:
    rest = f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
    return f"{len(ids)} videos, {', '.join(ids[:SHOWN])}{rest}" if len(ids) > 1 else ids[0]
