"""Groups of videos that one camera recorded."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

from wherewhen.core.errors import VideoError
from wherewhen.core.feature_file import is_features
from wherewhen.core.progress import track
from wherewhen.core.values import Video
from wherewhen.extraction.backgrounds import Background, background, same_camera

log = logging.getLogger("wherewhen")


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


def _named(names: dict[int, str], group: int, free: Iterator[str]) -> str:
    if group not in names:
        names[group] = next(free)
    return names[group]


def _groups(paths: Sequence[Path], cache: Path | None, quiet: bool) -> dict[Path, int]:
    """The number of the group of each file."""

    def measured(path: Path) -> Background | None:
        try:
            return None if is_features(path) or not path.exists() else background(path, cache)
        except (VideoError, OSError) as error:
            log.warning("no background, so a camera of its own: %s", error)
            return None

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        backgrounds = list(track(pool.map(measured, paths), "reading backgrounds", len(paths), quiet=quiet))
    pictured = [number for number, picture in enumerate(backgrounds) if picture is not None]
    numbers = same_camera([picture for picture in backgrounds if picture is not None])
    groups = {path: len(paths) + number for number, path in enumerate(paths)}
    return groups | {paths[place]: number for place, number in zip(pictured, numbers, strict=True)}
