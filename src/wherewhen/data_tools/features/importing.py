"""Import of other tools' features into a store: with labels, places and times where known."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from wherewhen.core import outputs, registry
from wherewhen.core.config import build, from_file
from wherewhen.core.errors import ConfigError, DataError, StoreError, unknown
from wherewhen.core.extents import WHOLE_PICTURE
from wherewhen.core.feature_file import INDEX, inside, open_features, save_features
from wherewhen.core.store import content_hash, plain
from wherewhen.core.values import Dataset, Features, Floats, Fold, Instances, Truth, Video
from wherewhen.data_tools.features import layouts
from wherewhen.data_tools.features.brought import Brought
from wherewhen.data_tools.features.clocks import RELATIVE, SECONDS, Clips, Clock, clock_of, seconds_of
from wherewhen.data_tools.features.labels import Known as Named
from wherewhen.data_tools.features.labels import Labels, by_name, labels_of
from wherewhen.data_tools.features.layouts import ORDERS, UNKNOWN, Place, plain_name
from wherewhen.data_tools.features.published import USUAL, Lists, add_lists
from wherewhen.datasets._feature_store import read_index, write_index, write_truths
from wherewhen.extraction.extractor import FeatureSpec
from wherewhen.inference.model_config import ModelConfig
from wherewhen.video.batch import Quarantine

log = logging.getLogger("wherewhen")

BACKBONE = "imported"


@dataclass(frozen=True)
class Known:
    """A description of the features; None and ``unknown`` where not given, and nothing is guessed.

    ``size``: width and height of the videos. ``average``: the mean of all crops is kept instead of each.
    """

    backbone: str = UNKNOWN
    settings: Mapping[str, Any] | None = None
    frames: int | None = None
    stride: int | None = None
    rate: float | None = None
    size: tuple[int, int] | None = None
    crop_order: str | None = None
    average: bool = False

    def __post_init__(self) -> None:
        numbers = [n for n in (self.frames, self.stride, self.rate, *(self.size or ())) if n is not None]
        if any(not n > 0 for n in numbers):
            raise ConfigError(f"frames, stride, rate and size are above 0; got {self}")
        if self.crop_order not in (None, *ORDERS):
            raise ConfigError(unknown("order of crops", str(self.crop_order), ORDERS))
        if self.stride is not None and self.frames is None:
            raise ConfigError("a stride without frames per clip gives no times; give both")
        if self.backbone != UNKNOWN:
            plugin = registry.load("backbones", self.backbone)
            build(plugin.Config, self.settings, self.backbone)
        elif self.settings:
            raise ConfigError("settings of which backbone? Name it: --backbone NAME")

    @property
    def clips(self) -> Clips:
        """The timing of the features."""
        return Clips(self.frames, self.stride, self.rate)


@dataclass(frozen=True)
class Said:
    """The source of labels: a table, or the folder of a data set and its reader."""

    source: str | Path
    reader: str | None = None


@dataclass(frozen=True)
class _Task:
    """All that is the same for every video of an import."""

    layout: layouts.Layout
    description: Known
    clips: Clips
    labels: Labels
    crops: int
    length: int
    time: str
    places: list[Place]
    look: FeatureSpec


def bring(
    source: str | Path,
    store: str | Path,
    layout: str = "auto",
    *,
    metadata: Known | None = None,
    labels: Labels | Said | None = None,
    from_name: bool = False,
    stored: str = "float32",
    axes: str = "auto",
    lists: Lists | None = None,
) -> Brought:
    """Read others' files of features and write a store; unreadable files are listed in the quarantine with the reason.

    ``labels``: those of the videos, or their source. ``from_name``: labels of the remaining videos, by the
    names of published data sets. ``axes``: ``time-first`` (T, D), ``time-last`` (D, T), or auto: time is first, and
    DataError where it seems to be last. ``lists``: of a published pack. DataError where names or lengths don't fit.
    """
    root, target, metadata = Path(source), Path(store), metadata or Known()
    if not root.exists():
        raise DataError(f"{root}: no such file or folder")
    if target.is_dir() and any(target.iterdir()) and not (target / INDEX).exists():
        raise ConfigError(f"{target}: holds other files; choose another folder for the store")
    if (target / INDEX).exists():
        read_index(target)
    files = layouts.gathered(root)
    turned = layouts.turned(root, files, axes)
    name = layouts.recognized(root, files, turned) if layout == "auto" else layout
    quarantine = Quarantine(target)
    sizes, reasons = _sizes(files, replace(layouts.layout_of(name), turned=turned))
    if not sizes:
        first, reason = next(iter(reasons.items()))
        listed = quarantine.named(_path(files[first]))
        raise DataError(f"{root}: no file can be read in the layout {name}; {listed}: {reason}")
    if lists is not None and lists.gt is not None and metadata.frames is None:
        metadata = replace(metadata, frames=USUAL)  # frame labels fit no other number, or are refused
    video_labels = _known_of(sizes, labels, metadata, from_name, lists)
    metadata = _rated(metadata, video_labels, sizes)
    task = _task(name, turned, metadata, video_labels, sizes)
    outputs.remove(quarantine.file)
    for key, reason in reasons.items():
        quarantine.add(_path(files[key]), reason)
    imported = _imported(sizes, files, task, target, stored, quarantine)
    videos, truths = imported.videos, imported.truths
    _report(imported, video_labels, quarantine, root)
    folds = _folds(videos, video_labels)
    default = video_labels.default if video_labels.default in {fold.name for fold in folds} else ""
    dataset = Dataset(root.resolve().stem, tuple(videos), folds, default)
    write_index(target, dataset, {task.look.name(videos[0]): task.look.required_settings()})
    write_truths(target, truths)
    labels_found = [v.label for v in videos]
    counts = (labels_found.count(0), labels_found.count(1))
    placed = any(place != WHOLE_PICTURE for place in task.places)
    return Brought(
        len(videos), imported.existing, labels_found.count(None), counts, len(truths),
        quarantine, name, task.crops, placed, task.time, tuple(video_labels.notes),
    )  # fmt: skip


@dataclass
class _Imported:
    """What was imported: videos, how many of them were there already, their truths, and lengths that don't fit."""

    videos: list[Video] = field(default_factory=list)
    existing: int = 0
    truths: dict[str, Truth] = field(default_factory=dict)
    other_lengths: dict[str, str] = field(default_factory=dict)


