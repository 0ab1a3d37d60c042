"""Features of somebody else's making into a store of ours: labels, places and times as far as they are known."""

from __future__ import annotations

import csv
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from wherewhen import data, outputs, registry
from wherewhen.config import build, read_yaml
from wherewhen.datasets._feature_store import read_index, write_index, write_truths
from wherewhen.errors import ConfigError, DataError, StoreError, unknown
from wherewhen.extents import WHOLE_PICTURE
from wherewhen.feature_stores import layouts
from wherewhen.feature_stores.layouts import ORDERS, UNKNOWN, Place, plain_name
from wherewhen.features import INDEX, inside, open_features, save_features
from wherewhen.looks import Look
from wherewhen.model import Recipe
from wherewhen.store import content_hash
from wherewhen.values import Dataset, Features, Floats, Fold, Instances, Truth, Video
from wherewhen.video.batch import Quarantine

log = logging.getLogger("wherewhen")

BACKBONE = "imported"
WORDS = {"0": 0, "normal": 0, "1": 1, "anomalous": 1, "abnormal": 1, "anomaly": 1}
COLUMNS = ("path", "label", "class", "seconds", "split")
SECONDS, RELATIVE = "seconds", "relative"


@dataclass(frozen=True)
class Known:
    """What is said of the features; None and ``unknown`` where nobody did, and nothing is guessed.

    ``size``: width and height of the videos. ``average``: the mean of all crops is kept instead of each.
    """

    backbone: str = UNKNOWN
    settings: str | None = None
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
            raise ConfigError("a stride without frames per clip says nothing about times; give both")
        if self.backbone != UNKNOWN:
            plugin = registry.load("backbones", self.backbone)
            build(plugin.Config, read_yaml(self.settings) if self.settings else None, self.backbone)
        elif self.settings:
            raise ConfigError("settings of which backbone? Name it: --backbone NAME")


@dataclass
class Labels:
    """What is known of videos by plain name: label, category, seconds; folds; and what really happens in them."""

    rows: dict[str, tuple[int | None, str | None, float | None]] = field(default_factory=dict)
    folds: dict[str, tuple[set[str], set[str]]] = field(default_factory=dict)
    truths: dict[str, Truth] = field(default_factory=dict)


def labels_of(source: str | Path | None, reader: str | None = None) -> Labels:
    """Labels from a CSV file, or with folds and truth from the folder of a data set (its videos needn't be there)."""
    if source is None:
        return Labels()
    if Path(source).is_file():
        return _from_csv(Path(source))
    chosen = data.reader_of(source, reader)
    dataset, truths = chosen.load(Path(source)), chosen.truth(Path(source))
    found = Labels()
    for video in dataset.videos:
        _put(found.rows, plain_name(video.id), (video.label, video.category, None), source)
    for fold in dataset.folds:
        train, test = ({plain_name(v.id) for v in part} for part in (fold.train, fold.test))
        found.folds[fold.name] = (train, test)
    found.truths = {plain_name(name): truth for name, truth in truths.items()}
    return found


def _put(rows: dict[str, Any], name: str, row: Any, source: str | Path) -> None:
    if name in rows and rows[name] != row:
        raise DataError(f"{source}: two videos are called {name}, with different labels")
    rows[name] = row


def _from_csv(path: Path) -> Labels:
    """A table ``path,label[,class][,seconds][,split]``; split is train or test."""
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise DataError(f"{path}: not UTF-8 text; save it as UTF-8") from None
    mark = next((m for m in ",;\t" if lines and m in lines[0]), ",")
    table = csv.DictReader(lines, delimiter=mark)
    columns = [(name or "").strip().lower() for name in table.fieldnames or ()]
    if not {"path", "label"} <= set(columns) <= set(COLUMNS):
        raise DataError(f"{path}: expected a header of {', '.join(COLUMNS)} (the first two at least), got {columns}")
    table.fieldnames = columns
    found, train, test = Labels(), set[str](), set[str]()
    for cells in table:
        row = {key: (value or "").strip() for key, value in cells.items() if isinstance(value, str | None)}
        where = f"{path}: line {table.line_num}"
        name, label = plain_name(row["path"]), row["label"].lower()
        if not name or label not in WORDS:
            raise DataError(f"{where}: {unknown('label', row['label'], WORDS) if name else 'no path'}")
        try:
            seconds = float(row["seconds"]) if row.get("seconds") else None
        except ValueError:
            raise DataError(f"{where}: seconds are a number, got {row['seconds']}") from None
        if seconds is not None and not 0 < seconds < np.inf:
            raise DataError(f"{where}: seconds are above 0, got {seconds}")
        category = row.get("class") or None
        _put(found.rows, name, (WORDS[label], category if WORDS[label] else None, seconds), where)
        split = row.get("split", "").lower()
        if split not in ("", "train", "test"):
            raise DataError(f"{where}: {unknown('split', split, ('train', 'test'))}")
        if split:
            (train if split == "train" else test).add(name)
    if train or test:
        found.folds[path.stem] = (train, test)
    return found


