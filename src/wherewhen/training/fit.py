"""Training from labels of whole videos: bags to a model."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wherewhen.core.contracts import CLIP, Classes, MethodAbilities
from wherewhen.core.errors import DataError
from wherewhen.core.store import fingerprint
from wherewhen.core.values import Bag, Instances, Video
from wherewhen.extraction.cameras import camera_groups, pictures_of
from wherewhen.extraction.crops import CropBags, side_by_side
from wherewhen.extraction.loading import BagSubset, LazyBags, MappedBags
from wherewhen.inference.camera_normalizer import CAMERA, AnyNormalizer, CameraNormalizer
from wherewhen.inference.frame_scores import frame_scores
from wherewhen.inference.model import Model
from wherewhen.inference.model_config import ModelConfig, changed_view
from wherewhen.inference.running_normalizer import BOTH, PAST, with_past
from wherewhen.runtime.devices import pick_device
from wherewhen.training import loop
from wherewhen.training.batches import WHOLE, Batches, class_names, label_of, mixed_names, thinned
from wherewhen.training.clock import Clock
from wherewhen.training.folds import validation_ids
from wherewhen.training.weighted_models import WeightedModels

if TYPE_CHECKING:
    from wherewhen.inference.normalizer import Normalizer

log = logging.getLogger("wherewhen")

NORMALIZED = 2**27  # values that the normalizer learns from: of longer videos every k-th time step
MOVERS = 200  # instances that move that a training bag holds at most, where the method doesn't choose
BANK = 4096  # cells of normal training videos that a model keeps
ENOUGH = 30.0  # seconds of normal videos that a camera needs for statistics of its own
FEW = 8  # with fewer training videos of either label than this, all are learnt from and none validates


def split_videos(
    videos: Sequence[Video], share: float, seed: int, chosen: Collection[str] = ()
) -> tuple[list[Video], list[Video]]:
    """Divide training videos into those to learn from and those to validate on, label by label.

    With fewer than 8 videos of a label none is held out: all are trained on. With 4 cameras or more of each label no
    camera is on both sides. ``chosen``: ids of the validation videos, where the data set defines them.

    >>> clips = [Video(f"{label}{n}", Path("x"), label) for label in (0, 1) for n in range(10)]
    >>> [len(part) for part in split_videos(clips, 0.2, 0)]
    [16, 4]
    """
    rng = np.random.default_rng(seed)
    held = set(chosen)
    by_label = [[v.id for v in videos if v.label == label] for label in (0, 1)]
    if not held and share > 0 and min(map(len, by_label)) >= FEW:
        held = set(validation_ids(videos, share, seed))
        for ids in by_label if not held else ():
            count = min(max(1, round(share * len(ids))), len(ids) - 2)
            held |= set(rng.permutation(ids)[:count].tolist())
    return [v for v in videos if v.id not in held], [v for v in videos if v.id in held]


@dataclass(frozen=True)
class VersionedBags(LazyBags):
    """Each bag, followed by its views of changed pictures as bags of their own.

    ``versions``: how many of each bag there are. ``views``: names of the views that they have.
    """

    bags: Sequence[Bag]
    views: Sequence[str]
    versions: int

    def __len__(self) -> int:
        return self.versions * len(self.bags)

    def at(self, index: int) -> Bag:
        """One version of a bag."""
        number, version = divmod(index, self.versions)
        bag = self.bags[number]
        return replace(bag, views={name: bag.views[changed_view(name, version)] for name in self.views})


def check_labels(videos: Sequence[Video]) -> None:
    """DataError unless both labels are there and every video has one."""
    missing = [v.id for v in videos if v.label is None]
    if missing:
        raise DataError(f"training needs a label on every video; none on {', '.join(missing[:5])}")
    for label, word in ((0, "normal"), (1, "anomalous")):
        if not any(v.label == label for v in videos):
            raise DataError(f"training needs normal and anomalous videos; there is no {word} one")


@dataclass(frozen=True)
class Fitted:
    """The outcome of training: the model of the last step and the one that validation liked best.

    ``learned``, ``held_out``: the videos that it learned from, and those that validated it. ``judged``: the model that
    the judge preferred, if there was one.
    """

    last: Model
    best: Model
    history: list[dict[str, float]]
    learned: list[Video] = field(default_factory=list)
    held_out: list[Video] = field(default_factory=list)
    judged: Model | None = None


@dataclass(frozen=True, slots=True)
class _BagSummary:
    """A summary of a bag: its video, and the shape and sum of the features of each view."""

    video: Video
    shapes: dict[str, tuple[int, int]]
    totals: dict[str, float]
    seconds: float

    @classmethod
    def of(cls, bag: Bag, views: Iterable[str]) -> _BagSummary:
        """The summary of one bag."""
        features = {name: bag.views[name].features for name in views}
        shapes = {name: (len(values), values.shape[1]) for name, values in features.items()}
        totals = {name: float(values.sum(dtype=np.float64)) for name, values in features.items()}
        times = [bag.views[name].extents[:, :2] for name in features]
        seconds = max(float(part[:, 1].max() - part[:, 0].min()) for part in times)
        return cls(bag.video, shapes, totals, seconds)

    def size(self, view: str) -> int:
        """How many numbers the features of a view are."""
        rows, length = self.shapes[view]
        return rows * length


def fit(
    bags: Sequence[Bag],
    config: ModelConfig,
    *,
    folder: Path | None = None,
    device: str = "auto",
    resume: bool = False,
    judge: Callable[[Model], float] | None = None,
    quiet: bool = True,
    validation: Collection[str] = (),
    clock: Clock | None = None,
    thresholds: bool = True,
    draws: Mapping[str, float] | None = None,
) -> Fitted:
    """Train a method on labelled bags (not yet normalized).

    ``folder``: where checkpoints and logs go; ``resume`` continues from the checkpoint there. ``validation``: ids of
    the videos to validate on; else a share of them all is drawn. ``judge``: gives a number for the model at every
    validation, whose threshold is .5; the model with the highest one is kept, apart from training. ``clock``: when it
    is over, training stops with OutOfTime. ``thresholds``: choose them, which scores all bags; without, they stay 0.5.
    ``draws``: how often some videos, by id, are drawn for one time that others are; these videos never validate.
    """
    names, draws = list(config.views), draws or {}
    check_labels([b.video for b in bags])
    summaries = [_BagSummary.of(bag, names) for bag in bags]
    device = pick_device(device)
    old, weak = ([s.video for s in summaries if (s.video.id in draws) == is_weak] for is_weak in (False, True))
    learn, hold = split_videos(old, config.validation, config.seed, validation)
    learn = learn + weak
    usual = {v.id for v in learn if v.label == 0}
    by_camera = any(config.normalizer_of(name) == CAMERA for name in names)
    groups = camera_groups([summary.video for summary in summaries]) if by_camera else {}
    cameras = _cameras(summaries, groups)
    normalizers = {name: _normalizer(bags, summaries, usual, config, name, cameras) for name in names}

    def normalized(bag: Bag) -> Bag:
        camera = groups.get(bag.video.id)
        return replace(bag, views={name: normalizers[name].at(camera)(bag.views[name]) for name in names})

    ready: Sequence[Bag] = MappedBags(bags, normalized)
    if sum(summary.size(name) for summary in summaries for name in names) <= WHOLE:
        ready = list(ready)
    dims = {name: normalizers[name].width(length) for name, (_, length) in summaries[0].shapes.items()}
    classes = _classes(config, [summary.video for summary in summaries])
    state = loop.State.begun(config, dims, device, classes)
    held_out = {v.id for v in hold}
    parts = [
        [k for k, summary in enumerate(summaries) if (summary.video.id in held_out) == held] for held in (False, True)
    ]
    class_labels = classes.labels if classes else ()
    versions = 1 + len(config.changes)
    versioned = VersionedBags(bags, names, versions)
    learned = MappedBags(versioned, normalized) if config.changes else ready
    rows = [versions * k + version for k in parts[0] for version in range(versions)]
    batches = batches_of(versioned, learned, rows, config, device, class_labels, versions, draws)
    held = batches_of(bags, ready, parts[1], config, device, class_labels) if hold else None
    bank = bank_of(ready, config)
    pictured = {name: pictures_of(videos) for name, videos in cameras.items()}

    threshold_of = (lambda model: choose_threshold(model, ready)) if thresholds else None
    models = WeightedModels(config, normalizers, dims, classes, bank, device, pictured, threshold_of)
    judging = None if judge is None else lambda: judge(models.plain(state.method.state_dict()))
    key = _key(config, summaries, hold, class_labels, groups, draws)
    record = loop.Record.begun(state, key, folder, resume, judging)
    try:
        loop.learn(state, batches, held, config, record.look, quiet, clock)
    finally:
        record.close()
    last = models.finish(state.method.state_dict())
    best = models.finish(state.best) if held else last
    judged = None if judge is None else models.finish(state.judged) if state.judged else last
    return Fitted(last, best, state.history, learn, hold, judged)


def _cameras(summaries: Sequence[_BagSummary], groups: Mapping[str, str]) -> dict[str, list[Video]]:
    """The normal videos of each camera that has at least 30 seconds of them; ``groups``: the camera of each, by id."""
    normal: dict[str, list[_BagSummary]] = {}
    for summary in summaries:
        if summary.video.label == 0 and summary.video.id in groups:
            normal.setdefault(groups[summary.video.id], []).append(summary)
    enough = {name: parts for name, parts in normal.items() if sum(part.seconds for part in parts) >= ENOUGH}
    if groups:
        log.info("normalizer: %d of %d cameras have statistics of their own", len(enough), len(set(groups.values())))
    return {name: [part.video for part in parts] for name, parts in enough.items()}


def _normalizer(
    bags: Sequence[Bag],
    summaries: Sequence[_BagSummary],
    usual: set[str],
    config: ModelConfig,
    name: str,
    cameras: Mapping[str, Sequence[Video]],
) -> AnyNormalizer:
    """The normalizer of a view, fitted on the ``usual`` videos, and on the normal videos of each of the ``cameras``."""
    from wherewhen.inference.normalizer import Normalizer

    kind = config.normalizer_of(name)
    if kind == "none":
        return Normalizer.none()
    length = next((bag.views[name].features.shape[1] for bag in bags), 0)

    def of(ids: set[str], by_place: bool = True) -> Normalizer:
        total = sum(summary.size(name) for summary in summaries if summary.video.id in ids)
        rows = thinned((b.views[name] for b in bags if b.video.id in ids), total, NORMALIZED)
        return statistics(rows, config, name, length, by_place)

    trained = of(usual, kind != CAMERA)
    if kind != CAMERA:
        return with_past(trained, kind)
    parts = {camera: of({video.id for video in videos}) for camera, videos in cameras.items()}
    same = {camera: part.toward(trained, 0.0) for camera, part in parts.items()}  # principal components of all cameras
    return CameraNormalizer(trained, same)


def statistics(
    rows: Sequence[Instances], config: ModelConfig, name: str, length: int, by_place: bool = True
) -> Normalizer:
    """The statistics of normal instances of a view with features of this length, as the configuration requires.

    ``by_place``: by place, where the kind of normalizer has them so; False: of all places together.
    """
    from wherewhen.inference.normalizer import Normalizer

    kind = config.normalizer_of(name)
    return Normalizer.fit(
        rows,
        by_place=by_place and kind in ("places", BOTH, CAMERA),
        decorrelate=kind != PAST,
        groups=config.column_groups(length),
        components=config.components,
    )


def _classes(config: ModelConfig, videos: Sequence[Video]) -> Classes | None:
    """The classes of a method that distinguishes them; None for any other."""
    if not config.tells_classes:
        return None
    return Classes(class_names(videos), config.reader(), mixed_names(videos))


def batches_of(
    raw: Sequence[Bag],
    ready: Sequence[Bag],
    indices: list[int],
    config: ModelConfig,
    device: str,
    names: Sequence[str] = (),
    versions: int = 1,
    draws: Mapping[str, float] | None = None,
) -> Batches:
    """Some bags, by their numbers, ready to be drawn from.

    ``versions``: how many in a row are of one video. ``draws``: how often each video, by id, is drawn.
    """
    settings = config.settings[config.method]
    method = config.part("method")
    abilities: MethodAbilities = method.abilities
    summary = method.summary if abilities.summarizes_steps else None
    by_clip = abilities.divides_time and settings.bag == CLIP
    segments = settings.segments if abilities.averages_time and not by_clip else None
    movers = None if abilities.samples_instances else MOVERS  # a method that samples does so anew each step
    options = config.views, config.training.bags, config.seed, device, segments
    rows: Sequence[Bag] = BagSubset(raw, indices)
    drawn: Sequence[Bag] = BagSubset(ready, indices)
    joint = abilities.joins_crops and settings.joint
    by_crop = config.crop_mode == "separate" and not joint
    if by_crop:
        rows, drawn = CropBags(rows, config.crops), CropBags(drawn, config.crops)
    elif joint:
        rows, drawn = (MappedBags(part, lambda bag: side_by_side(bag, config.crops)) for part in (rows, drawn))
    more: dict[str, Any] = {"movers": movers, "names": names, "summary": summary, "divided": by_clip}
    more["versions"] = 1 if by_clip or by_crop else versions  # steps, crops of all versions are bags of their own
    more["draws"] = draws
    return Batches(drawn, *options, raw=rows, **more)


def _key(
    config: ModelConfig,
    summaries: Sequence[_BagSummary],
    hold: Sequence[Video],
    names: Sequence[str] = (),
    groups: Mapping[str, str] | None = None,
    draws: Mapping[str, float] | None = None,
) -> str:
    """The identity of a training: its settings, its bags, which of them validate, and how often some are drawn."""

    def sizes(summary: _BagSummary) -> list[Any]:
        return [part for name in summary.shapes for part in (summary.shapes[name], summary.totals[name])]

    bags = [(summary.video.id, summary.video.label, *sizes(summary)) for summary in summaries]
    classes = [list(names), [label_of(summary.video, names) for summary in summaries]] if names else []
    more = [part for part in (groups, draws) if part]
    return fingerprint([config.plain(), bags, [v.id for v in hold], *classes, *more])


def bank_of(bags: Sequence[Bag], config: ModelConfig) -> Instances:
    """A random sample of the scored instances of normal training videos, of those that hold anything if some do."""
    normal = [number for number, bag in enumerate(bags) if bag.video.label == 0]
    held = [np.asarray(bags[number].views[config.scored].features.any(1)) for number in normal]
    full = np.concatenate(held)
    rows = np.flatnonzero(full) if full.any() else np.arange(len(full))
    rows = np.sort(np.random.default_rng(config.seed).permutation(rows)[:BANK])
    ends = np.cumsum([len(part) for part in held])
    features, extents = [], []
    parts = np.split(rows, np.searchsorted(rows, ends[:-1]))
    for number, part, end, flags in zip(normal, parts, ends, held, strict=True):
        if len(part):
            cells, local = bags[number].views[config.scored], part - (end - len(flags))
            features.append(cells.features[local])
            extents.append(cells.extents[local])
    return Instances(np.concatenate(features), np.concatenate(extents))


def choose_threshold(model: Model, bags: Sequence[Bag]) -> float:
    """The raw frame score that becomes 0.5, from labels on (normalized) training bags alone.

    A quarter of the way from what normal videos reach in 1 % of their time to what anomalous videos typically peak at.
    """
    normal: list[float] = []
    peaks: list[float] = []
    for bag in bags:
        _, raw = frame_scores(model, bag)
        if bag.video.label:
            peaks.append(float(raw.max()))
        else:
            normal += raw.tolist()
    quiet = float(np.quantile(normal, 0.99))
    return quiet + max(0.0, float(np.median(peaks)) - quiet) / 4
