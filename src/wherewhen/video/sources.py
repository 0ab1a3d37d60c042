"""What a user may call a source: a file, a folder, a glob, a camera's number or an address."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from wherewhen.addresses import HIDDEN, Address, address_in
from wherewhen.errors import VideoError
from wherewhen.printable import printable
from wherewhen.values import Pictures


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera of this machine, by its number."""

    number: int

    @property
    def name(self) -> str:
        """What files about it are called."""
        return f"camera-{self.number}"

    @property
    def stem(self) -> str:
        """The same."""
        return self.name

    def __str__(self) -> str:
        return f"camera {self.number}"


Medium = Path | Address | Camera  # what FFmpeg or a folder gives
Source = Medium | Pictures
Given = str | Source  # what a user may say: `parsed` makes a source of it

_VIDEOS = "3gp asf avi dav divx flv h264 h265 hevc m2ts m4v mjpeg mjpg mkv mov mp4 mpeg mpg mts mxf ogv ts vob webm wmv"
_PICTURES = "tif tiff jpg jpeg png bmp"
VIDEO_SUFFIXES = frozenset(f".{kind}" for kind in _VIDEOS.split())
PICTURE_SUFFIXES = frozenset(f".{kind}" for kind in _PICTURES.split())


def natural(path: Path) -> list[tuple[int, int, str]]:
    """A sort key that counts: ``2.tif`` comes before ``10.tif``.

    >>> [p.name for p in sorted([Path("10.tif"), Path("2.tif")], key=natural)]
    ['2.tif', '10.tif']
    """
    pieces = re.split(r"([0-9]+)", path.as_posix())
    return [(0, int(p), p) if p.isdecimal() else (1, 0, p.lower()) for p in pieces if p] + [(2, 0, path.as_posix())]


def parsed(given: Given) -> Source:
    """What a user's text means: a file or folder (there or not), a camera's number or an address.

    This is the only place that looks into the text; a path is never taken for an address. VideoError for text that
    can be no path.

    >>> parsed("rtsp://me:secret@door/1"), parsed("0"), parsed("a.mp4").name
    (Address('rtsp://door/1'), Camera(number=0), 'a.mp4')
    """
    if not isinstance(given, str):
        return given
    if "\0" in given:
        raise VideoError(given, "no file can have this name")
    if (where := address_in(given)) is not None:
        return Path(url2pathname(urlsplit(where.url).path)) if where.scheme == "file" else where
    if given.isascii() and given.isdecimal() and not _exists(Path(given)):
        return Camera(int(given))
    return Path(given)


def is_live(given: Given) -> bool:
    """Whether a source has no end of its own: a camera or a stream.

    >>> is_live("rtsp://door/1"), is_live("a.mp4"), is_live("https://example.org/a.mp4")
    (True, False, False)
    """
    source = parsed(given)
    return isinstance(source, Camera) or (isinstance(source, Address) and source.live)


def shown(given: Given) -> str:
    """The source as text fit for a message, a log or a file: no secret of an address, no character that breaks lines.

    >>> shown("rtsp://me:secret@door/1?key=2")
    'rtsp://door/1'
    """
    return printable(parsed(given))


def stem(source: Source) -> str:
    """What a source is called in results: its name without the suffix; of ``.`` the folder's name.

    >>> stem(Path("a/b.mp4")), stem(Camera(0))
    ('b', 'camera-0')
    """
    return printable(source.stem or (source.resolve().name if isinstance(source, Path) else "")) or "video"


def pictures(folder: Path) -> list[Path]:
    """The pictures of a folder in natural order; empty if it has none.

    Raises VideoError if the folder can't be listed.
    """
    files, _ = _listing(folder)
    return [path for path in files if path.suffix.lower() in PICTURE_SUFFIXES]


def is_frames_folder(given: Given) -> bool:
    """Whether a source is a folder that holds pictures and no video file: one video, stored frame by frame."""
    source = parsed(given)
    if not isinstance(source, Path) or not source.is_dir():
        return False
    suffixes = {file.suffix.lower() for file in _listing(source)[0]}
    return bool(suffixes & PICTURE_SUFFIXES) and not suffixes & VIDEO_SUFFIXES


def expand(given: Given) -> list[Source]:
    """Every video that a source means, in natural order.

    A file is itself, whatever its suffix. A folder is searched through: each video file in it and each folder of
    pictures. A glob (``**`` too) is matched, then each match is treated so. Cameras and addresses are themselves.
    Hidden files are left out. Raises VideoError if that comes to nothing.

    >>> expand("rtsp://me:secret@door/1")
    [Address('rtsp://door/1')]
    """
    source = parsed(given)
    if not isinstance(source, Path):
        return [source]
    path = source if _exists(source) else _from_home(source)
    if _exists(path):
        return list(_videos_in(path)) if path.is_dir() else [path]
    if not has_magic(str(path)):
        raise _not_there(path)
    matches = sorted((Path(name) for name in glob(str(path), recursive=True)), key=natural)  # noqa: PTH207
    found = list(dict.fromkeys(video for match in matches for video in _matched(match)))
    if not found:
        raise VideoError(path, "this pattern matches no video and no folder of pictures")
    return list(found)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that is too long, a folder that can't be looked into
        return False


def _from_home(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:  # no such user
        return path


def _not_there(path: Path) -> VideoError:
    """What is said of a name that no file has, and that may be an address gone wrong: then no secret of it is told."""
    text, cause = str(path), "there is no such file or folder"
    if re.match(r"[\w.+-]+:/+[^/]", text):
        return VideoError(path, f"{cause}; an address is given as text, with two slashes")
    if re.match(r"[^/\s]+:.*@", text):
        return VideoError(f"{HIDDEN}@{text.rpartition('@')[2]}", f"{cause}; an address begins like rtsp://")
    return VideoError(path, cause)


def _matched(match: Path) -> Iterator[Path]:
    if match.is_dir():
        yield from _walk(match)
    elif match.suffix.lower() in VIDEO_SUFFIXES:
        yield match


def _videos_in(folder: Path) -> list[Path]:
    found = list(_walk(folder))
    if not found:
        kinds = "a video (.mp4, .avi, .mkv, ...) or pictures (.tif, .jpg, .png, ...)"
        raise VideoError(folder, f"expected {kinds} in this folder or below, found none")
    return found


def _walk(folder: Path) -> Iterator[Path]:
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
