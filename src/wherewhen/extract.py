"""Videos to bags, once: what each look sees in each video is kept with its passport, and a bad file is set aside.

Features lie where `wherewhen.features` says: in the user's cache by the content of the video, or in a store that stands
for a data set whose videos are not needed any more.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from threading import Lock
from time import perf_counter
from typing import Any

from wherewhen import pipeline, registry
from wherewhen.batches import Lazy
from wherewhen.config import build
from wherewhen.contracts import Backbone, Builder, ClipSpec
from wherewhen.engine import attach, remembered
from wherewhen.errors import StoreError, VideoError
from wherewhen.features import INDEX, differences, inside, is_features, open_features, save_features, store_of
from wherewhen.model import Recipe
from wherewhen.network import Network
from wherewhen.progress import track
from wherewhen.running import NONE, Running
from wherewhen.store import cache_folder, content_hash, fingerprint, plain
from wherewhen.values import Bag, Features, Floats, Frame, Instances, Pixels, Video
from wherewhen.video.batch import Quarantine

log = logging.getLogger("wherewhen")

VERSION = 3  # of features: raise it when the same settings give other ones
AUTO = "auto"
HELD = 2**30  # bytes of features that training keeps in memory
SAMPLES = 4  # clips that an engine is measured on


@dataclass(frozen=True)
class Look:
    """One way to look at a video: a backbone and an instance builder with their settings, and how they are run.

    ``device``: cpu, cuda or auto, where a network runs; a passport tells it, nobody asks for it.
    """

    backbone: str
    instances: str
    backbone_settings: Any
    instances_settings: Any
    engine: str = AUTO
    precision: str = AUTO
    crops: int = 1
    gate: float = 0.0
    device: str = AUTO

    @classmethod
    def of(cls, recipe: Recipe, device: str = AUTO) -> Look:
        """How a recipe looks at videos, on a device."""
        backbone, instances = recipe.backbone, recipe.instances
        parts = recipe.settings[backbone], recipe.settings[instances]
        return cls(backbone, instances, *parts, recipe.engine, recipe.precision, recipe.crops, recipe.gate, device)

    @classmethod
    def named(cls, backbone: str, instances: str = "cells") -> Look:
        """A look with default settings."""
        first, second = registry.load("backbones", backbone), registry.load("instances", instances)
        return cls(backbone, instances, build(first.Config, None, backbone), build(second.Config, None, instances))

    @property
    def network(self) -> type[Network] | None:
        """The network that looks, or None where no network does."""
        plugin = registry.load("backbones", self.backbone)
        return plugin if isinstance(plugin, type) and issubclass(plugin, Network) else None

    def wanted(self) -> dict[str, Any]:
        """What features must be made with, by the names of the settings; an engine only where one is asked for."""
        left_out = getattr(registry.load("backbones", self.backbone), "unmade", ())  # settings no number depends on
        own = {key: value for key, value in plain(self.backbone_settings).items() if key not in left_out}
        wanted = {"version": VERSION, "backbone": self.backbone, "instances": self.instances}
        wanted |= {"crops": self.crops, "gate": self.gate, self.instances: plain(self.instances_settings)}
        if self.network is not None:
            own["weights"] = _identity(self.backbone, self.backbone_settings)
            run = {"engine": self.engine, "precision": self.precision}
            wanted |= {key: value for key, value in run.items() if value != AUTO}
        return {**wanted, self.backbone: own}

    def running(self, video: Video) -> Running:
        """What runs it here; measured on clips of ``video`` where this machine never did so."""
        if (network := self.network) is None:
            return NONE
        known = remembered(network, self.backbone_settings, self.engine, self.precision, self.device)
        return known or self.opened(video).running

    def made(self, video: Video) -> dict[str, Any]:
        """Everything that determines the numbers, whatever the video: what a passport says under ``made``."""
        running = self.running(video)
        if self.network is None:
            return self.wanted()
        calibration = {"calibration": running.calibration} if running.calibration else {}
        return {**self.wanted(), "engine": running.engine, "precision": running.precision, **calibration}

    def name(self, video: Video) -> str:
        """What the folder of its features is called: backbone, builder and a fingerprint of what it is made with."""
        return f"{self.backbone}-{self.instances}-{fingerprint(self.made(video))[:8]}"

    def opened(self, video: Video) -> Opened:
        """The parts of this look, made once per process; ``video`` gives the clips that an engine is measured on."""
        key = fingerprint([self.backbone, self.instances, self])
        with _OPENING:
            if key not in _OPEN:
                _OPEN[key] = _open(self, video)
            return _OPEN[key]

    def extract(self, video: Video) -> Instances:
        """Look at the video itself; VideoError if it can't be read."""
        (seen,) = look_at(video, [self])
        return seen.instances


