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
from wherewhen.video.batch import Quarantine
from wherewhen.video.reader import Damaged, policy
from wherewhen.video.sources import expand

log = logging.getLogger("wherewhen")

HALF = "-float16"  # ends the name of a look whose features are rounded to 16 bits
TRIED = 4.0  # seconds of video that a dry run really looks at
NO_STORE = "the cache"


@dataclass(frozen=True)
class Task:
    """Extraction of one video: its feature specifications and the store; ``store`` None is the cache."""

    video: Video
    looks: tuple[FeatureSpec, ...]
    store: Path | None
    stored: str
    damaged: Damaged = "keep"

    def path(self, look: FeatureSpec) -> Path:
        """Where the features of a look belong."""
        if self.store is None:
            return cached(self.video, look)
        return inside(self.store, folder_of(look, self.video, self.stored), self.video.id)

    def missing(self) -> dict[Path, FeatureSpec]:
        """Specifications without features yet, by path; StoreError where a path has other features."""
        found = {}
        for look in self.looks:
            path = self.path(look)
            source = look.source(self.video)
            if usable(path, source, look.resolved_settings(self.video)) is None:
                self._check(path, source)
                found[path] = look
        return found

    def _check(self, path: Path, source: Mapping[str, Any]) -> None:
        """In a store nothing whole is ever written over: two data sets may share ids."""
        if self.store is None or not path.exists():
            return
        try:
            other = open_features(path).passport["source"].get("sha256")
        except StoreError:  # damaged
            return
        if other == source["sha256"] and "boxes" in source:
            told = f"{path}: holds features of {self.video.id} with other boxes; delete it, or choose another store"
            raise StoreError(told)
        raise StoreError(f"{path}: holds the features of another video called {self.video.id} ({str(other)[:12]}...)")


@dataclass
class Tally:
    """Outcome of one video: new and existing files, the effort, its damage, or why it is unreadable."""

    made: int = 0
    kept: int = 0
    effort: Effort = field(default_factory=Effort)
    cause: str | None = None
    damage: str | None = None


def folder_of(look: FeatureSpec, video: Video, stored: str) -> str:
    """What the folder of a look is called in a store."""
    return look.name(video) + (HALF if stored == "float16" else "")


def do(task: Task) -> Tally:
    """Extract the missing features of one video; an unreadable video is an outcome, not an exception."""
    effort, damage = Effort(), None
    try:
        missing = task.missing()
        if len(missing) < len(task.looks):
            whole = next(task.path(look) for look in task.looks if task.path(look) not in missing)
            damage = open_features(whole).damage
        if missing:
            seen = extract_features(task.video, list(missing.values()), effort)
            damage = seen[0].damage
        if damage and task.damaged == "set-aside":
            return Tally(cause=damage)
        if missing:
            began = perf_counter()
            for path, one in zip(missing, seen, strict=True):
                one.save(path, task.stored)
                effort.size += path.stat().st_size
            effort.write += perf_counter() - began
            effort.seconds += float(seen[0].clock[-1] - seen[0].clock[0])
    except VideoError as error:
        return Tally(cause=error.cause)
    return Tally(len(missing), len(task.looks) - len(missing), effort, damage=damage)


@dataclass(frozen=True)
class Sources:
    """The videos to extract, their folds, and ground truth where it is known."""

    dataset: Dataset
    known: Mapping[str, Truth]

    def told(self) -> str:
        """What is known of the videos, in words.

        >>> Sources(Dataset("x", (Video("a", Path("a.mp4"), 1), Video("b", Path("b.mp4")))), {}).told()
        'labels: 1 anomalous, 0 normal, 1 unknown; folds: none; truth: none'
        """
        labels = [video.label for video in self.dataset.videos]
        if all(label is None for label in labels):
            return "labels: none, so these features can be searched, but not used for training"
        told = f"labels: {labels.count(1)} anomalous, {labels.count(0)} normal"
        told += f", {labels.count(None)} unknown" if None in labels else ""
        folds = ", ".join(fold.name for fold in self.dataset.folds) or "none"
        return f"{told}; folds: {folds}; truth: {f'{len(self.known)} videos' if self.known else 'none'}"


