"""Sources of videos: a file, a folder, a glob, a camera number or an address."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit
from urllib.request import url2pathname

from wherewhen.core.addresses import HIDDEN, Address, address_in
from wherewhen.core.errors import ConfigError, VideoError
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
    "USUAL",
    "VIDEO_SUFFIXES",
    "Access",
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

HWACCELS = (
    "none", "auto", "amf", "cuda", "d3d11va", "d3d12va", "drm", "dxva2", "mediacodec", "opencl", "qsv", "vaapi",
    "vdpau", "videotoolbox", "vulkan",
)  # fmt: skip
EXPECTED = "expected a file, a folder, a glob, a camera's number or an address"


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera of this machine, by its number."""

    number: int

    @property
    def name(self) -> str:
        """The name of their results."""
        return f"camera-{self.number}"

    @property
    def stem(self) -> str:
        """The name of their results."""
        return self.name

    def __str__(self) -> str:
        return f"camera {self.number}"


@dataclass(frozen=True, slots=True)
class Access:
    """How a video is read; ConfigError for a device of another name.

    Args:
        silence: seconds that a camera may stay silent: when it is opened, and before each picture.
        transport: of RTSP, tcp or udp.
        hwaccel: what decodes: none (the processor), auto, or the name of a device.
    """

    silence: float = 15.0
    transport: Literal["tcp", "udp"] = "tcp"
    hwaccel: str = "none"

    def __post_init__(self) -> None:
        if self.hwaccel not in HWACCELS:
            raise ConfigError(f"hwaccel: expected {', '.join(HWACCELS)}, got {self.hwaccel!r}")


USUAL = Access()
Medium = Path | Address | Camera  # read by FFmpeg or from a folder
Source = Medium | Pictures
SourceLike = str | Source  # a source, or its text for `parsed`


def parsed(source: SourceLike) -> Source:
    """A user's text as a source: a file or folder (existing or not), a camera's number or an address.

    Only this function parses the text; a path is never taken for an address. VideoError for text that
    can be no path.

    >>> parsed("rtsp://me:secret@door/1"), parsed("0"), parsed("a.mp4").name
    (Address('rtsp://door/1'), Camera(number=0), 'a.mp4')
    """
    if not isinstance(source, str):
        return source
    if "\0" in source or not source.strip():
        raise VideoError(source or "''", "no file can have this name")
    if (address := address_in(source)) is not None:
        return Path(url2pathname(urlsplit(address.url).path)) if address.scheme == "file" else address
    if source.isascii() and source.isdecimal() and not _exists(Path(source)):
        return Camera(int(source))
    return Path(source)


def is_live(source: SourceLike) -> bool:
    """Whether a source is endless: a camera or a stream.

    >>> is_live("rtsp://door/1"), is_live("a.mp4"), is_live("https://example.org/a.mp4")
    (True, False, False)
    """
    parsed_source = parsed(source)
    return isinstance(parsed_source, Camera) or (isinstance(parsed_source, Address) and parsed_source.live)


def shown(source: SourceLike) -> str:
    """The source as text fit for a message, a log or a file: no secret of an address, no character that breaks lines.

    >>> shown("rtsp://me:secret@door/1?key=2")
    'rtsp://door/1'
    """
    return printable(parsed(source))


def stem(source: Source) -> str:
    """The name of a source in results: without the suffix; of ``.`` the folder's name.

    >>> stem(Path("a/b.mp4")), stem(Camera(0))
    ('b', 'camera-0')
    """
    name = source.stem or (source.resolve().name if isinstance(source, Path) else "")
    return fitted(printable(name)) or "video"


def pictures(folder: Path) -> list[Path]:
    """The pictures of a folder in natural order; empty if it has none. VideoError if the folder can't be listed."""
    with _folder_errors(folder):
        return [path for path in listing(folder)[0] if path.suffix.lower() in PICTURE_SUFFIXES]


def is_frames_folder(source: SourceLike) -> bool:
    """Whether a source is a folder that holds pictures and no video file: one video, stored frame by frame."""
    path = parsed(source)
    if not isinstance(path, Path) or not path.is_dir():
        return False
    with _folder_errors(path):
        return is_album(path)


def expand(source: SourceLike) -> list[Source]:
    """Every video of a source, in natural order.

    A file is a source, with any suffix. A folder is searched: each video file in it and each folder of
    pictures. A glob (``**`` too) is matched, then each match is treated so. Cameras and addresses are returned.
    Skipped entries are logged. VideoError if there is no video.

    >>> expand("rtsp://me:secret@door/1")
    [Address('rtsp://door/1')]
    """
    parsed_source = parsed(source)
    if not isinstance(parsed_source, Path):
        return [parsed_source]
    path = parsed_source if _exists(parsed_source) else _from_home(parsed_source)
    if (kind := no_file(path)) is not None:
        raise VideoError(path, f"this is {kind}; {EXPECTED}{_hint(path)}")
    if not _exists(path) and not has_magic(str(path)):
        raise _not_there(path)
    if _exists(path) and not path.is_dir():
        return [path]
    return list(_searched(path))


def _searched(path: Path) -> list[Path]:
    """The videos of a folder or glob; skipped entries are logged."""
    passed, folder = PassedOver(), _exists(path)
    if folder:
        with _folder_errors(path):
            videos = list(recordings(path, passed))
    else:
        matches = sorted((Path(name) for name in glob(str(path), recursive=True)), key=natural)  # noqa: PTH207
        videos = list(dict.fromkeys(video for match in matches for video in _matched(match, passed)))
    if not videos:
        skipped = f"; skipped: {passed}" if str(passed) else ""
        kinds = "a video (.mp4, .avi, .mkv, ...) or pictures (.tif, .jpg, .png, ...)"
        message = f"expected {kinds} in this folder or below, found none"
        raise VideoError(
            path, (message if folder else "this pattern matches no video and no folder of pictures") + skipped
        )
    if str(passed):
        log.warning("skipped in %s: %s", shown(path), passed)
    return videos


def _matched(match: Path, passed: PassedOver) -> Iterator[Path]:
    """The videos of one match of a glob."""
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
def _folder_errors(folder: Path) -> Iterator[None]:
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
    """The remedy for a device that is a camera; else empty."""
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
    """The error for a missing file; its name may be a mistyped address, whose secrets are hidden."""
    text, cause = str(path), "there is no such file or folder"
    if re.match(r"[\w.+-]+:/+[^/]", text):
        return VideoError(path, f"{cause}; an address is given as text, with two slashes")
    if re.match(r"[^/\s]+:.*@", text):
        return VideoError(f"{HIDDEN}@{text.rpartition('@')[2]}", f"{cause}; an address begins like rtsp://")
    return VideoError(path, cause)
