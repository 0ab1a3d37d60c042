"""Tracked boxes for builders of tubes: computed live, or cached like features."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import tee
from pathlib import Path
from typing import Any

import numpy as np

from wherewhen.core import registry
from wherewhen.core.array_files import Arrays, load, save
from wherewhen.core.config import build
from wherewhen.core.contracts import Builder, ClipSpec, TrackSource
from wherewhen.core.errors import ConfigError, StoreError
from wherewhen.core.feature_file import content, is_features
from wherewhen.core.linking import LinkConfig
from wherewhen.core.store import Spare, cache_folder, fingerprint, plain
from wherewhen.core.values import Boxes, Scores, Video
from wherewhen.extraction import box_tracks, roi_crops, sampling
from wherewhen.extraction.assembly import Streams

log = logging.getLogger(__name__)

VERSION = 1  # of boxes: raise it when the same settings give other ones
MOVERS = "movers"


@dataclass(frozen=True)
class MoversConfig:
    """Source of tracked boxes for events of a method that scores cells.

    Args:
        proposals: source of boxes (wherewhen list proposals).
        boxes: settings of that source, such as {rate: 6}.
        tracks: settings of the tracker that links boxes.
    """

    proposals: str
    boxes: dict[str, Any] = field(default_factory=dict)
    tracks: LinkConfig = LinkConfig()  # noqa: RUF009 (frozen)

    def __post_init__(self) -> None:
        made(self.track_source)

    @property
    def track_source(self) -> TrackSource:
        """The boxes to see beside each map."""
        return TrackSource(self.proposals, self.boxes, self.tracks)


def movers(given: object) -> MoversConfig | None:
    """Settings of movers out of a source's name, or of plain values; None and an empty name mean none.

    >>> movers("motion").tracks.gap
    1.0
    """
    if given is None or given == "":
        return None
    if not isinstance(given, str | Mapping):
        raise ConfigError(f"movers: expected the name of a source of boxes, or its settings; got {given!r}")
    return build(MoversConfig, {"proposals": given} if isinstance(given, str) else given, MOVERS)


def wanted(builders: Mapping[str, Builder]) -> dict[str, TrackSource]:
    """The builders that need boxes, and their sources."""
    return {name: builder.track_source for name, builder in builders.items() if builder.track_source is not None}


def made(sight: TrackSource) -> dict[str, Any]:
    """Everything that determines the boxes, whatever the video; of a file that is named, what is in it.

    What is in a folder with a file for each video is told by `own`.
    """
    config = plain(_config(sight))
    named = {k: Path(v) for k, v in config.items() if isinstance(v, str) and v and Path(v).exists()}
    files = {k: content(path) for k, path in named.items() if not (_by_video(sight) and path.is_dir())}
    return {"version": VERSION, "proposals": sight.proposals, sight.proposals: config, "files": files,
            "tracks": plain(sight.tracks)}  # fmt: skip


def own(sight: TrackSource, video: Video) -> dict[str, Any]:
    """What else determines the boxes of a video: the content of the file that they lie in; empty where there is none.

    VideoError where there should be one.
    """
    if not _by_video(sight):
        return {}
    config = _config(sight)
    path = registry.load("proposals", sight.proposals).file_of(config, video)
    shared = path == Path(config.path) and config.video is None  # then its id says which video of the file it is
    return {"boxes": {"sha256": content(path), "id": video.id if shared else None}}


def _by_video(sight: TrackSource) -> bool:
    return bool(registry.load("proposals", sight.proposals).abilities.by_video)


def _config(sight: TrackSource) -> Any:
    """All settings of a source; checked once, as that takes its time."""
    return _checked(sight.proposals, json.dumps(plain(sight.settings), sort_keys=True))


@lru_cache(maxsize=64)
def _checked(proposals: str, settings: str) -> Any:
    return build(registry.load("proposals", proposals).Config, json.loads(settings), proposals)


def live(
    video: sampling.AnySource,
    spec: ClipSpec,
    builders: Mapping[str, Builder],
    crops: int = 1,
    others: Mapping[str, TrackSource] | None = None,
) -> Streams:
    """What a backbone, its builders and ``others`` need of a video, decoded once."""
    sights = {**wanted(builders), **(others or {})}
    different = {fingerprint(made(sight)): sight for sight in sights.values()}
    sources = [box_tracks.proposer(sight.proposals, sight.settings, video) for sight in different.values()]
    needed = roi_crops.specs(builders, spec)
    kinds = list(dict.fromkeys(needed.values()))
    pictures, *own = sampling.shared(video, [spec, *kinds, *(source.clip for source in sources)], crops)
    sharp, own = own[: len(kinds)], own[len(kinds) :]
    streams = {
        key: box_tracks.followed(frames, source, sight.tracks)
        for (key, sight), source, frames in zip(different.items(), sources, own, strict=True)
    }
    sharper = roi_crops.shared(needed, dict(zip(kinds, sharp, strict=True)))
    return Streams(pictures, _for_each(sights, streams), sharper)


def kept(video: Video, sights: Mapping[str, TrackSource], cache: Path | None = None) -> dict[str, Iterator[Boxes]]:
    """The same boxes of a file for each builder: made once, and read from the cache afterwards."""
    if sights and is_features(video.path):
        raise ConfigError(f"{video.id}: tracked boxes need pictures, and there are only features; give its videos")
    different = {fingerprint(made(sight)): sight for sight in sights.values()}
    return _for_each(sights, {key: iter(_kept(video, sight, cache)) for key, sight in different.items()})


def _for_each(sights: Mapping[str, TrackSource], streams: dict[str, Iterator[Boxes]]) -> dict[str, Iterator[Boxes]]:
    found = {}
    for name, sight in sights.items():
        key = fingerprint(made(sight))
        streams[key], found[name] = tee(streams[key])
    return found


def _kept(video: Video, sight: TrackSource, cache: Path | None) -> Sequence[Boxes]:
    told = own(sight, video)
    passport = plain({"made": made(sight), "source": {"sha256": content(video.path), "span": video.span, **told}})
    span = "" if video.span is None else "-{}-{}".format(*video.span)
    folder = (cache or cache_folder() / "boxes") / f"{sight.proposals}-{fingerprint(passport['made'])[:8]}"
    path = folder / f"{content(video.path)[:32]}{span}{ending(told)}.safetensors"
    if path.exists():
        try:
            return _noted(video, _read(path, passport))
        except StoreError:  # damaged or of another way: made again
            pass
    source = box_tracks.proposer(sight.proposals, sight.settings, video)
    found = list(box_tracks.tracked(video, source, sight.tracks, damaged="keep"))
    with Spare(path):
        _write(path, found, passport)
    return _noted(video, found)


def _noted(video: Video, found: Sequence[Boxes]) -> Sequence[Boxes]:
    """The same boxes; what a source notes of a video is told whenever they are used, not only when they are made."""
    lasting: dict[str, float] = {}
    for boxes in found:
        lasting[boxes.note] = lasting.get(boxes.note, 0.0) + boxes.end - boxes.start
    for note, seconds in lasting.items():
        if note:
            log.warning("%s: for %.1f s: %s", video.id, seconds, note)
    return found


def ending(told: Mapping[str, Any]) -> str:
    """What the name of a cached file says of boxes that a video has of its `own`."""
    return f"-{fingerprint(told)[:8]}" if told else ""


def _write(path: Path, found: Iterable[Boxes], passport: Mapping[str, Any]) -> None:
    frames = list(found)
    rows = Scores.chained(frames)
    arrays: Arrays = {
        "times": np.array([[boxes.start, boxes.end] for boxes in frames]).reshape(-1, 2),
        "counts": np.array([len(boxes.values) for boxes in frames], np.int64),
        "extents": rows.extents, "values": rows.values, "track": rows.track,
    }  # fmt: skip
    words = {"names": [list(boxes.names) for boxes in frames], "notes": [boxes.note for boxes in frames]}
    save(path, arrays, {**passport, "words": words}, ours=True)  # of a cache: what is damaged is made again


def _read(path: Path, passport: Mapping[str, Any]) -> list[Boxes]:
    arrays, found = load(path)
    words = found.pop("words", None)
    if words is None or found != passport:
        raise StoreError(f"{path}: its boxes have other settings")
    if not len(arrays["counts"]):
        return []
    borders = np.cumsum(arrays["counts"])[:-1]
    parts = (np.split(arrays[name], borders) for name in ("extents", "values", "track"))
    told = zip(arrays["times"].tolist(), *parts, words["names"], words["notes"], strict=True)
    return [
        Boxes(start, end, rows, values, tuple(names), track, note)
        for (start, end), rows, values, track, names, note in told
    ]