def _imported(
    names: Iterable[str],
    files: Mapping[str, Mapping[int | None, Path]],
    task: _Task,
    target: Path,
    stored: str,
    quarantine: Quarantine,
) -> _Imported:
    """Write the features of each video of a task; one that can't be read goes to the quarantine."""
    result = _Imported()
    for key in names:
        path = inside(target, task.look.name(Video(key, target)), key)
        try:
            fresh, clock = _import(key, files[key], path, task, stored)
        except DataError as error:
            quarantine.add(_path(files[key]), str(error))
            continue
        result.existing += not fresh
        row = task.labels.rows.get(plain_name(key), Named())
        result.videos.append(Video(key, path, row.label, row.category, camera=row.camera))
        if clock.truth is not None:
            result.truths[key] = clock.truth
        if clock.odd():
            result.other_lengths[key] = clock.odd()
    return result


def _report(imported: _Imported, labels: Labels, quarantine: Quarantine, root: Path) -> None:
    """Warn of lengths that don't fit; DataError where nothing was imported."""
    if not imported.videos:
        first, reason = next(iter(quarantine.reasons.items()))
        raise DataError(f"{root}: nothing could be imported; {first}: {reason}. {quarantine.file} lists all")
    if imported.other_lengths:
        first, share = next(iter(imported.other_lengths.items()))
        count = f"{len(imported.other_lengths)} of {len(imported.videos)} videos"
        text = f"the features of {count} cover another length than the videos have"
        labels.notes.append(f"{text} ({first}: {share}); check --frames-per-clip, --stride and --rate")
        log.warning("%s", labels.notes[-1])