def named(video: str) -> tuple[int, str | None]:
    """Label and category by the names of UCF-Crime's official lists: ``Normal...``, or a category and a number.

    >>> named("Abuse/Abuse001_x264"), named("Normal_Videos_003_x264"), named("01_0014")
    ((1, 'Abuse'), (0, None), (1, None))
    """
    name = plain_name(video)
    if "Normal" in name:
        return 0, None
    return 1, re.split(r"[\d_]", name)[0] or None


@dataclass(frozen=True)
class Brought:
    """What an import did: videos in the store, those without a label, those set aside; crops, and what time is."""

    videos: int
    kept: int
    unlabelled: int
    truths: int
    quarantine: Quarantine
    layout: str
    crops: int
    placed: bool
    time: str

    def lines(self, store: str | Path) -> list[str]:
        """A summary for people, with what is unknown."""
        aside = len(self.quarantine.reasons)
        told = [f"{self.videos} videos in layout {self.layout} ({self.kept} there already), {aside} set aside"]
        if self.time == RELATIVE:
            told.append("times are relative (0 to 1): nobody said how long the videos are")
        if self.crops > 1 and not self.placed:
            told.append(f"each of the {self.crops} crops counts as the whole picture: nobody said where they lie")
        if self.unlabelled:
            told.append(f"{self.unlabelled} videos have no label and are not learned from")
        if self.truths:
            told.append(f"{self.truths} videos with truth to evaluate on")
        return [*told, f"written: {store}", f"next:  wherewhen train {store}"]


@dataclass(frozen=True)
class _Task:
    """All that is the same for every video of an import."""

    layout: layouts.Layout
    known: Known
    labels: Labels
    crops: int
    length: int
    time: str
    places: list[Place]
    look: Look


def bring(
    source: str | Path,
    store: str | Path,
    layout: str = "auto",
    *,
    known: Known | None = None,
    labels: Labels | None = None,
    from_name: bool = False,
    stored: str = "float32",
) -> Brought:
    """Read others' files of features and write a store; what can't be read is set aside with the reason.

    ``from_name``: labels where the table has none, by the names of UCF-Crime's official lists.
    """
    root, target, known, labels = Path(source), Path(store), known or Known(), labels or Labels()
    if not root.exists():
        raise DataError(f"{root}: no such file or folder")
    if target.is_dir() and any(target.iterdir()) and not (target / INDEX).exists():
        raise ConfigError(f"{target}: holds other files; choose another folder for the store")
    if (target / INDEX).exists():
        read_index(target)
    files = layouts.gathered(root)
    name = layouts.recognized(root, files) if layout == "auto" else layout
    quarantine = Quarantine(target)
    sizes = _sizes(files, layouts.layout_of(name), quarantine)
    if not sizes:
        first, reason = next(iter(quarantine.reasons.items()))
        raise DataError(f"{root}: no file can be read in the layout {name}; {first}: {reason}")
    task = _task(name, known, labels, sizes)
    outputs.remove(target / "quarantine.json")
    videos, kept, truths = [], 0, {}
    for key in sizes:
        path = inside(target, task.look.name(Video(key, root)), key)
        try:
            fresh, truth = _import(key, files[key], path, task, stored)
        except DataError as error:
            quarantine.reasons[quarantine.named(next(iter(files[key].values())))] = str(error)
            continue
        kept += not fresh
        label, category, _ = labels.rows.get(plain_name(key), (None, None, None))
        if label is None and from_name:
            label, category = named(key)
        videos.append(Video(key, path, label, category))
        if truth is not None:
            truths[key] = truth
    if quarantine.reasons:
        quarantine.write()
        for path_told, reason in quarantine.reasons.items():
            log.warning("set aside %s: %s", path_told, reason)
    if not videos:
        raise DataError(f"{root}: nothing could be imported; {target / 'quarantine.json'} says why")
    dataset = Dataset(root.resolve().stem, tuple(videos), _folds(videos, labels))
    write_index(target, dataset, {task.look.name(videos[0]): task.look.wanted()})
    write_truths(target, truths)
    nobody = sum(v.label is None for v in videos)
    placed = any(place != WHOLE_PICTURE for place in task.places)
    return Brought(len(videos), kept, nobody, len(truths), quarantine, name, task.crops, placed, task.time)


