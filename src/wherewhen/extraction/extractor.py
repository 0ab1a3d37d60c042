"""Feature specifications (a backbone, a builder, their settings) and the extraction of several from a video."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from threading import Lock
from time import perf_counter
from typing import Any, TypeVar

from wherewhen.core import progress, registry
from wherewhen.core.config import build
from wherewhen.core.contracts import Backbone, Builder, ClipSpec
from wherewhen.core.errors import VideoError
from wherewhen.core.feature_file import content, save_features
from wherewhen.core.store import fingerprint, fingerprinted, plain
from wherewhen.core.values import Boxes, Floats, Frame, Instances, Pixels, Video
from wherewhen.extraction import assembly, roi_crops, sampling, track_cache
from wherewhen.extraction.augmentation import Change
from wherewhen.runtime.batching import NONE, EngineChoice, SharedBatcher
from wherewhen.runtime.network import Network, fitted
from wherewhen.runtime.select import attach, remembered

T = TypeVar("T")

VERSION = 6  # of features: increase it when the same settings give other features
AUTO = "auto"
SAMPLES = 4  # clips that an engine is measured on


@dataclass(frozen=True, repr=False)
class FeatureSpec:
    """A specification of features: a backbone and an instance builder with their settings, and how they are run.

    ``device``: cpu, cuda or auto, where a network runs; passports record it, but features don't depend on it.
    ``change``: of the pictures; none by default.
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
    change: Change = Change()  # noqa: RUF009 (frozen)

    def __repr__(self) -> str:
        return f"FeatureSpec({self.backbone}, {self.instances}, {self.engine}, {self.precision}, {self.device})"

    @classmethod
    def named(cls, backbone: str, instances: str = "cells") -> FeatureSpec:
        """A specification with default settings."""
        first, second = registry.load("backbones", backbone), registry.load("instances", instances)
        return cls(backbone, instances, build(first.Config, None, backbone), build(second.Config, None, instances))

    @property
    def network(self) -> type[Network] | None:
        """The class of the network; None for backbones without one."""
        plugin = registry.load("backbones", self.backbone)
        return plugin if isinstance(plugin, type) and issubclass(plugin, Network) else None

    @property
    def timed(self) -> bool:
        """Whether its backbone measures speed, see `contracts.BackboneAbilities`."""
        return bool(registry.load("backbones", self.backbone).abilities.takes_seconds)

    def required_settings(self) -> dict[str, Any]:
        """The settings that features must have, by name; an engine only where one is requested."""
        backbone = effective_settings(self.backbone, self.backbone_settings)
        settings = {"version": VERSION, "backbone": self.backbone, "instances": self.instances}
        settings |= {"crops": self.crops, "gate": self.gate, self.instances: self._effective_instances()}
        if self.network is not None:
            run = {"engine": self.engine, "precision": self.precision}
            settings |= {key: value for key, value in run.items() if value != AUTO}
        for track_source in track_cache.track_sources({self.instances: self.builder}).values():
            settings["sight"] = track_cache.source_settings(track_source)
        if self.change.plain:
            settings["change"] = self.change.plain
        return {**settings, self.backbone: backbone}

    def _effective_instances(self) -> Mapping[str, Any]:
        """The settings of the builder that features depend on."""
        settings: dict[str, Any] = plain(self.instances_settings)
        effective = registry.load("instances", self.instances).abilities.effective_settings
        return effective(settings) if effective else settings

    def source(self, video: Video) -> dict[str, Any]:
        """The source for a passport: the hash of the video's content, its span in seconds, its file of boxes if any."""
        return {"sha256": content(video.path), "span": plain(video.span), **self.boxes(video)}

    def boxes(self, video: Video) -> dict[str, Any]:
        """The file with the boxes of a video, see `track_cache.box_file_identity`; VideoError where it is missing."""
        track_source = self.builder.track_source
        return {} if track_source is None else track_cache.box_file_identity(track_source, video)

    def running(self, video: Video) -> EngineChoice:
        """The engine on this machine; measured on clips of ``video`` where no measurement is stored."""
        if (network := self.network) is None:
            return NONE
        choice = remembered(network, self.backbone_settings, self.engine, self.precision, self.device)
        return choice or self.opened(video).running

    def resolved_settings(self, video: Video) -> dict[str, Any]:
        """All settings that determine the features, with the engine: the part ``made`` of a passport."""
        running = self.running(video)
        if self.network is None:
            return self.required_settings()
        calibration = {"calibration": running.calibration} if running.calibration else {}
        return {**self.required_settings(), "engine": running.engine, "precision": running.precision, **calibration}

    def name(self, video: Video) -> str:
        """The name of the folder of its features: backbone, builder and a fingerprint of the settings."""
        return fingerprinted(f"{self.backbone}-{self.instances}", self.resolved_settings(video))

    @property
    def builder(self) -> Builder:
        """The builder of its instances."""
        builder: Builder = registry.load("instances", self.instances)(self.instances_settings)
        return builder

    @property
    def backbone_key(self) -> str:
        """A key that specifications share which differ only in their instances and the change of pictures."""
        return fingerprint(replace(self, instances="", instances_settings=None, change=Change()))

    def opened(self, video: Video) -> LoadedBackbone:
        """The backbone, loaded once per process; ``video`` gives clips that an engine is measured on."""
        key = self.backbone_key
        with _OPENING:
            if key not in _OPEN:
                _OPEN[key] = _open(self, video)
            return _OPEN[key]

    def extract(self, video: Video) -> Instances:
        """Extract from the video itself; VideoError if it can't be read."""
        (extracted,) = extract_features(video, [self])
        return extracted.instances