def _known_of(
    sizes: Mapping[str, tuple[int, int, int]],
    labels: Labels | Said | None,
    description: Known,
    from_name: bool,
    lists: Lists | None,
) -> Labels:
    """All that is known of the videos, from every source, by plain name; DataError where names don't fit."""
    names: dict[str, str] = {}
    for key in sizes:
        first = names.setdefault(plain_name(key), key)
        if first != key and (labels or lists):
            raise DataError(f"{first} and {key}: both are features of a video called {plain_name(key)}")
    counts = {name: sizes[key][0] for name, key in names.items()}
    if isinstance(labels, Said):
        lengths = {name: description.clips.span(count) for name, count in counts.items()}
        labels = labels_of(labels.source, labels.reader, lengths, description.rate)
    video_labels = labels or Labels()
    video_labels.check_names(counts)
    for name in counts if from_name else ():
        if name not in video_labels.rows or video_labels.rows[name].label is None:
            video_labels.rows[name] = by_name(name)
    if lists is not None:
        add_lists(video_labels, lists, counts, description.stride or description.frames, description.rate)
    return video_labels


def _path(parts: Mapping[int | None, Path]) -> Path:
    """The file, or the first file, of a video's features."""
    return next(iter(parts.values()))


def _sizes(
    files: Mapping[str, Mapping[int | None, Path]], layout: layouts.Layout
) -> tuple[dict[str, tuple[int, int, int]], dict[str, str]]:
    """``(T, P, D)`` of the readable features that are as most are, and why the others are not, by video."""
    sizes: dict[str, tuple[int, int, int]] = {}
    reasons: dict[str, str] = {}
    for key, parts in files.items():
        try:
            sizes[key] = layouts.measured(parts, layout)
        except DataError as error:
            reasons[key] = str(error)
    if sizes:
        usual = (
            layouts.commonest(p for _, p, _ in sizes.values()),
            layouts.commonest(d for *_, d in sizes.values()),
        )
        for key, (_, *size) in list(sizes.items()):
            if tuple(size) != usual:
                reasons[key] = f"has {size[0]} crops of {size[1]} numbers; most have {usual[0]} of {usual[1]}"
                del sizes[key]
    return sizes, reasons


def _rated(description: Known, labels: Labels, sizes: Mapping[str, Any]) -> Known:
    """The description with the frame rate of all truths, where it has none and some videos have no truth."""
    truths = [] if labels.relative else list(labels.truths.values())
    rates = {round(1 / float(np.median(np.diff(truth.edges))), 3) for truth in truths}
    without = [key for key in sizes if plain_name(key) not in labels.truths]
    if description.rate is not None or description.frames is None or len(rates) != 1 or not without:
        return description
    (rate,) = rates
    labels.notes.append(f"{len(without)} videos without truth count as {rate:g} frames per second, as those with truth")
    return replace(description, rate=rate)


def _task(
    name: str, turned: bool, description: Known, labels: Labels, sizes: Mapping[str, tuple[int, int, int]]
) -> _Task:
    layout = replace(layouts.layout_of(name), turned=turned)
    _, crops, length = next(iter(sizes.values()))
    order = description.crop_order or layout.order
    share = layouts.share_of(layout, description.size)
    count = 1 if description.average else crops
    places = layouts.places(count, order, share)
    clips = replace(description.clips, segments=layout.segments)
    has_length = any(seconds_of(plain_name(key), labels) for key in sizes)
    time = SECONDS if clips.has_seconds or has_length else RELATIVE
    settings = {
        "backbone": description.backbone,
        "settings": from_file(description.settings or {}),
        "layout": name,
        "length": length,
        "frames": description.frames,
        "stride": description.stride or description.frames,
        "rate": description.rate,
        "segments": layout.segments,
        "averaged": crops if description.average and crops > 1 else None,
        "crop_order": order if crops > 1 else UNKNOWN,
        "time": time,
    }
    config = ModelConfig.of({"backbone": BACKBONE, BACKBONE: settings, "crops": count, "cells": _no_cells()})
    return _Task(layout, description, clips, labels, count, length, time, places, config.feature_spec())


