"""Which files and folders are videos, and those below a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from wherewhen.errors import DataError

VIDEO_SUFFIXES = frozenset((
    ".3gp", ".avi", ".flv", ".h264", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts",
    ".webm", ".wmv",
))  # fmt: skip
IMAGE_SUFFIXES = frozenset((".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"))


def is_video(path: Path) -> bool:
    """Whether a path is a video file, or a folder whose own files are pictures and no videos."""
    if not path.is_dir():
        return path.suffix.lower() in VIDEO_SUFFIXES and path.is_file()
    kinds = {one.suffix.lower() for one in _entries(path) if one.is_file()}
    return bool(kinds & IMAGE_SUFFIXES) and not kinds & VIDEO_SUFFIXES


def videos_in(folder: Path, above: frozenset[tuple[int, int]] = frozenset()) -> Iterator[Path]:
    """Every video below a folder in the order of names, hidden ones left out; links are followed, but in no circle."""
    status = folder.stat()
    here = above | {(status.st_dev, status.st_ino)}
    if len(here) == len(above):
        return
    for path in _entries(folder):
        if is_video(path):
            yield path
        elif path.is_dir():
            yield from videos_in(path, here)


def _entries(folder: Path) -> list[Path]:
    try:
        return [folder / name for name in sorted(os.listdir(folder)) if not name.startswith(".")]  # noqa: PTH208
    except OSError as error:
        raise DataError(f"{folder}: the folder can't be read: {error.strerror}") from None
