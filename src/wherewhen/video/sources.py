"""Sources of videos: a file, a folder, a glob, a camera number or an address."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from wherewhen.core.addresses import HIDDEN, Address, address_in
from wherewhen.core.errors import VideoError
from wherewhen.core.printable import fitted, printable
from wherewhen.core.recordings import (
    PICTURE_SUFFIXES,
    VIDEO_SUFFIXES,
    PassedOver,
    is_album,
    listing,
    natural,
    no_file,
    recordings,
)
from wherewhen.core.values import Pictures

__all__ = [
    "PICTURE_SUFFIXES",
    "VIDEO_SUFFIXES",
    "Camera",
    "Medium",
    "Source",
    "SourceLike",
    "expand",
    "is_frames_folder",
    "is_live",
    "natural",
    "parsed",
    "pictures",
    "shown",
    "stem",
]  # fmt: skip

log = logging.getLogger("wherewhen")

WANTED = "expected a file, a folder, a glob, a camera's number or an address"


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
        """The name of their results."""
        return self.name

    def __str__(self) -> str:
        return f"camera {self.number}"


Medium = Path | Address | Camera  # what FFmpeg or a folder gives
Source = Medium | Pictures
SourceLike = str | Source  # what a user may say: `parsed` makes a source of it


def parsed(given: SourceLike) -> Source:
    """What a user's text means: a file or folder (there or not), a camera's number or an address.

    This is the only place that looks into the text; a path is never taken for an address. VideoError for text that
    can be no path.

    >>> parsed("rtsp://me:secret@door/1"), parsed("0"), parsed("a.mp4").name
    (Address('rtsp://door/1'), Camera(number=0), 'a.mp4')
    """
    if not isinstance(given, str):
        return given
    if "\0" in given or not given.strip():
        raise VideoError(given or "''", "no file can have this name")
    if (where := address_in(given)) is not None:
        return Path(url2pathname(urlsplit(where.url).path)) if where.scheme == "file" else where
    if given.isascii() and given.isdecimal() and not _exists(Path(given)):
        return Camera(int(given))
    return Path(given)


def is_live(given: SourceLike) -> bool:
    """Whether a source has no end of its own: a camera or a stream.

    >>> is_live("rtsp://door/1"), is_live("a.mp4"), is_live("https://example.org/a.mp4")
    (True, False, False)
    """
    source = parsed(given)
    return isinstance(source, Camera) or (isinstance(source, Address) and source.live)


def shown(given: SourceLike) -> str:
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
    own = source.stem or (source.resolve().name if isinstance(source, Path) else "")
    return fitted(printable(own)) or "video"


def pictures(folder: Path) -> list[Path]:
    """The pictures of a folder in natural order; empty if it has none. VideoError if the folder can't be listed."""
    with _telling(folder):
        return [path for path in listing(folder)[0] if path.suffix.lower() in PICTURE_SUFFIXES]


def is_frames_folder(given: SourceLike) -> bool:
    """Whether a source is a folder that holds pictures and no video file: one video, stored frame by frame."""
    source = parsed(given)
    if not isinstance(source, Path) or not source.is_dir():
        return False
    with _telling(source):
        return is_album(source)


def expand(given: SourceLike) -> list[Source]:
    """Every video that a source means, in natural order.

    A file is itself, whatever its suffix. A folder is searched through: each video file in it and each folder of
    pictures. A glob (``**`` too) is matched, then each match is treated so. Cameras and addresses are themselves.
    What is passed over on the way is told in the log. Raises VideoError if that comes to nothing.

    >>> expand("rtsp://me:secret@door/1")
    [Address('rtsp://door/1')]
    """
    source = parsed(given)
    if not isinstance(source, Path):
        return [source]
    path = source if _exists(source) else _from_home(source)
    if (kind := no_file(path)) is not None:
        raise VideoError(path, f"this is {kind}; {WANTED}{_hint(path)}")
    if not _exists(path) and not has_magic(str(path)):
        raise _not_there(path)
    if _exists(path) and not path.is_dir():
        return [path]
    return list(_searched(path))


def _searched(path: Path) -> list[Path]:
    """The videos in a folder, or that a glob means; what is passed over is told."""
    passed, folder = PassedOver(), _exists(path)
    if folder:
        with _telling(path):
            found = list(recordings(path, passed))
    else:
        matches = sorted((Path(name) for name in glob(str(path), recursive=True)), key=natural)  # noqa: PTH207
        found = list(dict.fromkeys(video for match in matches for video in _matched(match, passed)))
    if not found:
        told = f"; passed over: {passed}" if str(passed) else ""
        kinds = "a video (.mp4, .avi, .mkv, ...) or pictures (.tif, .jpg, .png, ...)"
        wanted = f"expected {kinds} in this folder or below, found none"
        raise VideoError(path, (wanted if folder else "this pattern matches no video and no folder of pictures") + told)
    if str(passed):
        log.warning("passed over in %s: %s", shown(path), passed)
    return found


def _matched(match: Path, passed: PassedOver) -> Iterator[Path]:
    """The videos that a match of a glob means."""
    if match.is_dir():
        try:
            yield from recordings(match, passed)
        except OSError:
            passed.add("closed", match)
    elif no_file(match):
        passed.add("link" if match.is_symlink() and not match.exists() else "special", match)
    elif match.suffix.lower() in VIDEO_SUFFIXES:
        yield match
    else:
        passed.add("suffix", match)


@contextmanager
def _telling(folder: Path) -> Iterator[None]:
    """A folder that can't be read is a VideoError."""
    try:
        yield
    except PermissionError:
        raise VideoError(folder, "no permission to look into this folder") from None
    except FileNotFoundError:
        raise VideoError(folder, "there is no such file or folder") from None
    except OSError as error:
        raise VideoError(folder, f"this folder can't be read ({error.strerror})") from None


def _hint(path: Path) -> str:
    """What to do instead, for a device that is a camera and for other things that are no file."""
    camera = re.fullmatch(r"/dev/video(\d+)", str(path))
    return f"; name the camera by its number, {camera[1]}" if camera else ""


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