def _no_cells() -> dict[str, Any]:
    """Settings of ``cells`` that change nothing for any method: there are no cells to make."""
    return dict(vars(registry.load("instances", "cells").Config()))


def _import(key: str, parts: Mapping[int | None, Path], path: Path, task: _Task, stored: str) -> tuple[bool, Clock]:
    """Write one video's features, if they are not there; whether they are fresh, and their clock."""
    source = {"sha256": None, "span": None, "files": {file.name: content_hash(file) for file in parts.values()}}
    steps, _, _ = layouts.measured(parts, task.layout)
    clock = clock_of(plain_name(key), steps, task.clips, task.labels, task.time)
    if path.exists():
        if open_features(path).passport["source"].get("files") != source["files"]:
            raise StoreError(f"{path}: holds other features of a video called {key}; choose another store")
        return False, clock
    values = layouts.read(parts, task.layout)
    if task.crops < values.shape[1]:
        values = values.mean(1, keepdims=True)
    about: dict[str, Any] = {"frames": len(clock.edges) - 1, "grid": None, "rows": values.shape[0] * values.shape[1]}
    about |= {"length": task.length, "time": task.time, "places": [list(place) for place in task.places]}
    about |= {"layout": task.layout.title, "stored": stored, "rate_known": task.description.rate is not None}
    if task.description.size:
        about |= {"width": task.description.size[0], "height": task.description.size[1]}
    passport = {"made": task.look.required_settings(), "source": source, "about": about}
    save_features(path, _instances(values, clock.times, task.places), clock.edges, passport, stored)
    return True, clock


def _instances(values: Features, times: Floats, places: list[Place]) -> Instances:
    """Rows clip by clip, crop by crop; one crop makes a grid of one cell."""
    rows = np.concatenate([np.repeat(times, len(places), 0), np.tile(places, (len(times), 1))], 1)
    shape = (len(times), 1, 1) if len(places) == 1 else None
    return Instances(values.reshape(-1, values.shape[-1]), rows, shape=shape)


def _folds(videos: list[Video], labels: Labels) -> tuple[Fold, ...]:
    """The folds of those videos that are here; one without any of them is left out."""
    folds = []
    for name, part in labels.folds.items():
        train, test = (tuple(v for v in videos if plain_name(v.id) in side) for side in (part.train, part.test))
        held = tuple(v.id for v in train if plain_name(v.id) in part.validation)
        if train or test:
            folds.append(Fold(name, train, test, held))
    return tuple(folds)


def adopted(root: str | Path, settings: Mapping[str, Any] | None) -> dict[str, Any]:
    """Settings, with those of the features where a store holds imported ones alone and no backbone is asked for."""
    from wherewhen.datasets._feature_store import read_index

    options = dict(settings or {})
    if not (Path(root) / INDEX).is_file() or options.get("backbone") not in (None, BACKBONE):
        return options
    feature_sets = list(read_index(Path(root))["looks"].values())
    if len(feature_sets) != 1 or feature_sets[0].get("backbone") != BACKBONE:
        return options
    (stored,) = feature_sets
    log.info("the features are imported: %s", stored[BACKBONE])
    keys = ("backbone", "instances", "crops", "gate", BACKBONE, "cells")
    imported = from_file({key: stored[key] for key in keys if key in stored})
    for key in imported:
        _check_same(key, options.get(key), imported[key], Path(root))
    return {**options, **imported}


def _check_same(key: str, requested: Any, stored: Any, root: Path) -> None:
    """ConfigError where settings ask for other features than the imported ones."""
    if isinstance(requested, Mapping) and isinstance(stored, Mapping):
        for name, value in requested.items():
            _check_same(f"{key}.{name}", value, stored.get(name), root)
    elif requested is not None and plain(requested) != plain(stored):
        raise ConfigError(
            f"{root}: --{key} {requested} has no effect: its features are imported, with {stored}; leave it out"
        )
