"""Groups of videos that one camera recorded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count

from wherewhen.core.values import Video


def camera_groups(videos: Sequence[Video]) -> dict[str, str]:
    """The camera of each video, by id: the one that the data set names, else the group of videos of one file.

    Groups without a name are called ``camera1``, ``camera2``, ... in the order of their first videos.

    >>> from pathlib import Path
    >>> camera_groups([Video("a", Path("a.mp4"), camera="gate"), Video("b", Path("b.mp4")), Video("c", Path("b.mp4"))])
    {'a': 'gate', 'b': 'camera1', 'c': 'camera1'}
    """
    unnamed = [video for video in videos if video.camera is None]
    paths = {path: number for number, path in enumerate(dict.fromkeys(video.path for video in unnamed))}
    names = _names(len(paths), {video.camera for video in videos if video.camera is not None})
    return {video.id: video.camera or names[paths[video.path]] for video in videos}


def _names(number: int, names: Iterable[str]) -> list[str]:
    """New names of cameras, other than those taken."""
    used = set(names)
    free = (name for name in (f"camera{k}" for k in count(1)) if name not in used)
    return [next(free) for _ in range(number)]