def sources(root: str | Path, reader: str | None = None, folders: Folders | None = None) -> Sources:
    """The videos of a data set, a folder, a file or a glob; DataError or VideoError where there are none.

    A folder that no reader recognizes has no labels. DataError where one does and a label or truth file has a fault:
    labels, folds and truth are never left out because of it. ``folders``: which folders stand for labels, where their
    names are the user's own.
    """
    if Path(root).is_dir():
        found = datasets.reader_of(root, reader, folders) if reader or folders else datasets.recognized(root)
        if found is not None:
            with collected(root):
                told = Sources(found.load(Path(root)), found.truth(Path(root)))
                check_contents(told.dataset.videos)
            return told
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
        own = (path.relative_to(base).with_suffix("").as_posix() if base else path.stem) or path.name
        name = unused(printable(own), videos.__contains__)
        videos[name] = Video(name, path)
    return Sources(Dataset((base or paths[0]).resolve().stem, tuple(videos.values())), {})


@dataclass(frozen=True)
class Outcome:
    """What an extraction did: ``store`` None is the cache; ``wall`` in seconds."""

    videos: int
    made: int
    kept: int
    effort: Effort
    wall: float
    store: Path | None
    looks: tuple[str, ...]
    quarantine: Quarantine
    known: str = ""

    def lines(self) -> list[str]:
        """A summary for people: what was made, how fast, and what it spent its time on."""
        aside = len(self.quarantine.reasons)
        told = [
            f"{self.videos} videos: {self.made} files made, {self.kept} already present, {aside} videos skipped",
            f"features: {self.store or NO_STORE} ({', '.join(self.looks)})",
        ]
        if self.known:
            told.append(self.known)
        if self.effort.pictures and self.wall > 0:
            done = max(1, self.made // max(1, len(self.looks)))
            told.append(
                f"speed: {done / self.wall:.2f} videos/s, {self.effort.pictures / self.wall:.0f} frames/s, "
                f"{self.effort.seconds / self.wall:.1f} x real time, {self.effort.size / 1e6:.1f} MB"
            )
            spent = {n: getattr(self.effort, n) for n in ("decode", "resize", "compute", "write")}
            whole = sum(spent.values()) or 1.0
            told.append("shares: " + ", ".join(f"{name} {100 * value / whole:.0f} %" for name, value in spent.items()))
        return told


def extract_all(
    what: Sources,
    looks: Sequence[FeatureSpec],
    store: Path | None = None,
    *,
    where: Workers | None = None,
    stored: str = "float32",
    damaged: Damaged = "keep",
    quiet: bool = False,
) -> Outcome:
    """Extract the missing features of every video, and write the store's index.

    ``stored``: float32 keeps features exact; float16, for stores only, halves them. Unreadable videos are
    listed in ``quarantine.json``; damaged ones are logged, or listed too if ``damaged`` is set-aside. Call it again to
    continue after an interruption.
    """
    _check(what, store, stored)
    target = store or cache_folder() / "features"
    target.mkdir(parents=True, exist_ok=True)
    sweep(target)
    looks = tuple(_settled(looks, what.dataset.videos))
    home = store.absolute() if store else None
    places = [replace(video, path=video.path.absolute()) for video in what.dataset.videos]
    tasks = [Task(video, looks, home, stored, policy(damaged)) for video in places]
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
    names = _told(store, what, done, looks, stored)
    frame_rates.warn_of_videos(
        done, looks, lambda video, look: open_features(Task(video, looks, home, stored).path(look))
    )
    sweep(target)
    effort = sum((tally.effort for tally in tallies.values()), Effort())
    made, kept = (sum(getattr(tally, part) for tally in tallies.values()) for part in ("made", "kept"))
    return Outcome(len(tasks), made, kept, effort, perf_counter() - began, store, names, quarantine, what.told())


def _check(what: Sources, store: Path | None, stored: str) -> None:
    if stored not in STORED:
        raise ConfigError(f"--stored: expected {' or '.join(STORED)}, got {stored}")
    if stored != "float32" and store is None:
        raise ConfigError("features in the cache are float32; give a store (--output) for rounded ones")
    if any(is_features(video.path) for video in what.dataset.videos):
        raise ConfigError("this is a store of features already; give the videos themselves")
    if store is not None and (store / INDEX).exists():
        read_index(store)
    elif store is not None and store.is_dir():
        foreign = [p.name for p in store.iterdir() if p.is_file() and p.name != "quarantine.json" and p.name[0] != "."]
        if foreign:
            raise ConfigError(f"{store}: holds other files ({foreign[0]}, ...); choose another folder for the store")


def _settled(looks: Sequence[FeatureSpec], videos: Sequence[Video]) -> Iterator[FeatureSpec]:
    """The looks with engines chosen before any process starts: measured on the first video that can be read."""
    for look in looks:
        causes = []
        for video in videos:
            try:
                yield settled(look, video)
                break
            except VideoError as error:
                causes.append(error)
        else:
            raise causes[0] if causes else DataError("there is no video to measure")


def _told(
    store: Path | None, what: Sources, done: Sequence[Video], looks: Sequence[FeatureSpec], stored: str
) -> tuple[str, ...]:
    """Write the index of a store; the names of the looks, or of their backbones where nothing could be read."""
    if not done:
        return tuple(look.backbone for look in looks)
    names = {folder_of(look, done[0], stored): look.resolved_settings(done[0]) for look in looks}
    if store is not None:
        ids = {video.id for video in done}
        write_truths(store, {name: truth for name, truth in what.known.items() if name in ids})
        folds = tuple(
            replace(
                fold,
                train=tuple(v for v in fold.train if v.id in ids),
                test=tuple(v for v in fold.test if v.id in ids),
            )
            for fold in what.dataset.folds
        )
        write_index(store, replace(what.dataset, videos=tuple(done), folds=folds), names)
    return tuple(names)


@dataclass(frozen=True)
class Forecast:
    """What an extraction would take with one look: measured on a few clips, not guessed."""

    look: str
    videos: int
    hours: float
    frames: int
    gigabytes: float
    rate: float
    seconds: float


def forecast(
    what: Sources, looks: Sequence[FeatureSpec], where: Workers, stored: str = "float32"
) -> Iterator[Forecast]:
    """Hours of video, frames, size of features, measured frames per second of one process, and time, per look."""
    from wherewhen.video import reader

    infos = {}
    for video in what.dataset.videos:
        try:
            infos[video.id] = reader.probe(video.path)
        except VideoError as error:
            log.warning("can't be read: %s", error)
    readable = [video for video in what.dataset.videos if video.id in infos]
    if not readable:
        raise DataError("no video can be read")
    length = {v.id: _length(v, infos[v.id].duration) for v in readable}
    seconds = sum(length.values())
    frames = round(sum(length[v.id] * infos[v.id].rate for v in readable))
    longest = max(readable, key=lambda v: length[v.id])
    for look in looks:
        part = replace(longest, span=(longest.span[0] if longest.span else 0.0, _end(longest, length[longest.id])))
        look.opened(longest)  # an engine is measured on whole clips
        extract_features(replace(part, span=(part.span[0], part.span[0] + 0.5)), [look])  # type: ignore[index]
        began = perf_counter()
        (seen,) = extract_features(part, [look])
        spent = perf_counter() - began
        covered = float(seen.instances.extents[:, 1].max() - seen.instances.extents[:, 0].min())
        each = 2 if stored == "float16" else 4
        size = seen.instances.features.size * each + (
            0 if seen.instances.detail is None else 2 * seen.instances.detail.size
        )
        rate = covered * infos[longest.id].rate / spent
        yield Forecast(
            look.backbone, len(readable), seconds / 3600, frames, size / covered * seconds / 1e9,
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
