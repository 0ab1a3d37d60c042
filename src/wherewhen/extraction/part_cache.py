"""Features of the parts of joined backbones, cached apart: changing one part leaves those of the others as they are."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from wherewhen.backbones._joined import Joined, reduced
from wherewhen.core import registry
from wherewhen.core.array_files import load, save
from wherewhen.core.contracts import Backbone, ClipSpec
from wherewhen.core.errors import StoreError
from wherewhen.core.feature_file import content
from wherewhen.core.spill import Spool
from wherewhen.core.store import Spare, cache_folder, fingerprinted, plain
from wherewhen.core.values import Features, Instances, Video
from wherewhen.extraction.extractor import VERSION, FeatureSpec, effective_settings
from wherewhen.extraction.track_cache import cache_file_name

log = logging.getLogger("wherewhen")

ARRAY = "features"


@dataclass
class Part:
    """Features of one part in the clips of one video, in order.

    ``rows`` ``(T, h, w, D)``: those in the cache, None where there are none. ``steps`` for each clip; 0 = unknown.
    """

    path: Path
    passport: dict[str, Any]
    rows: Features | None
    steps: int
    number: int = 0
    computed: Spool = field(default_factory=Spool)

    def features(self, count: int, compute: Callable[[int, int], Features]) -> Features:
        """Features ``(count, t, h, w, D)`` of the next clips; ``compute`` gives those from one of them to another."""
        if self.rows is None:
            features = compute(0, count)
            self.steps = features.shape[1]
            self.computed.append(features.reshape(-1, *features.shape[2:]))
            return features
        if not self.steps:  # cells of the first part alone: the first clip gives the steps of each
            first = compute(0, 1)[0]
            self.steps = len(first)
            if not np.array_equal(self.rows[: self.steps], first):
                self.rows = self.rows[:0]
        clips = []
        for k in range(count):
            start = (self.number + k) * self.steps
            rows = self.rows[start : start + self.steps]  # cells of a last clip may lack some of its steps
            clips.append(rows if len(rows) == self.steps else compute(k, k + 1)[0])
        self.number += count
        return np.stack(clips)

    def save(self) -> None:
        """Write what was computed where nothing was cached."""
        if self.rows is None and self.computed.rows:
            with Spare(self.path):
                save(self.path, {ARRAY: self.computed.whole()}, {**self.passport, "steps": self.steps}, ours=True)


class PartCache:
    """The parts of joined backbones for one video.

    ``cells_of``: cached cells of a specification, None where there are none: features of the first backbone alone.
    """

    def __init__(self, video: Video, cells_of: Callable[[FeatureSpec], Instances | None]) -> None:
        self.video, self.cells_of = video, cells_of
        self.parts: list[Part] = []

    def __call__(self, spec: FeatureSpec, backbone: Backbone) -> Backbone:
        """The backbone of a specification for the clips of the video in order: a joined one with the cache.

        Crops and a gate process other pictures than all clips in order, without the cache.
        """
        if not isinstance(backbone, Joined) or spec.crops != 1 or spec.gate:
            return backbone
        parts = {name: self._part(name, spec, backbone.clip) for name in backbone.parts}
        self.parts += parts.values()
        return backbone.recorded(lambda name, count, compute: parts[name].features(count, compute))

    def save(self) -> None:
        """Write the parts that were not cached."""
        for part in self.parts:
            part.save()

    def _part(self, name: str, spec: FeatureSpec, clip: ClipSpec) -> Part:
        settings = effective_settings(name, getattr(spec.backbone_settings, name))
        identity = plain({"version": VERSION, "part": name, name: settings, "clip": clip})
        source = plain({"sha256": content(self.video.path), "span": self.video.span})
        folder = cache_folder() / "parts" / fingerprinted(name, identity)
        part = Part(folder / cache_file_name(self.video, {}), {"made": identity, "source": source}, None, 0)
        if part.path.exists():
            try:
                arrays, passport = load(part.path)
                steps = int(passport.pop("steps", 0))
                if passport == part.passport and steps and not len(arrays[ARRAY]) % steps:
                    part.rows, part.steps = arrays[ARRAY], steps
            except StoreError as error:
                log.warning("recomputed: %s", error)
        if part.rows is None and name == spec.backbone.split(registry.JOIN)[0]:
            part.rows = self._first_alone(name, spec, clip)
        return part

    def _first_alone(self, name: str, spec: FeatureSpec, clip: ClipSpec) -> Features | None:
        """Features ``(T, h, w, D)`` of the first part from its own cached cells; None without them."""
        alone = FeatureSpec.named(name)
        alone = FeatureSpec(name, "cells", getattr(spec.backbone_settings, name), alone.instances_settings)
        if alone.network is not None or clip.stride < clip.frames - clip.changes:
            return None
        cells = self.cells_of(alone)
        return None if cells is None or cells.shape is None else reduced(cells.features).reshape(*cells.shape, -1)