def _sizes(
    files: Mapping[str, Mapping[int | None, Path]], layout: layouts.Layout, quarantine: Quarantine
) -> dict[str, tuple[int, int, int]]:
    """``(T, P, D)`` of what can be read and is as most are; the rest is set aside."""
    found: dict[str, tuple[int, int, int]] = {}
    reasons = {}
    for key, parts in files.items():
        try:
            found[key] = layouts.measured(parts, layout)
        except DataError as error:
            reasons[key] = str(error)
    if found:
        usual = (
            layouts.commonest(p for _, p, _ in found.values()),
            layouts.commonest(d for *_, d in found.values()),
        )
        for key, (_, *size) in list(found.items()):
            if tuple(size) != usual:
                reasons[key] = f"has {size[0]} crops of {size[1]} numbers; most have {usual[0]} of {usual[1]}"
                del found[key]
    for key, reason in reasons.items():
        quarantine.reasons[quarantine.named(next(iter(files[key].values())))] = reason
    return found


def _task(name: str, known: Known, labels: Labels, sizes: Mapping[str, tuple[int, int, int]]) -> _Task:
    layout = layouts.layout_of(name)
    _, crops, length = next(iter(sizes.values()))
    order = known.crop_order or layout.order
    share = layouts.share_of(layout, known.size)
    kept = 1 if known.average else crops
    places = layouts.places(kept, order, share)
    clips = known.frames is not None and known.rate is not None and layout.segments is None
    has_length = any(_seconds(key, labels) for key in sizes)
    time = SECONDS if clips or has_length else RELATIVE
    told = {
        "backbone": known.backbone,
        "settings": read_yaml(known.settings) if known.settings else {},
        "layout": name,
        "length": length,
        "frames": known.frames,
        "stride": known.stride or known.frames,
        "rate": known.rate,
        "segments": layout.segments,
        "averaged": crops if known.average and crops > 1 else None,
        "crop_order": order if crops > 1 else UNKNOWN,
        "time": time,
    }
    recipe = Recipe.of({"backbone": BACKBONE, BACKBONE: told, "crops": kept, "cells": _no_cells()})
    return _Task(layout, known, labels, kept, length, time, places, Look.of(recipe))


def _no_cells() -> dict[str, Any]:
    """Settings of ``cells`` that change nothing, whatever a method prefers: there are no cells to make."""
    return dict(vars(registry.load("instances", "cells").Config()))


def _seconds(key: str, labels: Labels) -> float | None:
    """How long a video is, where that is known."""
    name = plain_name(key)
    if name in labels.truths:
        edges = labels.truths[name].edges
        return float(edges[-1] - edges[0])
    return labels.rows[name][2] if name in labels.rows else None


def _import(
    key: str, parts: Mapping[int | None, Path], path: Path, task: _Task, stored: str
) -> tuple[bool, Truth | None]:
    """Write one video's features, if they are not there; whether they are fresh, and the truth that fits them."""
    source = {"sha256": None, "span": None, "files": {file.name: content_hash(file) for file in parts.values()}}
    truth = task.labels.truths.get(plain_name(key)) if task.time == SECONDS else None
    if path.exists():
        if open_features(path).passport["source"].get("files") != source["files"]:
            raise StoreError(f"{path}: holds other features of a video called {key}; choose another store")
        return False, truth
    values = layouts.read(parts, task.layout)
    if task.crops < values.shape[1]:
        values = values.mean(1, keepdims=True)
    times, clock = _times(key, len(values), task)
    about: dict[str, Any] = {"frames": len(clock) - 1, "grid": None, "rows": values.shape[0] * values.shape[1]}
    about |= {"length": task.length, "time": task.time, "places": [list(place) for place in task.places]}
    about |= {"layout": task.layout.title, "stored": stored, "rate_known": task.known.rate is not None}
    if task.known.size:
        about |= {"width": task.known.size[0], "height": task.known.size[1]}
    passport = {"made": task.look.wanted(), "source": source, "about": about}
    save_features(path, _instances(values, times, task.places), clock, passport, stored)
    return True, truth


