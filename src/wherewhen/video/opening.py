"""Opens a file, stream or camera through FFmpeg (PyAV), with plain errors."""

from __future__ import annotations

import errno
import logging
import stat
import sys
from pathlib import Path
from typing import NamedTuple

import av
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from wherewhen.core.errors import VideoError
from wherewhen.video import devices
from wherewhen.video.guard import reason
from wherewhen.video.sources import USUAL, Access, Camera, Medium, is_live, shown
from wherewhen.video.wholeness import cut_short

log = logging.getLogger("wherewhen")

MAX_PIXELS = 2**27
_CAMERAS = {"linux": ("v4l2", "/dev/video{}"), "darwin": ("avfoundation", "{}:none")}
_TEXT_AS_VIDEO = frozenset(("ansi", "bintext", "xbin", "idf"))
# An overflow of stamps to FFmpeg may also be a new count: `clock` distinguishes the two.
_RAW_STAMPS = {"correct_ts_overflow": "0"}


class Opened(NamedTuple):
    """An open container and the video in it."""

    container: InputContainer
    stream: VideoStream


def opened(source: Medium, access: Access = USUAL) -> Opened:
    """Open a source and find its video stream; VideoError if that fails."""
    if (file := file_of(source)) is not None:
        _check_file(file)
    name = devices.device(access.hwaccel)
    container = _container_of(source, access, None if name is None else HWAccel(name, allow_software_fallback=True))
    try:
        stream = _stream_of(container, shown(source), is_live(source))
        if name is not None and not stream.codec_context.is_hwaccel:
            cause = f"{name} can't decode {stream.codec_context.name}"
            if access.hwaccel != "auto":
                raise VideoError(source, f"{cause}; hwaccel: auto takes the processor then")
            log.warning("%s: %s; the processor decodes", shown(source), cause)
        return Opened(container, stream)
    except BaseException:
        container.close()
        raise


def file_of(source: Medium) -> Path | None:
    """The file that a source is, None for a camera, a stream or an address."""
    return source if isinstance(source, Path) else None


def _container_of(source: Medium, access: Access, accel: HWAccel | None) -> InputContainer:
    try:
        if isinstance(source, Camera):
            kind, name = _CAMERAS.get(sys.platform, _CAMERAS["linux"])
            return av.open(name.format(source.number), format=kind, timeout=access.silence, hwaccel=accel)
        if isinstance(source, Path):
            # with protocol and absolute path, as FFmpeg would take "10:00.mp4" for an address
            address = f"file:{source.absolute()}"
            return av.open(address, options=dict(_RAW_STAMPS), metadata_errors="replace", hwaccel=accel)
        if source.fault:
            raise VideoError(source, source.fault)
        options = dict(_RAW_STAMPS)
        if source.scheme.startswith("rtsp"):
            options["rtsp_transport"] = access.transport
        return av.open(source.url, options=options, metadata_errors="replace", timeout=access.silence, hwaccel=accel)
    except VideoError:
        raise
    except Exception as error:
        cause = _unopened(file_of(source), is_live(source), error)
        if isinstance(source, Path):
            raise VideoError(source, cause) from error
        cause += _advice(error, access)
        raise VideoError(source, cause) from None  # the message of FFmpeg contains the whole address


def _advice(error: Exception, access: Access) -> str:
    """What may help, where that is known."""
    if isinstance(error, av.error.HTTPUnauthorizedError):
        return "; check user name and password"
    if isinstance(error, OSError) and error.errno == errno.EPROTONOSUPPORT and access.transport == "tcp":
        return "; the server may offer RTSP over UDP only: transport: udp"
    return ""


def _unopened(file: Path | None, live: bool, error: Exception) -> str:
    if file is None:
        return f"this {'camera or ' if live else ''}address can't be opened ({reason(error)})"
    if missing := cut_short(file):
        return f"{missing}; not one frame can be read"
    return "this is no video, or it is damaged: expected a file such as .mp4, .avi or .mkv" + _kind(file)


def _stream_of(container: InputContainer, name: str, live: bool) -> VideoStream:
    streams = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    if not streams:
        sound = " (only sound)" if container.streams.audio else ""
        raise VideoError(name, f"the file holds no video{sound}")
    stream = streams[0]
    if stream.codec_context is None:
        raise VideoError(name, "the video's codec is not supported here: convert it to H.264")
    if stream.codec_context.name in _TEXT_AS_VIDEO:
        raise VideoError(name, "this is text, not a video")
    width, height = stream.width, stream.height
    if width * height > MAX_PIXELS:
        raise VideoError(name, f"pictures of {width}x{height} are too large: {MAX_PIXELS:,} pixels at most")
    stream.codec_context.thread_count = 1
    strict = {} if live else {"err_detect": "+explode"}
    stream.codec_context.options = {"max_pixels": str(MAX_PIXELS), **strict}
    return stream


def _check_file(path: Path) -> None:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise VideoError(path, "this is no file, but a pipe or a device: store the video in a file first")
        with path.open("rb") as file:
            if not file.read(1):
                raise VideoError(path, "the file is empty")
    except FileNotFoundError:
        raise VideoError(path, "there is no such file or folder") from None
    except PermissionError:
        raise VideoError(path, "no permission to read this file") from None
    except OSError as error:
        raise VideoError(path, f"the file can't be read ({reason(error)})") from error


def _kind(path: Path) -> str:
    """The apparent kind of a file that is no video, for the message."""
    with path.open("rb") as file:
        head = file.read(1024)
        file.seek(-1, 2)
        last = file.read(1)
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05") and last == b".":
        return "; it looks like a Python pickle, which is never opened"
    try:
        text = head.decode()
    except UnicodeDecodeError:
        return ""
    return "; it looks like text" if text.isprintable() or all(c.isprintable() or c.isspace() for c in text) else ""
