"""Which files and folders are videos, and the reason for those that are not."""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from wherewhen.core import outputs
from wherewhen.core.printable import printable

# Containers and bare streams that FFmpeg reads and that hold one video. Left out, as files of these names are mostly
# something else: dat and rec (any program's data), mod (music), ogg (sound), swf (programs), yuv (without a header with
# its size), avs (scripts), m3u8, mpd and sdp (lists that lead to other places), m4s (parts of a stream).
_VIDEOS = """
    264 265 3g2 3gp 3gpp amv apng asf av1 avc avi dav divx dv dvr-ms f4v flv gif h261 h263 h264 h265 hevc ivf k3g m1v
    m2t m2ts m2v m4v mj2 mjpeg mjpg mk3d mkv mov mp4 mp4v mpe mpeg mpg mpv mts mxf nsv nut obu ogm ogv qt rm rmvb tod
    tp trp ts vob vro webm wmv wtv xvid y4m
"""
VIDEO_SUFFIXES = frozenset(f".{kind}" for kind in _VIDEOS.split())
PICTURE_SUFFIXES = frozenset(f".{kind}" for kind in ["bmp", "jpeg", "jpg", "png", "tif", "tiff", "webp"])

EXAMPLES = 3  # names that are listed for each reason
KINDS = 4  # suffixes that are listed

REASONS = {
    "suffix": "no video by the suffix",
    "pictures": "picture beside videos",
    "rendered": "overlay or timeline of results",
    "hidden": "hidden",
    "link": "broken link",
    "circle": "link to a folder that is searched anyway",
    "special": "pipe, socket or device",
    "closed": "no permission to read it",
    "empty": "empty folder",
}
"""Why an entry of a folder is skipped."""


class PassedOver:
    """Skipped entries of a search for videos: counts and examples for each reason."""

    def __init__(self) -> None:
        self.count: Counter[str] = Counter()
        self.examples: dict[str, list[str]] = {}
        self.suffixes: Counter[str] = Counter()

    def add(self, reason: str, path: Path) -> None:
        """Note a file or folder for one of `REASONS`."""
        self.count[reason] += 1
        if reason == "suffix":
            self.suffixes[path.suffix.lower() or "none"] += 1
        if len(examples := self.examples.setdefault(reason, [])) < EXAMPLES:
            examples.append(printable(path.name))

    def __str__(self) -> str:
        """All reasons as text, empty where nothing was left out.

        >>> passed = PassedOver()
        >>> passed.add("suffix", Path("a.txt"))
        >>> passed.add("link", Path("b.mp4"))
        >>> print(passed)
        1 no video by the suffix (.txt: a.txt), 1 broken link (b.mp4)
        """
        parts = []
        for reason, words in REASONS.items():
            if count := self.count[reason]:
                more = ", ..." if count > EXAMPLES else ""
                parts.append(f"{count} {words} ({self._kinds(reason)}{', '.join(self.examples[reason])}{more})")
        return ", ".join(parts)

    def _kinds(self, reason: str) -> str:
        common = [suffix for suffix, _ in self.suffixes.most_common(KINDS)]
        more = ", ..." if len(self.suffixes) > KINDS else ""
        return f"{', '.join(common)}{more}: " if reason == "suffix" else ""


def natural(path: Path) -> list[tuple[int, int, str]]:
    """A sort key for natural order: ``2.tif`` is before ``10.tif``.

    >>> [p.name for p in sorted([Path("10.tif"), Path("2.tif")], key=natural)]
    ['2.tif', '10.tif']
    """
    pieces = re.split(r"([0-9]+)", path.as_posix())
    return [(0, int(p), p) if p.isdecimal() else (1, 0, p.lower()) for p in pieces if p] + [(2, 0, path.as_posix())]


def no_file(path: Path) -> str | None:
    """The kind of a path that is neither a file nor a folder; None for files, folders and missing paths."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return "a broken link" if os.path.islink(path) else None  # noqa: PTH114 (an error for long names)
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return None
    return "a pipe" if stat.S_ISFIFO(mode) else "a socket" if stat.S_ISSOCK(mode) else "a device"


def listing(folder: Path, passed: PassedOver | None = None) -> tuple[list[Path], list[Path]]:
    """Files, and folders, of a folder in natural order, links followed; skipped entries are added to ``passed``.

    OSError if the folder can't be read.
    """
    passed = passed or PassedOver()
    files, folders = [], []
    written = (folder / outputs.MANIFEST).exists()
    for path in sorted((folder / name for name in os.listdir(folder)), key=natural):  # noqa: PTH208
        if path.name.startswith("."):
            if not path.name.startswith(".wherewhen"):  # manifests of the toolkit
                passed.add("hidden", path)
            continue
        try:
            mode = path.stat().st_mode
        except OSError:
            passed.add("link" if path.is_symlink() else "closed", path)
            continue
        if stat.S_ISDIR(mode):
            folders.append(path)
        elif stat.S_ISREG(mode):
            if written and outputs.rendered(path):
                passed.add("rendered", path)
            else:
                files.append(path)
        else:
            passed.add("special", path)
    return files, folders


def is_album(folder: Path) -> bool:
    """Whether a folder is a video, stored picture by picture: it holds pictures and no video. OSError as `listing`."""
    suffixes = {file.suffix.lower() for file in listing(folder)[0]}
    return bool(suffixes & PICTURE_SUFFIXES) and not suffixes & VIDEO_SUFFIXES


def recordings(folder: Path, passed: PassedOver) -> Iterator[Path]:
    """Every video in a folder and below it, in natural order: files, and folders of pictures.

    Links to folders are followed, unless they lead to a folder that is searched anyway. Skipped entries are added to
    ``passed``. OSError if the folder can't be read; one below it is left out then.
    """
    yield from _below(folder, passed, folder.resolve(), set())


def _below(folder: Path, passed: PassedOver, root: Path, visited: set[Path]) -> Iterator[Path]:
    visited.add(folder.resolve())
    files, folders = listing(folder, passed)
    videos = [file for file in files if file.suffix.lower() in VIDEO_SUFFIXES]
    pictures = [file for file in files if file.suffix.lower() in PICTURE_SUFFIXES]
    for file in files:
        if file.suffix.lower() not in VIDEO_SUFFIXES | PICTURE_SUFFIXES:
            passed.add("suffix", file)
    if videos:
        for file in pictures:
            passed.add("pictures", file)
    elif pictures:
        yield folder
    yield from videos
    for child in folders:
        place = child.resolve()
        inside = place.is_relative_to(root) or root.is_relative_to(place)
        if place in visited or (child.is_symlink() and inside):
            passed.add("circle", child)
            continue
        count, before = 0, passed.count.total()
        try:
            for video in _below(child, passed, root, visited):
                count += 1
                yield video
        except OSError:
            passed.add("closed", child)
        if not count and passed.count.total() == before:
            passed.add("empty", child)
