"""Feature extraction for many videos: into the cache that training reads, or into a store."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import Any

from wherewhen import datasets
from wherewhen.core import outputs
from wherewhen.core.addresses import address_in
from wherewhen.core.diagnostics import collected
from wherewhen.core.errors import ConfigError, DataError, StoreError, VideoError
from wherewhen.core.feature_file import INDEX, STORED, inside, is_features, open_features
from wherewhen.core.printable import printable, unused
from wherewhen.core.progress import track
from wherewhen.core.store import cache_folder, sweep
from wherewhen.core.values import Dataset, Truth, Video
from wherewhen.data_tools.dataset_checks import check_contents
from wherewhen.datasets import Folders
from wherewhen.datasets._feature_store import read_index, write_index, write_truths
from wherewhen.extraction import frame_rates
from wherewhen.extraction.extractor import Effort, FeatureSpec, extract_features
from wherewhen.extraction.feature_cache import cached, settled, usable
from wherewhen.runtime.parallel import GIVEN_UP, Workers, spread
from wherewhen.video import devices
from wherewhen.video.batch import Quarantine
from wherewhen.video.reader import Damaged, policy
from wherewhen.video.sources import expand

log = logging.getLogger("wherewhen")

HALF = "-float16"  # end of the name of features rounded to 16 bits
TRIED = 4.0  # seconds of video that a dry run processes
NO_STORE = "the cache"


@dataclass(frozen=True)
class Task:
    """Extraction of one video: its feature specifications and the store; ``store`` None is the cache."""

    video: Video
    specs: tuple[FeatureSpec, ...]
    store: Path | None
    stored: str
    damaged: Damaged = "keep"
    hwaccel: str = "none"

    def path(self, spec: FeatureSpec) -> Path:
        """The path of the features of a specification."""
        if self.store is None:
            return cached(self.video, spec)
        return inside(self.store, folder_of(spec, self.video, self.stored), self.video.id)

    def missing(self) -> dict[Path, FeatureSpec]:
        """Specifications without features yet, by path; StoreError where a path has other features."""
        by_path = {}
        for spec in self.specs:
            path = self.path(spec)
            source = spec.source(self.video)
            if usable(path, source, spec.resolved_settings(self.video)) is None:
                self._check(path, source)
                by_path[path] = spec
        return by_path

    def _check(self, path: Path, source: Mapping[str, Any]) -> None:
        """StoreError for undamaged features of another source: two data sets may share ids."""
        if self.store is None or not path.exists():
            return
        try:
            other = open_features(path).passport["source"].get("sha256")
        except StoreError:  # damaged
            return
        if other == source["sha256"] and "boxes" in source:
            message = f"{path}: holds features of {self.video.id} with other boxes; delete it, or choose another store"
            raise StoreError(message)
        raise StoreError(f"{path}: holds the features of another video called {self.video.id} ({str(other)[:12]}...)")


@dataclass
class Tally:
    """Outcome of one video: new and existing files, the effort, its damage, or why it is unreadable."""

    new: int = 0
    existing: int = 0
    effort: Effort = field(default_factory=Effort)
    cause: str | None = None
    damage: str | None = None


def folder_of(spec: FeatureSpec, video: Video, stored: str) -> str:
    """The name of the folder of a specification in a store."""
    return spec.name(video) + (HALF if stored == "float16" else "")


def do(task: Task) -> Tally:
    """Extract the missing features of one video; an unreadable video is an outcome, not an exception."""
    effort, damage = Effort(), None
    try:
        missing = task.missing()
        if len(missing) < len(task.specs):
            whole = next(task.path(spec) for spec in task.specs if task.path(spec) not in missing)
            damage = open_features(whole).damage
        if missing:
            extracted = extract_features(task.video, list(missing.values()), effort, hwaccel=task.hwaccel)
            damage = extracted[0].damage
        if damage and task.damaged == "set-aside":
            return Tally(cause=damage)
        if missing:
            began = perf_counter()
            for path, item in zip(missing, extracted, strict=True):
                item.save(path, task.stored)
                effort.size += path.stat().st_size
            effort.write += perf_counter() - began
            effort.seconds += float(extracted[0].clock[-1] - extracted[0].clock[0])
    except VideoError as error:
        return Tally(cause=error.cause)
    return Tally(len(missing), len(task.specs) - len(missing), effort, damage=damage)


@dataclass(frozen=True)
class Sources:
    """The videos to extract, their folds, and ground truth if any."""

    dataset: Dataset
    truths: Mapping[str, Truth]

    def summary(self) -> str:
        """The labels, folds and truth of the videos as text.

        >>> Sources(Dataset("x", (Video("a", Path("a.mp4"), 1), Video("b", Path("b.mp4")))), {}).summary()
        'labels: 1 anomalous, 0 normal, 1 unknown; folds: none; truth: none'
        """
        labels = [video.label for video in self.dataset.videos]
        if all(label is None for label in labels):
            return "labels: none, so these features can be searched, but not used for training"
        text = f"labels: {labels.count(1)} anomalous, {labels.count(0)} normal"
        text += f", {labels.count(None)} unknown" if None in labels else ""
        folds = ", ".join(fold.name for fold in self.dataset.folds) or "none"
        return f"{text}; folds: {folds}; truth: {f'{len(self.truths)} videos' if self.truths else 'none'}"


def sources(root: str | Path, reader: str | None = None, folders: Folders | None = None) -> Sources:
    """The videos of a data set, a folder, a file or a glob; DataError or VideoError where there are none.

    A folder that no reader recognizes has no labels. DataError where one does and a label or truth file has a fault:
    labels, folds and truth are never left out because of it. ``folders``: names of the folders of normal and anomalous
    videos, where they are not the default ones.
    """
    if Path(root).is_dir():
        dataset_reader = datasets.reader_of(root, reader, folders) if reader or folders else datasets.recognized(root)
        if dataset_reader is not None:
            with collected(root):
                sources = Sources(dataset_reader.load(Path(root)), dataset_reader.truth(Path(root)))
                check_contents(sources.dataset.videos)
            return sources
    if (where := address_in(str(root))) is not None:
        raise DataError(f"{where}: expected a folder or files of this machine, got an address")
    if folders:
        raise ConfigError(f"{root}: --normal and --anomalous name folders in a folder; this is none")
    if reader:
        raise ConfigError(f"{root}: --reader has no effect: it reads the folder of a data set; leave it out")
    paths = [path for path in expand(root) if isinstance(path, Path)]
    base = Path(root) if Path(root).is_dir() else None
    videos: dict[str, Video] = {}
    for path in paths:
        label = (path.relative_to(base).with_suffix("").as_posix() if base else path.stem) or path.name
        name = unused(printable(label), videos.__contains__)
        videos[name] = Video(name, path)
    return Sources(Dataset((base or paths[0]).resolve().stem, tuple(videos.values())), {})


@dataclass(frozen=True)
class Outcome:
    """Result of an extraction: ``store`` None is the cache; ``wall`` in seconds; ``labels``: summary of the sources."""

    videos: int
    new: int
    existing: int
    effort: Effort
    wall: float
    store: Path | None
    features: tuple[str, ...]
    quarantine: Quarantine
    labels: str = ""

    def lines(self) -> list[str]:
        """A summary as text: counts of files, speed, and shares of the time."""
        aside = len(self.quarantine.reasons)
        lines = [
            f"{self.videos} videos: {self.new} files made, {self.existing} already present, {aside} videos skipped",
            f"features: {self.store or NO_STORE} ({', '.join(self.features)})",
        ]
        if self.labels:
            lines.append(self.labels)
        if self.effort.pictures and self.wall > 0:
            done = max(1, self.new // max(1, len(self.features)))
            lines.append(
                f"speed: {done / self.wall:.2f} videos/s, {self.effort.pictures / self.wall:.0f} frames/s, "
                f"{self.effort.seconds / self.wall:.1f} x real time, {self.effort.size / 1e6:.1f} MB"
            )
            spent = {n: getattr(self.effort, n) for n in ("decode", "resize", "compute", "write")}
            whole = sum(spent.values()) or 1.0
            lines.append("shares: " + ", ".join(f"{name} {100 * value / whole:.0f} %" for name, value in spent.items()))
        return lines


def extract_all(
    sources: Sources,
    specs: Sequence[FeatureSpec],
    store: Path | None = None,
    *,
    where: Workers | None = None,
    stored: str = "float32",
    damaged: Damaged = "keep",
    hwaccel: str = "none",
    quiet: bool = False,
) -> Outcome:
    """Extract the missing features of every video, and write the store's index.

    ``stored``: float32 keeps features exact; float16, for stores only, halves them. Unreadable videos are
    listed in ``quarantine.json``; damaged ones are logged, or listed too if ``damaged`` is set-aside. ``hwaccel``: what
    decodes (none, auto or a device); ConfigError where it does not work. Call it again to continue after an
    interruption.
    """
    _check(sources, store, stored)
    if where is None or not where.ray:  # machines of a cluster have their own devices
        devices.device(hwaccel)
    target = store or cache_folder() / "features"
    target.mkdir(parents=True, exist_ok=True)
    sweep(target)
    specs = tuple(_settled(specs, sources.dataset.videos))
    home = store.absolute() if store else None
    places = [replace(video, path=video.path.absolute()) for video in sources.dataset.videos]
    tasks = [Task(video, specs, home, stored, policy(damaged), hwaccel) for video in places]
    quarantine = Quarantine(target)
    outputs.remove(target / "quarantine.json")
    began, tallies = perf_counter(), dict[int, Tally]()
    results = spread(do, tasks, where or Workers())
    for number, tally in track(results, "reading videos", len(tasks), quiet=quiet):
        tallies[number] = tally or Tally(cause=GIVEN_UP)
    for number in sorted(tallies):
        if (cause := tallies[number].cause) is not None:
            quarantine.add(tasks[number].video.path, cause, tasks[number].video.id)
        else:
            quarantine.passes(tasks[number].video, tallies[number].damage)
    done = [task.video for number, task in enumerate(tasks) if tallies[number].cause is None]
    names = _write_store_index(store, sources, done, specs, stored)
    frame_rates.warn_of_videos(
        done, specs, lambda video, spec: open_features(Task(video, specs, home, stored).path(spec))
    )
    sweep(target)
    effort = sum((tally.effort for tally in tallies.values()), Effort())
    new, existing = (sum(getattr(tally, part) for tally in tallies.values()) for part in ("new", "existing"))
    return Outcome(
        len(tasks), new, existing, effort, perf_counter() - began, store, names, quarantine, sources.summary()
    )


def _check(sources: Sources, store: Path | None, stored: str) -> None:
    if stored not in STORED:
        raise ConfigError(f"--stored: expected {' or '.join(STORED)}, got {stored}")
    if stored != "float32" and store is None:
        raise ConfigError("features in the cache are float32; give a store (--output) for rounded ones")
    if any(is_features(video.path) for video in sources.dataset.videos):
        raise ConfigError("this is a store of features already; give the videos themselves")
    if store is not None and (store / INDEX).exists():
        read_index(store)
    elif store is not None and store.is_dir():
        foreign = [p.name for p in store.iterdir() if p.is_file() and p.name != "quarantine.json" and p.name[0] != "."]
        if foreign:
            raise ConfigError(f"{store}: holds other files ({foreign[0]}, ...); choose another folder for the store")


def _settled(specs: Sequence[FeatureSpec], videos: Sequence[Video]) -> Iterator[FeatureSpec]:
    """The specifications with engines chosen before any process starts: measured on the first readable video."""
    for spec in specs:
        causes = []
        for video in videos:
            try:
                yield settled(spec, video)
                break
            except VideoError as error:
                causes.append(error)
        else:
            raise causes[0] if causes else DataError("there is no video to measure")


def _write_store_index(
    store: Path | None, sources: Sources, done: Sequence[Video], specs: Sequence[FeatureSpec], stored: str
) -> tuple[str, ...]:
    """Write the index of a store; returns names of specifications, or of backbones where no video is readable."""
    if not done:
        return tuple(spec.backbone for spec in specs)
    names = {folder_of(spec, done[0], stored): spec.resolved_settings(done[0]) for spec in specs}
    if store is not None:
        ids = {video.id for video in done}
        write_truths(store, {name: truth for name, truth in sources.truths.items() if name in ids})
        folds = tuple(
            replace(
                fold,
                train=tuple(v for v in fold.train if v.id in ids),
                test=tuple(v for v in fold.test if v.id in ids),
            )
            for fold in sources.dataset.folds
        )
        write_index(store, replace(sources.dataset, videos=tuple(done), folds=folds), names)
    return tuple(names)


@dataclass(frozen=True)
class Forecast:
    """Estimated cost of an extraction with one specification, measured on a few clips."""

    look: str
    videos: int
    hours: float
    frames: int
    gigabytes: float
    rate: float
    seconds: float


def forecast(
    sources: Sources, specs: Sequence[FeatureSpec], where: Workers, stored: str = "float32"
) -> Iterator[Forecast]:
    """Estimate hours of video, frames, size of features, frames per second of one process and time of each spec."""
    from wherewhen.video import reader

    infos = {}
    for video in sources.dataset.videos:
        try:
            infos[video.id] = reader.probe(video.path)
        except VideoError as error:
            log.warning("can't be read: %s", error)
    readable = [video for video in sources.dataset.videos if video.id in infos]
    if not readable:
        raise DataError("no video can be read")
    length = {v.id: _length(v, infos[v.id].duration) for v in readable}
    seconds = sum(length.values())
    frames = round(sum(length[v.id] * infos[v.id].rate for v in readable))
    longest = max(readable, key=lambda v: length[v.id])
    for spec in specs:
        part = replace(longest, span=(longest.span[0] if longest.span else 0.0, _end(longest, length[longest.id])))
        spec.opened(longest)  # an engine is measured on whole clips
        extract_features(replace(part, span=(part.span[0], part.span[0] + 0.5)), [spec])  # type: ignore[index]
        began = perf_counter()
        (extracted,) = extract_features(part, [spec])
        spent = perf_counter() - began
        covered = float(extracted.instances.extents[:, 1].max() - extracted.instances.extents[:, 0].min())
        each = 2 if stored == "float16" else 4
        size = extracted.instances.features.size * each + (
            0 if extracted.instances.detail is None else 2 * extracted.instances.detail.size
        )
        rate = covered * infos[longest.id].rate / spent
        yield Forecast(
            spec.backbone, len(readable), seconds / 3600, frames, size / covered * seconds / 1e9,
            rate, frames / rate / where.workers,
        )  # fmt: skip


def _length(video: Video, duration: float | None) -> float:
    from wherewhen.video import reader

    if video.span is not None:
        return video.span[1] - video.span[0]
    if duration:
        return duration
    edges = reader.edges(video.path)
    return float(edges[-1] - edges[0])


def _end(video: Video, length: float) -> float:
    return (video.span[0] if video.span else 0.0) + min(TRIED, length)
