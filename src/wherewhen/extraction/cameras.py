"""Groups of videos that one camera recorded."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

from wherewhen.core.errors import VideoError
from wherewhen.core.feature_file import is_features
from wherewhen.core.progress import track
from wherewhen.core.values import Video
from wherewhen.extraction.backgrounds import AGREE, Background, agreement, background, same_camera

log = logging.getLogger("wherewhen")

PICTURED = 8  # videos of a camera whose backgrounds are kept to recognize it


def camera_groups(videos: Sequence[Video], *, cache: Path | None = None, quiet: bool = True) -> dict[str, str]:
    """The camera of each video, by id: the one that the data set names, else a group of videos of one background.

    A group is called like its first video with a name, else ``camera1``, ``camera2``, ... in the order of first videos.
    A file that is missing, or has no pictures that can be read, such as stored features, is a group of its own; spans
    of one file are one group. Nothing is read if every video has a name.

    >>> camera_groups([Video("a", Path("a.mp4"), camera="gate"), Video("b", Path("b.mp4"), camera="yard")])
    {'a': 'gate', 'b': 'yard'}
    """
    if all(video.camera for video in videos):
        return {video.id: str(video.camera) for video in videos}
    groups = _groups(list(dict.fromkeys(video.path for video in videos)), cache, quiet)
    names: dict[int, str] = {}
    for video in videos:
        if video.camera:
            names.setdefault(groups[video.path], video.camera)
    used = {video.camera for video in videos}
    free = (name for name in (f"camera{number}" for number in count(1)) if name not in used)
    return {video.id: video.camera or _named(names, groups[video.path], free) for video in videos}


def pictures_of(videos: Sequence[Video], cache: Path | None = None) -> list[Background]:
    """Backgrounds of up to 8 files, spread over these videos, without those that can't be read."""
    paths = list(dict.fromkeys(video.path for video in videos))
    count = min(PICTURED, len(paths))
    pictures = (_measured(paths[number * len(paths) // count], cache) for number in range(count))
    return [picture for picture in pictures if picture is not None]


def recognized(video: Video, cameras: Mapping[str, Sequence[Background]], cache: Path | None = None) -> str | None:
    """Which of these cameras recorded a video; None if none of them did.

    A video with a camera's name is of that camera; else the one counts whose background in ``cameras`` agrees best, by
    at least 0.35.

    >>> recognized(Video("a", Path("a.mp4"), camera="gate"), {"gate": []})
    'gate'
    """
    if video.camera is not None:
        return video.camera if video.camera in cameras else None
    if not any(cameras.values()) or (picture := _measured(video.path, cache)) is None:
        return None
    agreements = {
        name: max((agreement(picture, other) for other in pictures), default=-1.0) for name, pictures in cameras.items()
    }
    best = max(agreements, key=lambda name: agreements[name])
    return best if agreements[best] >= AGREE else None


def _measured(path: Path, cache: Path | None) -> Background | None:
    try:
        return None if is_features(path) or not path.exists() else background(path, cache)
    except (VideoError, OSError) as error:
        log.warning("no background, so a camera of its own: %s", error)
        return None


def _named(names: dict[int, str], group: int, free: Iterator[str]) -> str:
    if group not in names:
        names[group] = next(free)
    return names[group]


def _groups(paths: Sequence[Path], cache: Path | None, quiet: bool) -> dict[Path, int]:
    """The number of the group of each file."""

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        backgrounds = list(
            track(pool.map(lambda path: _measured(path, cache), paths), "reading backgrounds", len(paths), quiet=quiet)
        )
    pictured = [number for number, picture in enumerate(backgrounds) if picture is not None]
    numbers = same_camera([picture for picture in backgrounds if picture is not None])
    groups = {path: len(paths) + number for number, path in enumerate(paths)}
    return groups | {paths[place]: number for place, number in zip(pictured, numbers, strict=True)}
