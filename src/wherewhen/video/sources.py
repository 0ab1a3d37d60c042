"""What a user may call a source: a file, a folder, a glob, a camera's number or an address."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from glob import glob, has_magic
from pathlib import Path

from wherewhen.errors import VideoError

Source = str | Path

_VIDEOS = "3gp asf avi dav divx flv h264 h265 hevc m2ts m4v mjpeg mjpg mkv mov mp4 mpeg mpg mts mxf ogv ts vob webm wmv"
_PICTURES = "tif tiff jpg jpeg png bmp"
VIDEO_SUFFIXES = frozenset(f".{kind}" for kind in _VIDEOS.split())
PICTURE_SUFFIXES = frozenset(f".{kind}" for kind in _PICTURES.split())

_ADDRESS = re.compile(r"(rtsps?|rtmps?|rtp|udp|tcp|srt|https?):/+(?=[^/])", re.IGNORECASE)


def natural(path: Path) -> list[tuple[int, int, str]]:
    """A sort key that counts: ``2.tif`` comes before ``10.tif``.

    >>> [p.name for p in sorted([Path("10.tif"), Path("2.tif")], key=natural)]
    ['2.tif', '10.tif']
    """
    pieces = re.split(r"([0-9]+)", path.as_posix())
    return [(0, int(p), p) if p.isdecimal() else (1, 0, p.lower()) for p in pieces if p] + [(2, 0, path.as_posix())]


def address(source: Source) -> str | None:
    """The address if the source is one (also after ``Path`` swallowed a slash), else None.

    >>> address(Path("rtsp://door/1"))
    'rtsp://door/1'
    """
    text = source.as_posix() if isinstance(source, Path) else source
    match = _ADDRESS.match(text)
    return f"{match[1]}://{text[match.end() :]}" if match else None


def camera(source: Source) -> int | None:
    """The camera's number if the source is one, else None.

    >>> camera("0"), camera("a.mp4")
    (0, None)
    """
    text = str(source)
    return int(text) if text.isascii() and text.isdecimal() and not Path(text).exists() else None


def is_live(source: Source) -> bool:
    """Whether a source has no end of its own: a camera or a stream.

    >>> is_live("rtsp://door/1"), is_live("a.mp4"), is_live("https://example.org/a.mp4")
    (True, False, False)
    """
    where = address(source)
    return camera(source) is not None or (where is not None and not where.lower().startswith("http"))


def shown(source: Source) -> str:
    """The source as text fit for a message or a file: an address without its user name, password and query.

    >>> shown("rtsp://me:secret@door/1?key=2")
    'rtsp://door/1'
    """
    where = address(source)
    return re.sub(r"(?<=://)[^/]*@", "", where).partition("?")[0] if where else str(source)


def pictures(folder: Source) -> list[Path]:
    """The pictures of a folder in natural order; empty if it has none.

    Raises VideoError if the folder can't be listed.
    """
    files, _ = _listing(Path(folder))
    return [path for path in files if path.suffix.lower() in PICTURE_SUFFIXES]


def is_frames_folder(path: Source) -> bool:
    """Whether a path is a folder that holds pictures and no video file: one video, stored frame by frame."""
    if address(path) or not Path(path).is_dir():
        return False
    suffixes = {file.suffix.lower() for file in _listing(Path(path))[0]}
    return bool(suffixes & PICTURE_SUFFIXES) and not suffixes & VIDEO_SUFFIXES


def expand(source: Source) -> list[Source]:
    """Every video that a source means, in natural order.

    A file is itself, whatever its suffix. A folder is searched through: each video file in it and each folder of
    pictures. A glob (``**`` too) is matched, then each match is treated so. Cameras and addresses stay as text.
    Hidden files are left out. Raises VideoError if that comes to nothing.

    >>> expand("rtsp://door/1")
    ['rtsp://door/1']
    """
    if (where := address(source)) is not None:
        return [where]
    path = Path(source).expanduser()
    if path.is_dir():
        return _videos_in(path)
    if path.exists():
        return [path]
    if (number := camera(source)) is not None:
        return [str(number)]
    if not has_magic(str(path)):
        raise VideoError(path, "there is no such file or folder")
    matches = sorted((Path(name) for name in glob(str(path), recursive=True)), key=natural)  # noqa: PTH207
    found = list(dict.fromkeys(video for match in matches for video in _matched(match)))
    if not found:
        raise VideoError(path, "this pattern matches no video and no folder of pictures")
    return found


def _matched(match: Path) -> Iterator[Source]:
    if match.is_dir():
        yield from _walk(match)
    elif match.suffix.lower() in VIDEO_SUFFIXES:
        yield match


def _videos_in(folder: Path) -> list[Source]:
    found = list(_walk(folder))
    if not found:
        kinds = "a video (.mp4, .avi, .mkv, ...) or pictures (.tif, .jpg, .png, ...)"
        raise VideoError(folder, f"expected {kinds} in this folder or below, found none")
    return found


def _walk(folder: Path) -> Iterator[Source]:
    files, folders = _listing(folder)
    videos = [path for path in files if path.suffix.lower() in VIDEO_SUFFIXES]
    if not videos and any(path.suffix.lower() in PICTURE_SUFFIXES for path in files):
        yield folder
    yield from videos
    for child in folders:
        yield from _walk(child)


def _listing(folder: Path) -> tuple[list[Path], list[Path]]:
    """Files and folders in natural order, hidden ones left out; links to folders are not followed."""
    files, folders = [], []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append(folder / entry.name)
                elif entry.is_file():
                    files.append(folder / entry.name)
    except PermissionError:
        raise VideoError(folder, "no permission to look into this folder") from None
    except FileNotFoundError:
        raise VideoError(folder, "there is no such file or folder") from None
    return sorted(files, key=natural), sorted(folders, key=natural)
