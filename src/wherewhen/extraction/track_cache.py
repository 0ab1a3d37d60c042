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
from wherewhen.core.store import Spare, cache_folder, fingerprint, fingerprinted, plain
from wherewhen.core.values import Boxes, Floats, Scores, Video
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
        source_settings(self.track_source)

    @property
    def track_source(self) -> TrackSource:
        """The source of the boxes beside each map."""
        return TrackSource(self.proposals, self.boxes, self.tracks)


def movers(settings: object) -> MoversConfig | None:
    """Settings of movers from a source's name or plain values; None and an empty name mean none.

    >>> movers("motion").tracks.gap
    1.0
    """
    if settings is None or settings == "":
        return None
    if not isinstance(settings, str | Mapping):
        raise ConfigError(f"movers: expected the name of a source of boxes, or its settings; got {settings!r}")
    return build(MoversConfig, {"proposals": settings} if isinstance(settings, str) else settings, MOVERS)


def track_sources(builders: Mapping[str, Builder]) -> dict[str, TrackSource]:
    """The builders that need boxes, and their sources."""
    return {name: builder.track_source for name, builder in builders.items() if builder.track_source is not None}


def source_settings(track_source: TrackSource) -> dict[str, Any]:
    """All settings that determine the boxes of any video, with the content of files that they name.

    A folder with a file for each video is identified by `box_file_identity`.
    """
    config = plain(_config(track_source))
    named = {k: Path(v) for k, v in config.items() if isinstance(v, str) and v and Path(v).exists()}
    files = {k: content(path) for k, path in named.items() if not (_by_video(track_source) and path.is_dir())}
    return {"version": VERSION, "proposals": track_source.proposals, track_source.proposals: config, "files": files,
            "tracks": plain(track_source.tracks)}  # fmt: skip


def box_file_identity(track_source: TrackSource, video: Video) -> dict[str, Any]:
    """The content of the file with the boxes of a video; empty where there is none.

    VideoError where an expected file is missing.
    """
    if not _by_video(track_source):
        return {}
    config = _config(track_source)
    path = registry.load("proposals", track_source.proposals).file_of(config, video)
    shared = path == Path(config.path) and config.video is None  # then its id identifies the video in the file
    return {"boxes": {"sha256": content(path), "id": video.id if shared else None}}


def _by_video(track_source: TrackSource) -> bool:
    return bool(registry.load("proposals", track_source.proposals).abilities.by_video)


def _config(track_source: TrackSource) -> Any:
    """All settings of a source; checked once, as that takes its time."""
    return _checked(track_source.proposals, json.dumps(plain(track_source.settings), sort_keys=True))


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
    """The frames and boxes for a backbone, its builders and ``others``, decoded once."""
    by_name = {**track_sources(builders), **(others or {})}
    different = {fingerprint(source_settings(track_source)): track_source for track_source in by_name.values()}
    sources = [
        box_tracks.proposer(track_source.proposals, track_source.settings, video) for track_source in different.values()
    ]
    needed = roi_crops.specs(builders, spec)
    kinds = list(dict.fromkeys(needed.values()))
    pictures, *box_frames = sampling.shared(video, [spec, *kinds, *(source.clip for source in sources)], crops)
    sharp, box_frames = box_frames[: len(kinds)], box_frames[len(kinds) :]
    streams = {
        key: box_tracks.followed(frames, source, track_source.tracks)
        for (key, track_source), source, frames in zip(different.items(), sources, box_frames, strict=True)
    }
    sharper = roi_crops.shared(needed, dict(zip(kinds, sharp, strict=True)))
    return Streams(pictures, _for_each(by_name, streams), sharper)


def cached_boxes(
    video: Video, by_name: Mapping[str, TrackSource], cache: Path | None = None
) -> dict[str, Iterator[Boxes]]:
    """The same boxes of a file for each builder: computed once, and read from the cache afterwards."""
    if by_name and is_features(video.path):
        raise ConfigError(f"{video.id}: tracked boxes need pictures, and there are only features; give its videos")
    different = {fingerprint(source_settings(track_source)): track_source for track_source in by_name.values()}
    return _for_each(
        by_name, {key: iter(_loaded_or_tracked(video, track_source, cache)) for key, track_source in different.items()}
    )