def effective_settings(backbone: str, settings: Any) -> dict[str, Any]:
    """The settings that features depend on, with the identity of weights; of joined backbones by their names."""
    plugin = registry.load("backbones", backbone)
    if plugin.abilities.joins:
        return {part: effective_settings(part, getattr(settings, part)) for part in plugin.abilities.joins}
    left_out = plugin.abilities.settings_without_effect
    effective = {key: value for key, value in plain(settings).items() if key not in left_out}
    if isinstance(plugin, type) and issubclass(plugin, Network):
        effective["weights"] = _identity(backbone, settings)
    return effective


@lru_cache(maxsize=32)
def _identity(backbone: str, settings: Any) -> str:
    """The identity of the weights of a network; the file is read once per process."""
    return str(registry.load("backbones", backbone).identity(settings))


@dataclass
class LoadedBackbone:
    """A backbone, ready to run."""

    backbone: Backbone
    running: EngineChoice


_OPEN: dict[str, LoadedBackbone] = {}
_OPENING = Lock()


def _open(spec: FeatureSpec, video: Video) -> LoadedBackbone:
    backbone = registry.load("backbones", spec.backbone)(spec.backbone_settings)
    if spec.network is None:
        return LoadedBackbone(backbone, NONE)
    running = attach(backbone, spec.engine, spec.precision, spec.device, _samples(video, backbone.clip))
    backbone.run = SharedBatcher(backbone.run, running.batch)
    return LoadedBackbone(backbone, running)


def _samples(video: Video, spec: ClipSpec) -> Callable[[], Pixels]:
    """A function that reads a few clips ``(N, T, H, W, 3)``; a short video gives one, padded as for networks."""
    import numpy as np

    def clips() -> Pixels:
        stream = sampling.clips(sampling.frames(video, spec, damaged="keep"), spec)
        return np.concatenate([fitted(clip.images[None], spec, "engine") for clip in islice(stream, SAMPLES)])

    return clips


@dataclass(frozen=True, eq=False)
class Extracted:
    """Features of one video by one specification: instances, frame edges in seconds, and a passport."""

    instances: Instances
    clock: Floats
    passport: Mapping[str, Any]

    @property
    def damage(self) -> str | None:
        """Why only a part of the video was read; None if all of it was."""
        damage: str | None = self.passport["about"].get("damage")
        return damage

    def save(self, path: Path, stored: str = "float32") -> None:
        """Write it as a file of features."""
        about = {**self.passport["about"], "stored": stored}
        save_features(path, self.instances, self.clock, {**self.passport, "about": about}, stored)


