"""Which files and folders of a user's folder are videos; skipped entries are findings."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from wherewhen.core.diagnostics import report
from wherewhen.core.errors import DataError
from wherewhen.core.recordings import VIDEO_SUFFIXES, PassedOver, is_album, recordings


def is_video(path: Path) -> bool:
    """Whether a path is a video file, or a folder whose own files are pictures and no videos."""
    if not path.is_dir():
        return path.suffix.lower() in VIDEO_SUFFIXES and path.is_file()
    try:
        return is_album(path)
    except OSError as error:
        raise _closed(path, error) from None


def videos_in(folder: Path) -> list[Path]:
    """Every video in a folder and below it, in the order of names; links are followed, but in no circle."""
    passed = PassedOver()
    try:
        paths = sorted(recordings(folder, passed))
    except OSError as error:
        raise _closed(folder, error) from None
    if str(passed):
        report("passed-over", str(passed), where=folder)
    return paths


def videos_left(root: Path, listed: Iterable[Path]) -> list[Path]:
    """Every video below a folder but those that are ``taken``, in the order of names."""
    excluded = set(listed)
    try:
        return sorted(path for path in recordings(root, PassedOver()) if path not in excluded and path != root)
    except OSError as error:
        raise _closed(root, error) from None


def _closed(folder: Path, error: OSError) -> DataError:
    return DataError(f"{folder}: the folder can't be read: {error.strerror}")
