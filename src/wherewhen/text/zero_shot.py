"""Detection by prompts, without training: likelihoods of texts for pictures, then the localizer of trained models.

frames(source) -> clips -> features(encoder) -> likelihoods(prompts) -> events(localizer), each with a class
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from wherewhen.core import documents, registry
from wherewhen.core import extents as ext
from wherewhen.core.config import build
from wherewhen.core.contracts import ClipSpec, Localizer, TextImage
from wherewhen.core.errors import ConfigError
from wherewhen.core.prompts import Prompts
from wherewhen.core.store import write_json
from wherewhen.core.values import Boxes, Clip, Features, Instances, Pixels, Prediction
from wherewhen.extraction import assembly, sampling
from wherewhen.inference import alarms
from wherewhen.inference.class_maps import ClassMap, named
from wherewhen.inference.detector import Detector
from wherewhen.runtime.network import Network
from wherewhen.runtime.select import attach
from wherewhen.text import spatial
from wherewhen.text.encoders import settings_of
from wherewhen.text.spatial import SpatialConfig

DEFAULT = "clip"
AT_ONCE = 83  # windows of one picture
PRESETS: Mapping[str, Mapping[str, Any]] = {"regions": {"top": 1, "smooth_cells": 0.0}}
"""Settings of the localizer under which an alarm starts as soon as a single cell reaches the threshold. A mean over
cells would need a higher value of it (five times by default)."""


@dataclass(repr=False)
class ZeroShot(Detector):
    """Detection by prompts, without training: scores pictures by the texts of a prompt file.

    ``settings``: of the backbone, the localizer ``regions`` and the spatial stream, by their names. ``threshold``: the
    raw frame score that becomes 0.5.
    """

    prompts: Prompts
    backbone: str = DEFAULT
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    localizer: str = "regions"
    threshold: float = 0.5
    engine: str = "auto"
    precision: str = "auto"
    device: str = "auto"

    def __post_init__(self) -> None:
        """Check all that can be checked before a video is opened, and read the prompts."""
        if not 0 < self.threshold < 1:
            raise ConfigError(f"threshold: expected a score above 0 and below 1, got {self.threshold}")
        sections = (self.backbone, self.localizer, "spatial")
        for name in self.settings:
            if name not in sections:
                raise ConfigError(f"settings of {name}: detection by prompts has those of {', '.join(sections)}")
        self.spatial: SpatialConfig = build(SpatialConfig, self.settings.get("spatial"), "spatial")
        whole = self.spatial.view == "windows"
        fixed = {"layer": "embedding", "frames": 1, "sampling": 1} if whole else {"layer": "patches"}
        settings = self.settings.get(self.backbone)
        plugin, config = registry.load("backbones", self.backbone), settings_of(self.backbone, settings)
        self.encoder = plugin(settings_of(self.backbone, settings, **fixed))
        spec: ClipSpec = plugin.spec(config) if issubclass(plugin, Network) else plugin(config).clip
        self.clip = replace(spec, size=None, width=self.spatial.width) if whole else spec
        assert isinstance(self.encoder, TextImage)
        self.texts: Features = self.encoder.encode(self.prompts.texts)

    def __repr__(self) -> str:
        return f"ZeroShot({self.backbone}, {self.localizer}, {len(self.prompts.classes)} classes)"

    def with_localizer(self, **settings: Any) -> ZeroShot:
        """The same model with other settings of its localizer; ConfigError for one that is unknown."""
        changed = copy(self)
        merged = {**self.settings.get(self.localizer, {}), **settings}
        changed.settings = {**self.settings, self.localizer: merged}
        changed.localizing()
        return changed

    def localizing(self) -> Any:
        """The settings of the localizer."""
        settings = {**PRESETS.get(self.localizer, {}), **self.settings.get(self.localizer, {})}
        return build(registry.load("localize", self.localizer).Config, settings, self.localizer)

    @property
    def alarm(self) -> float:
        """The score at which an alarm starts."""
        return alarms.level(self.localizing())

    def save(self, path: str | Path) -> None:
        """Write all fields as JSON, for `load`."""
        write_json(path, {item.name: getattr(self, item.name) for item in fields(self)})

    @classmethod
    def load(cls, path: str | Path) -> ZeroShot:
        """The same model, created again, for example in another process."""
        record = documents.read_json(path, ConfigError)
        texts = record.pop("prompts")
        classes = {name: tuple(listed) for name, listed in texts["classes"].items()}
        return cls(Prompts(tuple(texts["normal"]), classes), **record)

    @cached_property
    def running(self) -> Any:
        """The engine of the encoder, attached on first use."""
        return attach(self.encoder, self.engine, self.precision, self.device)

    def localized(self, pieces: Iterable[ClassMap], tracks: Iterable[Boxes] | None = None) -> Iterator[Prediction]:
        """Boxes, tubes and events with their classes."""
        localizer: Localizer = registry.load("localize", self.localizer)(self.localizing(), self.threshold)
        return named(pieces, localizer, self.prompts.names, tracks)

    def instances(self, source: sampling.AnySource) -> tuple[Iterator[assembly.Part], None]:
        """Instances of the encoder, a clip at a time: a grid of patches, or the windows of one picture."""
        _ = self.running
        streams = assembly.Streams.of(source, self.clip)
        if self.spatial.view == "windows":
            places = ext.windows(self.spatial.shares, self.spatial.stride)
            clips = sampling.clips(streams.frames, self.clip)
            return (("windows", cut(clip, self.encoder, places)) for clip in clips), None
        cells = registry.load("instances", "cells")
        return assembly.instances(streams, self.encoder, {"cells": cells(cells.Config())}), None

    def predictions(
        self, parts: Iterable[assembly.Part], tracks: Iterable[Boxes] | None = None
    ) -> Iterator[Prediction]:
        """Predictions for instances of the encoder, a time step at a time, each event with its class."""
        return self.localized(self.maps(part for _, part in parts), tracks)

    def maps(self, parts: Iterable[Instances]) -> Iterator[ClassMap]:
        """Likelihoods of the classes on a grid; ``parts`` may be cached ones."""
        classes = len(self.prompts.names)
        for part in parts:
            shares = spatial.likelihoods(part.features, self.texts, self.spatial.scale)
            values = spatial.by_class(shares, self.prompts.owners, classes)
            if part.shape is None:
                spans, group = np.unique(part.extents[:, :2], axis=0, return_inverse=True)
                raster = (self.spatial.raster, self.spatial.raster)
                pictures = [
                    ext.mean_map(part.extents[group.ravel() == k], values[group.ravel() == k], raster)
                    for k in range(len(spans))
                ]
            else:
                t, h, w = part.shape
                spans = part.extents.reshape(t, h * w, 6)[:, 0, :2]
                pictures = list(values.reshape(t, h, w, classes))
            for number, (span, picture) in enumerate(zip(spans, pictures, strict=True)):
                detail = None if part.detail is None else part.detail[number : number + 1]
                yield ClassMap(self._whole(picture)[None], span, detail)

    def _whole(self, picture: Features) -> Features:
        """A map ``(h, w, C)``, stretched if so set: all classes by the same factor."""
        if not self.spatial.stretch:
            return picture
        total = picture.sum(-1)
        share = np.divide(spatial.stretched(total), total, out=np.zeros_like(total), where=total > 0)
        scaled: Features = picture * share[..., None]
        return scaled


def cut(clip: Clip, encoder: Any, places: Features | np.ndarray) -> Instances:
    """The middle picture of a clip through windows ``(P, 4)``, encoded in batches: one instance per window.

    Windows of one size are cut to the same number of pixels; their extents are those of the cut pixels.
    """
    picture = clip.images[(len(clip.images) - 1) // 2]
    height, width = picture.shape[:2]
    sides = np.maximum((places[:, 2:] - places[:, :2]) * [width, height], 1).round().astype(int)
    corners = np.minimum((places[:, :2] * [width, height]).round().astype(int), [width, height] - sides)
    features: dict[int, Features] = {}
    for size in np.unique(sides, axis=0):
        chosen = np.flatnonzero((sides == size).all(1))
        for start in range(0, len(chosen), AT_ONCE):
            rows = chosen[start : start + AT_ONCE]
            crops: Pixels = np.stack([picture[y : y + size[1], x : x + size[0]] for x, y in corners[rows]])[:, None]
            features |= zip(rows.tolist(), encoder(crops).reshape(len(rows), -1), strict=True)
    pixels = np.concatenate([corners, corners + sides], 1) / [width, height, width, height]
    times = np.tile(np.array(clip.span), (len(places), 1))
    vectors = np.stack([features[row] for row in range(len(places))])
    return Instances(vectors, np.concatenate([times, pixels], 1))
