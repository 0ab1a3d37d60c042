"""Verdicts of people as weak labels: short bags to learn from beside the old training videos."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wherewhen.core.errors import ConfigError, unknown
from wherewhen.core.values import Bag, Floats, Instances, Masks, Video
from wherewhen.extraction import loading
from wherewhen.extraction.extractor import FeatureSpec
from wherewhen.inference.frame_scores import frame_scores
from wherewhen.inference.model import Model
from wherewhen.video.batch import Quarantine

if TYPE_CHECKING:
    from wherewhen.review.judged import Box, Judged

log = logging.getLogger("wherewhen")

CONTEXT = 10.0  # seconds around an item whose features are read too, for what a score depends on
MARGIN = {"false": 1.0, "true": 2.0, "wrong_place": 2.0, "missed": 0.0}
"""Seconds around the span of a verdict that its bag holds too; other verdicts make no bag."""
HARD = 0.25  # share of the normal bags drawn that are rejected alerts, at most
OFTEN = 8.0  # how often a rejected alert is drawn as a normal video, at most
HELD_OUT = 5  # one of so many cameras and hours judges the new model and is not learned from


@dataclass(frozen=True)
class WeakLabel:
    """A verdict as training takes it: a span of a video file with a label.

    ``start``, ``end``: seconds of the item. ``span``: seconds of its bag. ``keep``: instances outside of this box are
    left out; ``drop``: so are those inside of this one. ``cluster``: number of its look-alikes, None without any.
    ``held_out``: it judges models and is never learned from.
    """

    id: str
    camera: str
    path: Path
    label: int
    start: float
    end: float
    span: tuple[float, float]
    category: str | None = None
    keep: Box | None = None
    drop: Box | None = None
    cluster: int | None = None
    at: float = 0.0
    held_out: bool = False

    @classmethod
    def of(cls, item: Judged) -> WeakLabel | None:
        """The weak label of a verdict; None for one that training leaves out. ConfigError for an unknown verdict."""
        if item.verdict == "unsure":
            return None
        if item.verdict not in MARGIN:
            raise ConfigError(unknown("verdict", item.verdict[:40], (*MARGIN, "unsure")))
        margin = MARGIN[item.verdict]
        start, end = max(0.0, item.start), max(item.end, item.start + 0.1)
        places: tuple[Box | None, Box | None] = (None, None)
        if item.verdict == "wrong_place":
            places = (item.box, None if item.box else item.shown_box)
        return cls(
            item.id, item.camera, item.footage, int(item.verdict != "false"), start, end,
            (max(0.0, start - margin), end + margin), item.category, *places, item.cluster, item.at,
            is_held_out(item.camera, item.hour),
        )  # fmt: skip

    def video(self, span: tuple[float, float]) -> Video:
        """A span of the file as a video with the label."""
        category = self.category if self.label else None
        return Video(f"verdict {self.id}", self.path, self.label, category, span)


def is_held_out(camera: str, hour: str) -> bool:
    """Whether verdicts of a camera and hour judge models instead of training them: about a fifth, always the same.

    >>> sum(is_held_out("yard", f"2026-11-30T{hour:02}") for hour in range(24))
    7
    """
    return int.from_bytes(hashlib.sha256(f"{camera}\0{hour}".encode()).digest()[:8]) % HELD_OUT == 0


def weak_labels(items: Iterable[Judged]) -> list[WeakLabel]:
    """The weak labels of verdicts, without those that training leaves out."""
    return [label for item in items if (label := WeakLabel.of(item)) is not None]


@dataclass(frozen=True)
class Read:
    """A weak label with its features: ``bag`` to learn from, ``around`` with context, for scores.

    ``placed``: whether its place is taken into account; False where instances cover the whole picture.
    """

    label: WeakLabel
    bag: Bag
    around: Bag
    placed: bool = True

    def peak(self, model: Model) -> float:
        """The highest raw frame score of a model within the item's span."""
        times, scores = frame_scores(model, model.normalized_bag(self.around))
        inside = (times[:, 1] > self.label.start) & (times[:, 0] < self.label.end)
        return float(scores[inside].max()) if inside.any() else float(scores.max())


def read(
    labels: Sequence[WeakLabel],
    specs: Mapping[str, FeatureSpec],
    *,
    quarantine: Quarantine | None = None,
    quiet: bool = True,
) -> list[Read]:
    """The features of weak labels in the order given; unreadable ones are listed in ``quarantine`` and left out.

    The bag of a grid is cut out of its context; other instances are computed in the span of the bag alone.
    """
    views, items = dict(specs), list[Read]()
    wide = {f"verdict {label.id}": label for label in labels}
    videos = [label.video((max(0.0, label.start - CONTEXT), label.end + CONTEXT)) for label in wide.values()]
    for around in loading.bags(videos, views, quarantine=quarantine, quiet=quiet):
        label = wide[around.video.id]
        exact = label.video(label.span)
        if all(instances.shape is not None for instances in around.views.values()):
            items.append(cut(label, around))
            continue
        bag = next(iter(loading.bags([exact], views, quarantine=quarantine, quiet=True)), around)
        items.append(_read(label, bag, around))
    if unplaced := sum(not item.placed for item in items):
        log.warning(
            "%d verdicts with a place count in time only: the instances of this model cover the whole picture", unplaced
        )
    return items