@lru_cache(maxsize=32)
def _identity(backbone: str, settings: Any) -> str:
    """What weights a network has; the file is read once per process."""
    return str(registry.load("backbones", backbone).identity(settings))


@dataclass
class Opened:
    """The parts of a look, ready to run."""

    look: Look
    backbone: Backbone
    builder: Builder
    running: Running


_OPEN: dict[str, Opened] = {}
_OPENING = Lock()


def _open(look: Look, video: Video) -> Opened:
    backbone = registry.load("backbones", look.backbone)(look.backbone_settings)
    builder = registry.load("instances", look.instances)(look.instances_settings)
    if look.network is None:
        return Opened(look, backbone, builder, NONE)
    running = attach(backbone, look.engine, look.precision, look.device, _samples(video, backbone.clip))
    backbone.run = _in_turn(backbone.run)
    return Opened(look, backbone, builder, running)


def _in_turn(run: Callable[[Pixels], Features]) -> Callable[[Pixels], Features]:
    """The same for several threads, one at a time."""
    turn = Lock()

    def taken(clips: Pixels) -> Features:
        with turn:
            return run(clips)

    return taken


def _samples(video: Video, spec: ClipSpec) -> Callable[[], Pixels]:
    """Gives a few real clips ``(N, T, H, W, 3)`` when asked."""
    import numpy as np

    def clips() -> Pixels:
        stream = pipeline.clips(pipeline.frames(video, spec), spec)
        found = [clip.images for clip in islice(stream, SAMPLES) if len(clip.images) == spec.frames]
        if not found:
            raise VideoError(
                video.path, f"shorter than a clip of {spec.frames} frames, so no engine can be tried on it"
            )
        return np.stack(found)

    return clips


@dataclass(frozen=True, eq=False)
class Seen:
    """What one look saw in one video: instances, the borders of the video's frames in seconds, and a passport."""

    instances: Instances
    clock: Floats
    passport: Mapping[str, Any]

    def save(self, path: Path, stored: str = "float32") -> None:
        """Write it as a file of features."""
        about = {**self.passport["about"], "stored": stored}
        save_features(path, self.instances, self.clock, {**self.passport, "about": about}, stored)


@dataclass
class Effort:
    """Seconds of the clock that each part took (they overlap), and how much was done."""

    decode: float = 0.0
    resize: float = 0.0
    compute: float = 0.0
    write: float = 0.0
    pictures: int = 0
    seconds: float = 0.0
    size: int = 0

    def __add__(self, other: Effort) -> Effort:
        return Effort(*(a + b for a, b in zip(asdict(self).values(), asdict(other).values(), strict=True)))


def look_at(video: Video, looks: Sequence[Look], effort: Effort | None = None) -> list[Seen]:
    """What several looks see in one video, which is decoded once, ahead of them; VideoError if it can't be read."""
    from wherewhen.video import reader
    from wherewhen.video.ahead import Taker, ahead

    source = _source(video)
    opened = [look.opened(video) for look in looks]
    info, clock = reader.probe(video.path), reader.edges(video.path)
    specs = [(one.backbone.clip, one.look.crops) for one in opened]
    wants = [reader.Want(spec.rate, *pipeline.sizes(spec, crops)) for spec, crops in specs]
    spent, effort = reader.Spent(), effort or Effort()
    with ahead(video.path, wants, span=video.span, spent=spent) as (takers, stop):

        def work(one: Opened, taker: Taker) -> tuple[Instances, list[tuple[float, float]]]:
            began = perf_counter()
            try:
                return _see(one, iter(taker))
            except BaseException:
                stop.set()
                raise
            finally:
                effort.compute += perf_counter() - began - taker.waited

        try:
            if len(opened) == 1:
                found = [work(opened[0], takers[0])]
            else:
                with ThreadPoolExecutor(len(opened)) as pool:
                    jobs = [pool.submit(work, *pair) for pair in zip(opened, takers, strict=True)]
                    found = [job.result() for job in jobs]
        except ValueError as error:
            raise VideoError(video.path, str(error)) from None
    effort.decode += spent.decode
    effort.resize += spent.resize
    effort.pictures += spent.pictures
    shown: dict[str, Any] = {"width": info.width, "height": info.height, "rate": info.rate, "variable": info.variable}
    shown |= {"codec": info.codec, "frames": len(clock) - 1, "seconds": float(clock[-1] - clock[0])}
    return [
        Seen(
            seen,
            clock,
            {"made": one.look.made(video), "source": source, "about": {**shown, **_about(one, seen, still)}},
        )
        for one, (seen, still) in zip(opened, found, strict=True)
    ]