def _instances(values: Features, times: Floats, places: list[Place]) -> Instances:
    """Rows clip by clip, crop by crop; one crop makes a grid of one cell."""
    rows = np.concatenate([np.repeat(times, len(places), 0), np.tile(places, (len(times), 1))], 1)
    shape = (len(times), 1, 1) if len(places) == 1 else None
    return Instances(values.reshape(-1, values.shape[-1]), rows, shape=shape)


def _times(key: str, count: int, task: _Task) -> tuple[Floats, Floats]:
    """Begin and end ``(T, 2)`` of each clip or segment, and the clock of the video: in seconds, or relative."""
    known, name = task.known, plain_name(key)
    frames = known.frames if task.layout.segments is None else None
    stride = known.stride or frames or 1
    truth = task.labels.truths.get(name)
    if task.time == RELATIVE:
        edges = np.linspace(0, 1, count + 1)
        return np.stack([edges[:-1], edges[1:]], 1), edges
    if truth is not None and frames is not None:
        first = np.arange(count) * stride
        last = len(truth.edges) - 1
        if first[-1] >= last:
            raise DataError(f"{count} clips every {stride} frames are more than the {last} frames of the video")
        times = _shared(truth.edges[first], truth.edges[np.minimum(first + frames, last)])
        return times, np.array(truth.edges)
    if frames is not None and known.rate is not None:
        clock = np.arange((count - 1) * stride + frames + 1) / known.rate
        first = np.arange(count) * stride
        return _shared(clock[first], clock[first + frames]), clock
    seconds = _seconds(key, task.labels)
    if seconds is None:
        raise DataError("nobody said how long it is, but other videos' lengths are known; complete the table")
    begin = float(truth.edges[0]) if truth is not None else 0.0
    edges = np.linspace(begin, begin + seconds, count + 1)
    return np.stack([edges[:-1], edges[1:]], 1), np.array(truth.edges) if truth is not None else edges


def _shared(starts: Floats, ends: Floats) -> Floats:
    """Begin and end ``(T, 2)`` of the time that each clip answers for: of two that overlap, each for its half.

    What lies between two clips belongs to the later one; both as in `watching.clips`.

    >>> _shared(np.array([0.0, 1.0, 5.0]), np.array([2.0, 3.0, 7.0])).tolist()
    [[0.0, 1.5], [1.5, 3.0], [3.0, 7.0]]
    """
    borders = np.where(ends[:-1] > starts[1:], (ends[:-1] + starts[1:]) / 2, ends[:-1])
    return np.stack([np.concatenate([starts[:1], borders]), np.concatenate([borders, ends[-1:]])], 1)


def _folds(videos: list[Video], labels: Labels) -> tuple[Fold, ...]:
    folds = []
    for name, parts in labels.folds.items():
        train, test = (tuple(v for v in videos if plain_name(v.id) in part) for part in parts)
        if train or test:
            folds.append(Fold(name, train, test))
    return tuple(folds)


def adopted(root: str | Path, settings: Mapping[str, Any] | None) -> dict[str, Any]:
    """Settings, with those of the features where a store holds imported ones alone and no backbone is asked for."""
    from wherewhen.datasets._feature_store import read_index

    given = dict(settings or {})
    if not (Path(root) / INDEX).is_file() or given.get("backbone") not in (None, BACKBONE):
        return given
    looks = list(read_index(Path(root))["looks"].values())
    if len(looks) != 1 or looks[0].get("backbone") != BACKBONE:
        return given
    (made,) = looks
    log.info("the features are imported: %s", made[BACKBONE])
    return {**given, **{key: made[key] for key in ("backbone", "instances", "crops", "gate", BACKBONE, "cells")}}