@dataclass
class Effort:
    """Wall time of each part in seconds (parts overlap), and the amounts processed."""

    decode: float = 0.0
    resize: float = 0.0
    compute: float = 0.0
    write: float = 0.0
    pictures: int = 0
    seconds: float = 0.0
    size: int = 0

    def __add__(self, other: Effort) -> Effort:
        return Effort(*(a + b for a, b in zip(asdict(self).values(), asdict(other).values(), strict=True)))


Still = list[tuple[float, float]]
Beside = Mapping[str, Iterator[Boxes]]
OfVideo = Callable[[FeatureSpec, Backbone], Backbone]


@dataclass(frozen=True)
class _Group:
    """Feature specs that share a backbone and a change of pictures, with their inputs from one video.

    ``sharper``: the clip specs of sharper frames for each builder whose instances are cropped.
    """

    loaded: LoadedBackbone
    specs: list[FeatureSpec]
    boxes: Beside
    sharper: Mapping[str, ClipSpec]

    @classmethod
    def all_of(cls, specs: Sequence[FeatureSpec], video: Video) -> list[_Group]:
        """The specs by their pictures and backbone; tracks that are not cached are computed here."""
        by_input: dict[tuple[str, Change], list[FeatureSpec]] = {}
        for spec in specs:
            by_input.setdefault((spec.backbone_key, spec.change), []).append(spec)
        groups = []
        for shared in by_input.values():
            loaded, builders = shared[0].opened(video), _builders(shared)
            boxes = track_cache.cached_boxes(video, track_cache.track_sources(builders))
            groups.append(cls(loaded, shared, boxes, roi_crops.specs(builders, loaded.backbone.clip)))
        return groups

    @property
    def change(self) -> Change:
        """The change of the pictures."""
        return self.specs[0].change


def extract_features(
    video: Video, specs: Sequence[FeatureSpec], effort: Effort | None = None, parts: OfVideo | None = None,
    hwaccel: str = "none",
) -> list[Extracted]:  # fmt: skip
    """Features of a video by several specs; it is decoded once, ahead of them. VideoError if it can't be read.

    Specs that differ in nothing but their instances share one run of their backbone. ``parts``: gives the backbone of
    each spec for this video, see `part_cache`. ``hwaccel``: what decodes, see `reading`.
    """
    from wherewhen.video import reader
    from wherewhen.video.ahead import ahead

    effort, began = effort or Effort(), perf_counter()
    groups = _Group.all_of(specs, video)
    effort.compute += perf_counter() - began
    sharper = [(number, kind) for number, group in enumerate(groups) for kind in dict.fromkeys(group.sharper.values())]
    spent = reader.Spent()
    with progress.item() as report, reader.reading(video.path, whole=True, hwaccel=hwaccel) as reading:
        info = reading.info  # before another thread reads
        first, last = video.span or (0.0, info.duration)
        duration = None if last is None else last - first
        wants = [
            group.change.want(_want(group.loaded.backbone.clip, group.specs[0].crops), duration) for group in groups
        ]
        beside = [groups[number].change.want(_want(kind, 1), duration) for number, kind in sharper]
        with ahead(reading, wants, beside=beside, span=video.span, spent=spent) as (takers, stop):

            def work(number: int) -> tuple[list[Instances], Still]:
                group = groups[number]
                sharp = {kind: takers[k] for k, (owner, kind) in enumerate(sharper, len(groups)) if owner == number}
                changed = {kind: group.change.frames(taker) for kind, taker in sharp.items()}
                closeups = roi_crops.shared(group.sharper, changed)
                frames = iter(takers[number])
                if number == 0:
                    frames = progress.reported(takers[0], info.duration, report)
                began = perf_counter()
                try:
                    return _instances_of(group, group.change.frames(frames), closeups, parts)
                except BaseException:
                    stop.set()
                    raise
                finally:
                    waited = sum(taker.waited for taker in (takers[number], *sharp.values()))
                    effort.compute += perf_counter() - began - waited

            try:
                results = _side_by_side(work, len(groups))
            except ValueError as error:
                raise VideoError(video.path, str(error)) from None
        device, clock = reading.device, reading.whole()
        facts = _facts(info, clock, reading.damage)
    effort.decode, effort.resize = effort.decode + spent.decode, effort.resize + spent.resize
    effort.pictures += spent.pictures
    by_spec: dict[int, Extracted] = {}
    for group, (instances, still) in zip(groups, results, strict=True):
        for spec, rows in zip(group.specs, instances, strict=True):
            about = {**facts, **_about(group.loaded, spec, rows, still), **_versions(device)}
            passport = {"made": spec.resolved_settings(video), "source": spec.source(video), "about": about}
            by_spec[id(spec)] = Extracted(rows, clock, passport)
    return [by_spec[id(spec)] for spec in specs]


