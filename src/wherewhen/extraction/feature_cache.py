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
from wherewhen.core.errors import StoreError, VideoError
from wherewhen.core.feature_file import (
    INDEX,
    FeatureFile,
    content,
    differences,
    inside,
    is_features,
    open_features,
    store_of,
)
from wherewhen.core.store import Spare, cache_folder
from wherewhen.core.values import Bag, Instances, Video
from wherewhen.extraction.extractor import AUTO, FeatureSpec, extract_features
from wherewhen.extraction.track_cache import ending

log = logging.getLogger("wherewhen")


def instances(video: Video, look: FeatureSpec, cache: Path | None = None) -> Instances:
    """The instances of one video, from a store or the cache where they lie there; VideoError if it can't be read."""
    return bag_of(video, {"one": look}, cache).views["one"]


def bag_of(video: Video, looks: Mapping[str, FeatureSpec], cache: Path | None = None) -> Bag:
    """The features of each specification in one video; those not stored are extracted in one reading."""
    if is_features(video.path):
        files = {name: stored(video, look) for name, look in looks.items()}
        damage = next((file.damage for file in files.values() if file.damage), None)
        return Bag(video, {name: file.instances() for name, file in files.items()}, damage)
    found: dict[str, Instances] = {}
    damage = None
    missing: dict[str, Path] = {}
    for name, look in looks.items():
        path = cached(video, look, cache)
        kept = usable(path, look.source(video), look.resolved_settings(video))
        if kept is None:
            missing[name] = path
        else:
            found[name], damage = kept.instances(), damage or kept.damage
    if missing:
        seen = extract_features(video, [looks[name] for name in missing])
        for (name, path), one in zip(missing.items(), seen, strict=True):
            with Spare(path):
                one.save(path)
            found[name], damage = one.instances, damage or one.damage
    return Bag(video, {name: found[name] for name in looks}, damage)


def file_of(video: Video, look: FeatureSpec, cache: Path | None = None) -> FeatureFile:
    """The file that keeps what a look saw in a video; StoreError where none does."""
    if is_features(video.path):
        store = store_of(video.path)
        return open_features(inside(store, _look_in(store, look.required_settings()), video.id))
    return open_features(cached(video, look, cache))


def cached(video: Video, look: FeatureSpec, cache: Path | None = None) -> Path:
    """Where the cache keeps what a look saw in a video: by its content, whatever it is called, and its own boxes'."""
    span = "" if video.span is None else "-{}-{}".format(*video.span)
    name = f"{content(video.path)[:32]}{span}{ending(look.boxes(video))}.safetensors"
    return (cache or cache_folder() / "features") / look.name(video) / name


def usable(path: Path, source: Mapping[str, Any], made: Mapping[str, Any]) -> FeatureFile | None:
    """A file of features, if it is there, whole, and of this video and look; None otherwise."""
    if not path.exists():
        return None
    try:
        file = open_features(path)
        wrong = differences(made, file.passport["made"]) + differences(source, file.passport["source"])
    except StoreError as error:
        log.warning("recomputed: %s", error)
        return None
    if wrong:
        log.warning("recomputed: %s: has other settings (%s)", path, "; ".join(wrong))
        return None
    return file


def stored(video: Video, look: FeatureSpec) -> FeatureFile:
    """What a look saw in a video of a store; StoreError, naming the field, where it was another look."""
    store, wanted = store_of(video.path), look.required_settings()
    name = _look_in(store, wanted)
    path = inside(store, name, video.id)
    if not path.exists():
        raise VideoError(path, f"the store has no features {name} of {video.id}; extract them")
    file = open_features(path)
    found = {key: value for key, value in file.passport["made"].items() if key in wanted}
    wrong = differences(wanted, found) + differences({"span": video.span}, {"span": file.passport["source"]["span"]})
    if wrong:
        raise StoreError(f"{path}: has other settings ({'; '.join(wrong)})")
    return file


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
            f"{store}: has no features of {wanted['backbone']}, only of {', '.join(held)}; "
            "choose one with --backbone NAME"
        )
    if apart[best]:
        raise StoreError(
            f"{store}: has no features with these settings; the closest are {best} ({'; '.join(apart[best])}). "
            "Use their settings, or extract features with yours"
        )
    return best


@lru_cache(maxsize=64)
def _kept(store: Path, changed: int) -> dict[str, Mapping[str, Any]]:
    index = read_json(store / INDEX, StoreError)
    if not isinstance(index, dict) or not isinstance(looks := index.get("looks"), dict):
        raise StoreError(f"{store / INDEX}: expected the index of a store with its looks; extract again")
    return looks


def settled(look: FeatureSpec, video: Video) -> FeatureSpec:
    """The same look with its engine and precision chosen, so that everybody runs the same.

    Those of a store are the ones that its features were made with, wherever that was.
    """
    if look.network is None:
        return look
    if is_features(video.path):
        store = store_of(video.path)
        made = _kept(store, (store / INDEX).stat().st_mtime_ns)[_look_in(store, look.required_settings())]
        return replace(look, engine=made.get("engine", AUTO), precision=made.get("precision", AUTO))
    running = look.running(video)
    return replace(look, engine=running.engine, precision=running.precision)
