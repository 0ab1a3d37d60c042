"""Videos to bags, once: each view of each video is cached with its passport, and a bad file is set aside."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from wherewhen import pipeline, registry
from wherewhen.config import build
from wherewhen.errors import StoreError, VideoError
from wherewhen.model import Recipe
from wherewhen.progress import track
from wherewhen.store import Arrays, cache_folder, content_hash, fingerprint, load, plain, save
from wherewhen.values import Bag, Instances, Video
from wherewhen.video.batch import Quarantine

log = logging.getLogger("wherewhen")

VERSION = 2  # of the cache: raise it when the same settings give other features


@dataclass(frozen=True)
class Look:
    """One way to look at a video: a backbone and an instance builder with their settings."""

    backbone: str
    instances: str
    backbone_settings: Any
    instances_settings: Any

    @classmethod
    def of(cls, recipe: Recipe) -> Look:
        """How a recipe looks at videos."""
        backbone, instances = recipe.backbone, recipe.instances
        return cls(backbone, instances, recipe.settings[backbone], recipe.settings[instances])

    @classmethod
    def named(cls, backbone: str, instances: str = "cells") -> Look:
        """A look with default settings."""
        first, second = registry.load("backbones", backbone), registry.load("instances", instances)
        return cls(backbone, instances, build(first.Config, None, backbone), build(second.Config, None, instances))

    def passport(self, video: Video) -> dict[str, Any]:
        """Everything that the instances of a video depend on."""
        return {"version": VERSION, "content": content(video.path), "span": plain(video.span), **plain(self)}

    def extract(self, video: Video) -> Instances:
        """Look at the video itself; VideoError if it can't be read."""
        backbone = registry.load("backbones", self.backbone)(self.backbone_settings)
        builder = registry.load("instances", self.instances)(self.instances_settings)
        try:
            return pipeline.joined(pipeline.instances(video, backbone, builder))
        except ValueError as error:
            raise VideoError(video.path, str(error)) from None


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
    """sha256 of a video, read again only when its size or time changes."""
    return _content(*stamp(path))


@lru_cache(maxsize=100_000)
def _content(path: str, size: int, changed: int) -> str:
    return content_hash(path)


def instances(video: Video, look: Look, cache: Path | None = None) -> Instances:
    """The instances of one video, from the cache where they lie there; VideoError if it can't be read."""
    passport = look.passport(video)
    path = (cache or cache_folder() / "features") / f"{fingerprint(passport)}.safetensors"
    if path.exists():
        try:
            kept, _ = load(path, passport)
            detail = kept["detail"].astype(np.float32) if "detail" in kept else None
            return Instances(kept["features"], kept["extents"], kept["track"], _shape(kept["shape"].tolist()), detail)
        except StoreError as error:
            log.warning("made again: %s", error)
    made = look.extract(video)
    arrays: Arrays = {"features": made.features, "extents": made.extents, "track": made.track}
    if made.detail is not None:
        arrays["detail"] = made.detail.astype(np.float16)
    save(path, arrays | {"shape": np.array(made.shape or (), np.int64)}, passport)
    return made


def _shape(numbers: list[int]) -> tuple[int, int, int] | None:
    return (numbers[0], numbers[1], numbers[2]) if numbers else None


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
            return Bag(video, {name: instances(video, look) for name, look in looks.items()})
        except VideoError as error:
            return error

    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        found = zip(wanted, pool.map(work, wanted), strict=True)
        for video, bag in track(found, "looking at videos", len(wanted), quiet=quiet):
            if isinstance(bag, Bag):
                yield bag
            elif quarantine is None:
                raise bag
            else:
                quarantine.add(video.path, bag.cause)
                log.warning("set aside %s: %s", video.id, bag.cause)