def cut(label: WeakLabel, around: Bag) -> Read:
    """A weak label whose bag is cut out of the features of its video, which are grids and have its context."""
    parts = {name: between(instances, *label.span) for name, instances in around.views.items()}
    return _read(label, replace(around, video=label.video(label.span), views=parts), around)


def _read(label: WeakLabel, bag: Bag, around: Bag) -> Read:
    placed = {name: in_place(instances, label) for name, instances in bag.views.items()}
    return Read(label, replace(bag, views=placed), around, _is_placed(label, bag))


def between(instances: Instances, start: float, end: float) -> Instances:
    """The time steps of a grid that overlap a span of seconds; the nearest one where none does."""
    _, h, w = instances.shape or (1, 1, len(instances.features))
    starts, ends = (instances.extents[:: h * w, column] for column in (0, 1))
    inside = np.flatnonzero((ends > start) & (starts < end))
    first, last = (inside[0], inside[-1] + 1) if len(inside) else _nearest(starts, start)
    rows = slice(first * h * w, last * h * w)
    detail = None if instances.detail is None else instances.detail[first:last]
    shape = (int(last - first), h, w)
    return Instances(instances.features[rows], instances.extents[rows], instances.track[rows], shape, detail)


def _nearest(starts: Floats, start: float) -> tuple[int, int]:
    number = int(np.abs(starts - start).argmin())
    return number, number + 1


def in_place(instances: Instances, label: WeakLabel) -> Instances:
    """The instances with those emptied that the place of a verdict excludes; unchanged where that would be all.

    An instance is emptied by zeros, which no method scores. Of a box to ``drop`` all are excluded that have most of
    their area inside; of one to ``keep``, all that are outside.
    """
    excluded = _excluded(instances, label)
    if not excluded.any() or excluded[instances.features.any(1)].all():
        return instances
    return replace(instances, features=np.where(excluded[:, None], np.float32(0), instances.features))


def _excluded(instances: Instances, label: WeakLabel) -> Masks:
    """Which instances ``(N,)`` the place of a verdict excludes."""
    low, high = instances.extents[:, 2:4], instances.extents[:, 4:6]
    area = np.maximum((high - low).prod(1), 1e-12)

    def share(box: Box) -> Floats:
        corner = np.array(box[:2])
        sides = np.minimum(high, corner + box[2:]) - np.maximum(low, corner)
        shares: Floats = sides.clip(0).prod(1) / area
        return shares

    excluded = np.zeros(len(area), bool)
    if label.keep is not None:
        excluded |= share(label.keep) <= 0
    if label.drop is not None:
        excluded |= share(label.drop) > 0.5
    return excluded


def _is_placed(label: WeakLabel, bag: Bag) -> bool:
    """Whether the place of a verdict, if it has one, can exclude instances of a bag."""
    whole = all(instances.shape is not None and instances.shape[1:] == (1, 1) for instances in bag.views.values())
    return not whole or (label.keep is None and label.drop is None)


def draws(labels: Sequence[WeakLabel], normal: int) -> dict[str, float]:
    """How often each weak label is drawn for one time that a training video is.

    Rejected alerts are drawn up to 8 times as often as a normal video, and together make up at most a quarter of the
    normal bags; of this, all clusters of look-alikes have the same share at most.

    Args:
        labels: weak labels to learn from.
        normal: number of normal training videos.

    Returns:
        Number of draws by the id of the label's video; a fraction is that of the steps.

    >>> labels = [WeakLabel(f"{n}", "yard", Path("a"), 0, 0, 1, (0, 1), cluster=n // 3) for n in range(4)]
    >>> draws(labels, 18)
    {'verdict 0': 1.0, 'verdict 1': 1.0, 'verdict 2': 1.0, 'verdict 3': 3.0}
    """
    clusters = Counter(_cluster(label) for label in labels if not label.label)
    share = normal * HARD / (1 - HARD) / max(1, len(clusters))
    return {
        f"verdict {label.id}": 1.0 if label.label else min(OFTEN, share / clusters[_cluster(label)]) for label in labels
    }


def _cluster(label: WeakLabel) -> object:
    """The look-alikes of a weak label; itself where it has none."""
    return ("single", label.id) if label.cluster is None else label.cluster
