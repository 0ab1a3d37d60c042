"""Stored features: in the user's cache by the content of the video, or in a store of a data set.

A store replaces a data set's videos; `wherewhen.core.feature_file` describes its files.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from wherewhen.core.documents import read_json
from wherewhen.core.errors import ConfigError, StoreError, VideoError
from wherewhen.core.feature_file import (
    INDEX,
    FeatureFile,
    differences,
    inside,
    is_features,
    open_features,
    store_of,
)
from wherewhen.core.store import Spare, cache_folder
from wherewhen.core.values import Bag, Instances, Video
from wherewhen.extraction.extractor import AUTO, FeatureSpec, extract_features
from wherewhen.extraction.part_cache import PartCache
from wherewhen.extraction.track_cache import cache_file_name

log = logging.getLogger("wherewhen")


def instances(video: Video, spec: FeatureSpec, cache: Path | None = None) -> Instances:
    """The instances of one video, stored or extracted; VideoError if it can't be read."""
    return bag_of(video, {"view": spec}, cache).views["view"]


def bag_of(video: Video, specs: Mapping[str, FeatureSpec], cache: Path | None = None) -> Bag:
    """The features of each specification in one video; those not stored are extracted in one reading."""
    if is_features(video.path):
        files = {name: stored(video, spec) for name, spec in specs.items()}
        damage = next((file.damage for file in files.values() if file.damage), None)
        return Bag(video, {name: file.instances() for name, file in files.items()}, damage)
    views: dict[str, Instances] = {}
    damage = None
    missing: dict[str, Path] = {}
    for name, spec in specs.items():
        path = cached(video, spec, cache)
        file = usable(path, spec.source(video), spec.resolved_settings(video))
        if file is None:
            missing[name] = path
        else:
            views[name], damage = file.instances(), damage or file.damage
    if missing:
        parts = PartCache(video, lambda spec: _cells(video, spec, cache))
        extracted = extract_features(video, [specs[name] for name in missing], parts=parts)
        parts.save()
        for (name, path), result in zip(missing.items(), extracted, strict=True):
            with Spare(path):
                result.save(path)
            views[name], damage = result.instances, damage or result.damage
    return Bag(video, {name: views[name] for name in specs}, damage)


def _cells(video: Video, spec: FeatureSpec, cache: Path | None) -> Instances | None:
    """Cached instances of a specification; None where there are none."""
    path = cached(video, spec, cache)
    file = usable(path, spec.source(video), spec.resolved_settings(video))
    return None if file is None else file.instances()


def file_of(video: Video, spec: FeatureSpec, cache: Path | None = None) -> FeatureFile:
    """The file of the features of a specification in a video; StoreError where there is none."""
    if is_features(video.path):
        store = store_of(video.path)
        return open_features(inside(store, _name_in(store, spec.required_settings()), video.id))
    return open_features(cached(video, spec, cache))


def cached(video: Video, spec: FeatureSpec, cache: Path | None = None) -> Path:
    """Path of cached features: identified by the content of the video and of its file of boxes, not by names."""
    return (cache or cache_folder() / "features") / spec.name(video) / cache_file_name(video, spec.boxes(video))


def usable(path: Path, source: Mapping[str, Any], settings: Mapping[str, Any]) -> FeatureFile | None:
    """A file of features if it exists, is undamaged, and has this source and these settings; None otherwise."""
    if not path.exists():
        return None
    try:
        file = open_features(path)
        wrong = differences(settings, file.passport["made"]) + differences(source, file.passport["source"])
    except StoreError as error:
        log.warning("recomputed: %s", error)
        return None
    if wrong:
        log.warning("recomputed: %s: has other settings (%s)", path, "; ".join(wrong))
        return None
    return file


def stored(video: Video, spec: FeatureSpec) -> FeatureFile:
    """Features of a specification in a store; StoreError names the fields that differ."""
    if spec.change.plain:
        raise ConfigError(
            f"{video.path}: augment needs the pictures of videos, and a store has features alone; leave it out"
        )
    store, settings = store_of(video.path), spec.required_settings()
    name = _name_in(store, settings)
    path = inside(store, name, video.id)
    if not path.exists():
        raise VideoError(path, f"the store has no features {name} of {video.id}; extract them")
    file = open_features(path)
    actual = {key: value for key, value in file.passport["made"].items() if key in settings}
    span = file.passport["source"].get("span", "a file without it")
    wrong = differences(settings, actual) + differences({"span": video.span}, {"span": span})
    if wrong:
        raise StoreError(f"{path}: has other settings ({'; '.join(wrong)})")
    return file


def _name_in(store: Path, settings: Mapping[str, Any]) -> str:
    """The name of a specification in a store; StoreError names the differences of the closest one."""
    entries = _settings_by_name(store, (store / INDEX).stat().st_mtime_ns)
    differing = {
        name: differences(settings, {k: v for k, v in entry.items() if k in settings})
        for name, entry in entries.items()
    }
    best = min(
        sorted(differing),
        key=lambda n: (entries[n].get("backbone") != settings["backbone"], len(differing[n])),
        default=None,
    )
    if best is None:
        raise StoreError(f"{store}: the store holds no features")
    backbones = sorted({str(entry.get("backbone")) for entry in entries.values()})
    if settings["backbone"] not in backbones:
        raise StoreError(
            f"{store}: has no features of {settings['backbone']}, only of {', '.join(backbones)}; "
            "choose one with --backbone NAME"
        )
    if differing[best]:
        raise StoreError(
            f"{store}: has no features with these settings; the closest are {best} ({'; '.join(differing[best])}). "
            "Use their settings, or extract features with yours"
        )
    return best


@lru_cache(maxsize=64)
def _settings_by_name(store: Path, changed: int) -> dict[str, Mapping[str, Any]]:
    index = read_json(store / INDEX, StoreError)
    if not isinstance(index, dict) or not isinstance(specs := index.get("looks"), dict):
        raise StoreError(f"{store / INDEX}: expected the index of a store of features; extract again")
    return specs


def settled(spec: FeatureSpec, video: Video) -> FeatureSpec:
    """The same specification with its engine and precision resolved.

    For a store they are those of its features.
    """
    if spec.network is None:
        return spec
    if is_features(video.path):
        store = store_of(video.path)
        settings = _settings_by_name(store, (store / INDEX).stat().st_mtime_ns)[
            _name_in(store, spec.required_settings())
        ]
        return replace(spec, engine=settings.get("engine", AUTO), precision=settings.get("precision", AUTO))
    running = spec.running(video)
    return replace(spec, engine=running.engine, precision=running.precision)