def detected(video: Video, track_source: TrackSource) -> Floats:
    """Seconds ``(N, 2)`` of the frames of a file in which its source gave a box, tracked or not; cached."""
    frames = _loaded_or_tracked(video, track_source, None)
    return np.array([[boxes.start, boxes.end] for boxes in frames if boxes.detected]).reshape(-1, 2)


def _for_each(by_name: Mapping[str, TrackSource], streams: dict[str, Iterator[Boxes]]) -> dict[str, Iterator[Boxes]]:
    copies = {}
    for name, track_source in by_name.items():
        key = fingerprint(source_settings(track_source))
        streams[key], copies[name] = tee(streams[key])
    return copies


def _loaded_or_tracked(video: Video, track_source: TrackSource, cache: Path | None) -> Sequence[Boxes]:
    identity = box_file_identity(track_source, video)
    passport = plain(
        {
            "made": source_settings(track_source),
            "source": {"sha256": content(video.path), "span": video.span, **identity},
        }
    )
    folder = (cache or cache_folder() / "boxes") / fingerprinted(track_source.proposals, passport["made"])
    path = folder / cache_file_name(video, identity)
    if path.exists():
        try:
            return _noted(video, _read(path, passport))
        except StoreError as error:
            log.warning("recomputed: %s", error)
    source = box_tracks.proposer(track_source.proposals, track_source.settings, video)
    boxes = list(box_tracks.tracked(video, source, track_source.tracks, damaged="keep"))
    with Spare(path):
        _write(path, boxes, passport)
    return _noted(video, boxes)


def _noted(video: Video, stream: Sequence[Boxes]) -> Sequence[Boxes]:
    """The same boxes; notes of a source are logged at each use, not only when boxes are computed."""
    lasting: dict[str, float] = {}
    for boxes in stream:
        lasting[boxes.note] = lasting.get(boxes.note, 0.0) + boxes.end - boxes.start
    for note, seconds in lasting.items():
        if note:
            log.warning("%s: for %.1f s: %s", video.id, seconds, note)
    return stream


def cache_file_name(video: Video, identity: Mapping[str, Any]) -> str:
    """Name of a cached file of a video: its content, its span, and its file of boxes (see `box_file_identity`)."""
    span = "" if video.span is None else "-{}-{}".format(*video.span)
    name = f"{content(video.path)[:32]}{span}"
    return f"{fingerprinted(name, identity) if identity else name}.safetensors"


def _write(path: Path, stream: Iterable[Boxes], passport: Mapping[str, Any]) -> None:
    frames = list(stream)
    rows = Scores.chained(frames)
    arrays: Arrays = {
        "times": np.array([[boxes.start, boxes.end] for boxes in frames]).reshape(-1, 2),
        "counts": np.array([len(boxes.values) for boxes in frames], np.int64),
        "extents": rows.extents, "values": rows.values, "track": rows.track,
        "detected": np.array([bool(boxes.detected) for boxes in frames], np.uint8),
    }  # fmt: skip
    words = {"names": [list(boxes.names) for boxes in frames], "notes": [boxes.note for boxes in frames]}
    save(path, arrays, {**passport, "words": words}, ours=True)  # of a cache: damaged files are computed again


def _read(path: Path, passport: Mapping[str, Any]) -> list[Boxes]:
    arrays, own_passport = load(path)
    words = own_passport.pop("words", None)
    if words is None or own_passport != passport:
        raise StoreError(f"{path}: its boxes have other settings")
    if "detected" not in arrays:
        raise StoreError(f"{path}: it lacks the frames with detections, as files of older releases do")
    if not len(arrays["counts"]):
        return []
    borders = np.cumsum(arrays["counts"])[:-1]
    parts = (np.split(arrays[name], borders) for name in ("extents", "values", "track"))
    detected = arrays["detected"].astype(bool).tolist()
    frames = zip(arrays["times"].tolist(), *parts, words["names"], words["notes"], detected, strict=True)
    return [
        Boxes(start, end, rows, values, tuple(names), track, note, has_box)
        for (start, end), rows, values, track, names, note, has_box in frames
    ]