def _side_by_side(work: Callable[[int], T], count: int) -> list[T]:
    """Results of ``work(0)``, ``work(1)``, ..., each in a thread."""
    if count == 1:
        return [work(0)]
    with ThreadPoolExecutor(count) as pool:
        return [job.result() for job in [pool.submit(work, number) for number in range(count)]]


def _facts(info: Any, clock: Floats, damage: str | None) -> dict[str, Any]:
    """Facts for a passport about a recording that was read to its end."""
    facts: dict[str, Any] = {"width": info.width, "height": info.height, "rate": info.rate, "variable": info.variable}
    facts |= {"codec": info.codec, "frames": len(clock) - 1, "seconds": float(clock[-1] - clock[0])}
    return facts | ({"damage": damage} if damage else {})


def _want(spec: ClipSpec, crops: int) -> Any:
    from wherewhen.video import reader

    return reader.Want(spec.rate, *sampling.sizes(spec, crops), spec.new)


def _builders(specs: Sequence[FeatureSpec]) -> dict[str, Builder]:
    return {str(number): spec.builder for number, spec in enumerate(specs)}


def _instances_of(
    group: _Group, frames: Iterator[Frame], closeups: Mapping[str, Iterator[Frame]], parts: OfVideo | None
) -> tuple[list[Instances], Still]:
    """Instances of each spec of a group, and the spans that were gated."""
    still: Still = []
    loaded, builders = group.loaded, _builders(group.specs)
    joiners = {name: assembly.InstanceJoiner() for name in builders}
    streams = assembly.Streams(frames, group.boxes, closeups)
    options: dict[str, Any] = {
        "crops": group.specs[0].crops,
        "gate": group.specs[0].gate,
        "batch": loaded.running.batch,
    }
    cropped = bool(roi_crops.of_backbone(builders))
    backbone = group.change.backbone(loaded.backbone)
    if parts and not cropped and not group.change.plain:
        backbone = parts(group.specs[0], backbone)
    for name, part in assembly.instances(streams, backbone, builders, **options, patient=True, still=still):
        joiners[name].add(part)
    return [joiner.whole() for joiner in joiners.values()], still


def _about(loaded: LoadedBackbone, spec: FeatureSpec, instances: Instances, still: Still) -> dict[str, Any]:
    """Information for a passport that is not compared."""
    run = loaded.running
    about = {key: value for key, value in plain(spec.backbone_settings).items() if key == "layer"}
    if spec.network is not None:
        about |= {"device": run.device, "engine_version": run.version}
        about["deviation"] = {"relative": run.relative, "cosine": run.cosine}
    grid = {
        "grid": instances.shape,
        "rows": len(instances.features),
        "length": instances.features.shape[1],
        "gated": still,
    }
    resize = "swscale: areas averaged where it shrinks, bilinear where it enlarges"
    return plain({"clip": loaded.backbone.clip, "resize": resize, **about, **grid})  # type: ignore[no-any-return]


@lru_cache
def _versions(device: str) -> dict[str, str]:
    from wherewhen.video import reader

    return {"package": version("wherewhen"), "decoder": ", ".join(filter(None, [reader.decoder(), device]))}