def _see(one: Opened, pictures: Iterator[Frame]) -> tuple[Instances, list[tuple[float, float]]]:
    look, still = one.look, list[tuple[float, float]]()
    how: dict[str, Any] = {"crops": look.crops, "gate": look.gate, "batch": one.running.batch, "still": still}
    grids = pipeline.grids(pipeline.clips(pictures, one.backbone.clip), one.backbone, **how)
    return pipeline.joined(pipeline.built(grids, one.builder, look.crops)), still


def _source(video: Video) -> dict[str, Any]:
    return {"sha256": content(video.path), "span": plain(video.span)}


def _about(one: Opened, seen: Instances, still: list[tuple[float, float]]) -> dict[str, Any]:
    """Information for a passport: nothing here determines what is looked for."""
    run = one.running
    told = {key: plain(getattr(one.backbone, key)) for key in ("mean", "std") if hasattr(one.backbone, key)}
    if hasattr(one.look.backbone_settings, "layer"):
        told["layer"] = one.look.backbone_settings.layer
    if one.look.network is not None:
        told |= {"device": run.device, "engine_version": run.version}
        told["deviation"] = {"relative": run.relative, "cosine": run.cosine}
    grid = {"grid": seen.shape, "rows": len(seen.features), "length": seen.features.shape[1], "gated": still}
    resize = "swscale: areas averaged where it shrinks, bilinear where it enlarges"
    return plain({"clip": one.backbone.clip, "resize": resize, **told, **grid, **_versions()})  # type: ignore[no-any-return]


@lru_cache
def _versions() -> dict[str, str]:
    from wherewhen.video import reader

    return {"package": version("wherewhen"), "decoder": reader.decoder()}


def stamp(path: Path) -> tuple[str, int, int]:
    """A video's place, size and time of change: what tells cheaply whether it is still the same."""
    try:
        newest = max(
            (p.stat() for p in [path, *(path.iterdir() if path.is_dir() else ())]), key=lambda s: s.st_mtime_ns
        )
    except FileNotFoundError:
        raise VideoError(path, "no such file") from None
    return str(path.resolve()), newest.st_size, newest.st_mtime_ns


def content(path: Path) -> str:
    """sha256 of a video, read again only when its size or time changes; a file of features tells its video's."""
    return _content(*stamp(path))


@lru_cache(maxsize=100_000)
def _content(path: str, size: int, changed: int) -> str:
    if is_features(path):
        told = open_features(path).passport["source"].get("sha256")
        return str(told or content_hash(path))
    return content_hash(path)


def instances(video: Video, look: Look, cache: Path | None = None) -> Instances:
    """The instances of one video, from a store or the cache where they lie there; VideoError if it can't be read."""
    return views(video, {"one": look}, cache)["one"]


def views(video: Video, looks: Mapping[str, Look], cache: Path | None = None) -> dict[str, Instances]:
    """What each look sees in one video; those that nobody kept look together, at one reading."""
    if is_features(video.path):
        return {name: stored(video, look) for name, look in looks.items()}
    found: dict[str, Instances] = {}
    missing: dict[str, Path] = {}
    for name, look in looks.items():
        path = cached(video, look, cache)
        kept = usable(path, video, look.made(video))
        if kept is None:
            missing[name] = path
        else:
            found[name] = kept()
    if missing:
        seen = look_at(video, [looks[name] for name in missing])
        for (name, path), one in zip(missing.items(), seen, strict=True):
            one.save(path)
            found[name] = one.instances
    return {name: found[name] for name in looks}


def cached(video: Video, look: Look, cache: Path | None = None) -> Path:
    """Where the cache keeps what a look saw in a video: by its content, whatever it is called."""
    span = "" if video.span is None else "-{}-{}".format(*video.span)
    name = f"{content(video.path)[:32]}{span}.safetensors"
    return (cache or cache_folder() / "features") / look.name(video) / name


def usable(path: Path, video: Video, made: Mapping[str, Any]) -> Callable[[], Instances] | None:
    """What reads a file of features, if it is there, whole, and of this video and look; None otherwise."""
    if not path.exists():
        return None
    try:
        file = open_features(path)
        wrong = differences(made, file.passport["made"]) + differences(_source(video), file.passport["source"])
    except StoreError as error:
        log.warning("made again: %s", error)
        return None
    if wrong:
        log.warning("made again: %s: made in another way (%s)", path, "; ".join(wrong))
        return None
    return file.instances


def stored(video: Video, look: Look) -> Instances:
    """What a look saw in a video of a store; StoreError, naming the field, where it was another look."""
    store, wanted = store_of(video.path), look.wanted()
    name = _look_in(store, wanted)
    path = inside(store, name, video.id)
    if not path.exists():
        raise VideoError(path, f"the store has no features {name} of {video.id}; extract them")
    file = open_features(path)
    found = {key: value for key, value in file.passport["made"].items() if key in wanted}
    wrong = differences(wanted, found) + differences({"span": video.span}, {"span": file.passport["source"]["span"]})
    if wrong:
        raise StoreError(f"{path}: made in another way ({'; '.join(wrong)})")
    return file.instances()


def _look_in(store: Path, wanted: Mapping[str, Any]) -> str:
    """The name of a look in a store; StoreError tells how the nearest one differs."""
    kept = _kept(store, (store / INDEX).stat().st_mtime_ns)
    apart = {name: differences(wanted, {k: v for k, v in made.items() if k in wanted}) for name, made in kept.items()}
    best = min(
        sorted(apart), key=lambda n: (kept[n].get("backbone") != wanted["backbone"], len(apart[n])), default=None
    )
    if best is None:
        raise StoreError(f"{store}: the store holds no features")
    held = sorted({str(made.get("backbone")) for made in kept.values()})
    if wanted["backbone"] not in held:
        raise StoreError(
            f"{store}: holds no features of {wanted['backbone']}, but of {', '.join(held)}; say which: --backbone NAME"
        )
    if apart[best]:
        raise StoreError(
            f"{store}: holds no features made as wanted; the nearest are {best} ({'; '.join(apart[best])}). "
            "Ask for these settings, or extract from the videos with yours"
        )
    return best


@lru_cache(maxsize=64)
def _kept(store: Path, changed: int) -> dict[str, Mapping[str, Any]]:
    import json

    looks: dict[str, Mapping[str, Any]] = json.loads((store / INDEX).read_text("utf-8"))["looks"]
    return looks


def bags(
    videos: Iterable[Video],
    looks: dict[str, Look],
    *,
    quarantine: Quarantine | None = None,
    workers: int | None = None,
    quiet: bool = False,
) -> Iterator[Bag]:
    """Bags with a view per look, in the order of the videos.

    A video that can't be read is noted in ``quarantine`` and left out; without one it raises.
    """
    wanted = list(videos)

    def work(video: Video) -> Bag | VideoError:
        try:
            return Bag(video, views(video, looks))
        except VideoError as error:
            return error

    count = workers or os.cpu_count() or 1
    with ThreadPoolExecutor(count) as pool:
        found = zip(wanted, _in_order(pool, work, wanted, 4 * count), strict=True)
        for video, bag in track(found, "looking at videos", len(wanted), quiet=quiet):
            if isinstance(bag, Bag):
                yield bag
            elif quarantine is None:
                raise bag
            else:
                quarantine.add(video.path, bag.cause)
                log.warning("set aside %s: %s", video.id, bag.cause)


def _in_order(
    pool: ThreadPoolExecutor, work: Callable[[Video], Bag | VideoError], videos: Sequence[Video], waiting: int
) -> Iterator[Bag | VideoError]:
    """What becomes of each video, in their order; no more than so many are begun or wait for their turn."""
    flying: deque[Future[Bag | VideoError]] = deque()
    try:
        for video in videos:
            flying.append(pool.submit(work, video))
            if len(flying) >= waiting:
                yield flying.popleft().result()
        while flying:
            yield flying.popleft().result()
    finally:
        for future in flying:
            future.cancel()


@dataclass(frozen=True)
class Kept(Lazy):
    """Bags whose features lie in a store or the cache, read when they are looked at."""

    videos: Sequence[Video]
    looks: Mapping[str, Look]

    def __len__(self) -> int:
        return len(self.videos)

    def at(self, index: int) -> Bag:
        """The bag of one video."""
        return Bag(self.videos[index], views(self.videos[index], self.looks))


def gathered(
    videos: Iterable[Video],
    looks: dict[str, Look],
    *,
    quarantine: Quarantine | None = None,
    quiet: bool = False,
    held: int | None = None,
) -> Sequence[Bag]:
    """Bags as `bags` gives them: in memory up to ``held`` bytes (default `HELD`), else read when they are looked at."""
    limit = HELD if held is None else held
    known, kept, size = list[Video](), list[Bag](), 0
    for bag in bags(videos, looks, quarantine=quarantine, quiet=quiet):
        known.append(bag.video)
        size += sum(one.features.nbytes + one.extents.nbytes for one in bag.views.values())
        if size <= limit:
            kept.append(bag)
        else:
            kept.clear()
    return kept if size <= limit else Kept(known, looks)


def settled(look: Look, video: Video) -> Look:
    """The same look with its engine and precision chosen, so that everybody runs the same.

    Those of a store are the ones that its features were made with, wherever that was.
    """
    if look.network is None:
        return look
    if is_features(video.path):
        store = store_of(video.path)
        made = _kept(store, (store / INDEX).stat().st_mtime_ns)[_look_in(store, look.wanted())]
        return replace(look, engine=made.get("engine", AUTO), precision=made.get("precision", AUTO))
    running = look.running(video)
    return replace(look, engine=running.engine, precision=running.precision)
