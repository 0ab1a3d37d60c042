"""A video file, stream or camera through FFmpeg (PyAV): its pictures in order, exact times, errors in plain words."""

from __future__ import annotations

import sys
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import NamedTuple

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.stream import VideoStream

from wherewhen.errors import VideoError
from wherewhen.video import convert as _convert
from wherewhen.video.clock import Clock
from wherewhen.video.shot import Converter, Shot, VideoInfo
from wherewhen.video.sources import Camera, Medium, is_live, shown
from wherewhen.video.wholeness import cut_short

MAX_PIXELS = 2**27
_NO_TIMES = 0x0080  # FFmpeg's mark of containers without times, such as raw H.264
_LOOK = 250
_CAMERAS = {"linux": ("v4l2", "/dev/video{}"), "darwin": ("avfoundation", "{}:none")}
# Where one packet is one picture and carries its time: there packets tell the times without decoding.
_TIMED = frozenset(("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi"))
_ONE_TO_ONE = frozenset(
    ("h264", "hevc", "mpeg4", "mjpeg", "ffv1", "png", "rawvideo", "prores", "dnxhd", "huffyuv", "ffvhuff", "vp9", "av1")
)
_SMALLEST_VOP = 16  # shorter MPEG-4 packets may stand for "no new picture"
_TEXT_AS_VIDEO = frozenset(("ansi", "bintext", "xbin", "idf"))


class Stamps(NamedTuple):
    """Times of all pictures and of those where decoding can begin, as the container has them, in rising order."""

    pictures: list[int]
    keys: list[int]


class _NotFound(Exception):
    """The picture sought was not where the container said."""


class Film:
    """An open video: ``shots`` gives its pictures, ``step`` is the nominal and ``tick`` the smallest time, in seconds.

    In a file everything that doesn't decode cleanly is an error; a live stream goes on with its next picture. Unless
    ``strict``, an error after the first picture ends the video, and ``damage`` tells it. Raises VideoError.
    """

    def __init__(self, source: Medium, strict: bool = True) -> None:
        self.source, self.name, self.live, self._strict = source, shown(source), is_live(source), strict
        self.damage: str | None = None
        self._begun: Iterator[Shot] | None = None
        self._size: tuple[int, int] | None = None  # of the first picture, as shown
        self._file = source if isinstance(source, Path) and not self.live else None
        self._ragged = False
        self._container, self._stream = self._open()
        self._tick = self._stream.time_base or Fraction(1, 90_000)
        self._step = 1 / self.rate
        self.step, self.tick = float(self._step), float(self._tick)

    @property
    def rate(self) -> Fraction:
        """Nominal frames per second: the average, or for a stream without times what its pictures say; else 25."""
        stream = self._stream
        timeless = bool(self._container.format.flags & _NO_TIMES)
        rates = (stream.guessed_rate if timeless else stream.average_rate, stream.guessed_rate, stream.base_rate)
        return next((rate for rate in rates if rate and 0 < rate <= 100_000), Fraction(25))

    def close(self) -> None:
        """Let go of the file."""
        self._container.close()

    def converter(self, width: int | None, exact: tuple[int, int] | None = None) -> Converter:
        """Turns a picture into RGB, at most ``width`` wide, or of exactly ``exact`` (height, width)."""
        return _convert.Converter(self.name, width, exact)

    def shots(self, since: float = 0.0) -> Iterator[Shot]:
        """Every picture from ``since`` on, and at least one before it: found by seeking where that is exact."""
        shots, last = self._shots(since), None
        try:
            for last in shots:
                yield last
        except VideoError as error:
            if self._strict or last is None:
                raise
            self.damage = error.cause

    def _shots(self, since: float) -> Iterator[Shot]:
        if since > 0 and (stamps := self.stamps()) is not None:
            try:
                yield from self._from(stamps, since)
                return
            except _NotFound:
                self.close()
                self._container, self._stream = self._open()
                self._begun = None
        begun, self._begun = self._begun, None
        yield from begun or self._all()

    def _all(self) -> Iterator[Shot]:
        clock = Clock(self._tick, self._step)
        for index, picture in enumerate(self._pictures(self._packets())):
            yield Shot(picture, index, clock(picture.pts))

    def stamps(self) -> Stamps | None:
        """Times of all pictures without decoding; None where packets can't be trusted to tell them."""
        if self._file is None or self._container.format.name not in _TIMED:
            return None
        container, stream = self._open()
        try:
            return _stamps(container, stream)
        finally:
            container.close()

    def starts(self) -> Iterator[float]:
        """When each picture begins, in seconds; decodes only where the packets don't tell."""
        stamps = self.stamps()
        if stamps is None:
            yield from (shot.start for shot in self.shots())
            return
        if self._file is not None and (cause := cut_short(self._file)):
            raise VideoError(self.name, f"{cause}; it breaks off after about {len(stamps.pictures)} frames")
        clock = Clock(self._tick, self._step)
        yield from map(clock, stamps.pictures)

    def info(self) -> VideoInfo:
        """What its head says; for a file also whether its first pictures are unevenly spaced."""
        stream = self._stream
        count, codec, seconds = stream.frames or None, stream.codec_context.name, self._container.duration
        duration = float(stream.duration * self._tick) if stream.duration else seconds and seconds / av.time_base
        if self._size is None:
            shots = self._all()
            self._begun = chain((next(shots),), shots)  # a stream gives its first picture only once
        width, height = self._size or (0, 0)
        variable = self._file is not None and self._uneven()
        return VideoInfo(width, height, float(self.rate), count, duration or None, codec, variable)

    def _uneven(self) -> bool:
        container, stream = self._open()
        try:
            stamps = [p.pts for p in islice(container.demux(stream), _LOOK) if p.pts is not None]
        except av.error.FFmpegError:
            return False
        finally:
            container.close()
        # the last ones may wait for pictures not read yet
        gaps = [(b - a) * self.tick for a, b in pairwise(sorted(stamps)[: max(3, len(stamps) - 16)])] or [self.step]
        return max(gaps) - min(gaps) > max(2.01 * self.tick, 0.05 * self.step)

    def _from(self, stamps: Stamps, since: float) -> Iterator[Shot]:
        """Pictures from the last one before ``since`` on; _NotFound, before any, if they can't be had from a key."""
        times, keys = stamps
        clock = Clock(self._tick, self._step)
        clock(times[0])
        wanted = max(0, bisect_left(times, since, key=clock.seconds) - 1)
        key = keys[bisect_right(keys, times[wanted]) - 1]
        index, found = bisect_left(times, key), False
        try:
            self._container.seek(key, stream=self._stream)
            for picture in self._pictures(self._packets(key), index):
                if picture.pts is None or not (found or picture.pts == key):
                    raise _NotFound
                found = True
                if index >= wanted:
                    yield Shot(picture, index, clock.seconds(picture.pts))
                index += 1
        except (VideoError, av.error.FFmpegError) as error:
            if index <= wanted:
                raise _NotFound from error
            raise

    def _packets(self, key: int | None = None) -> Iterator[Packet[VideoStream]]:
        """Packets from the first (or the given) key picture on, then the one that empties the decoder.

        Pictures sent after it but shown before it lean on pictures before it. In a recording that begins so they are
        lost, and whatever else can't be decoded up to the next key picture; no seeking is done to such a place.
        """
        begun = leading = False
        try:
            for packet in self._container.demux(self._stream):
                if packet.size and not begun:
                    if not packet.is_keyframe or key not in (None, packet.pts):
                        self._ragged = key is None
                        continue
                    begun, leading, key, sought = True, True, packet.pts, key is not None
                elif packet.size and leading:
                    leading = packet.pts is not None and key is not None and packet.pts < key
                    if leading and sought:
                        raise _NotFound
                    self._ragged = (self._ragged or leading) and not packet.is_keyframe
                    if leading:
                        continue
                elif packet.size and packet.is_keyframe:
                    self._ragged = False
                yield packet
        except av.error.FFmpegError as error:
            raise VideoError(self.name, f"reading broke off ({_reason(error)})") from error

    def _pictures(self, packets: Iterator[Packet[VideoStream]], count: int = 0) -> Iterator[av.VideoFrame]:
        """Decoded pictures in order; VideoError tells after how many (``count`` lie before) it broke."""
        first = count
        try:
            for packet in packets:
                if packet.is_corrupt and not (self.live or self._ragged):
                    raise VideoError(self.name, "a part is missing")
                for picture in self._decode(packet):
                    self._size = self._size or _convert.upright(picture)
                    yield picture
                    count += 1
        except VideoError as error:
            raise self._broken(error.cause, count) from error
        if self._file is not None and (cause := cut_short(self._file)):
            raise VideoError(self.name, f"{cause}; it breaks off after {count} frames")
        if count == first:
            raise VideoError(self.name, "it holds no picture that can be decoded")

    def _decode(self, packet: Packet[VideoStream]) -> list[av.VideoFrame]:
        try:
            return packet.decode()
        except av.error.EOFError:
            return []
        except av.error.FFmpegError as error:
            if self.live or self._ragged:
                return []
            raise VideoError(self.name, _reason(error)) from error

    def _broken(self, cause: str, count: int) -> VideoError:
        missing = self._file and cut_short(self._file)
        if missing:
            return VideoError(self.name, f"{missing}; it breaks off after {count} frames")
        return VideoError(self.name, f"the video is damaged: it can't be decoded after {count} frames ({cause})")

    def _open(self) -> tuple[InputContainer, VideoStream]:
        if self._file is not None:
            _check_file(self._file)
        container = self._container_of()
        try:
            return container, self._stream_of(container)
        except VideoError:
            container.close()
            raise

    def _container_of(self) -> InputContainer:
        source = self.source
        try:
            if isinstance(source, Camera):
                kind, name = _CAMERAS.get(sys.platform, _CAMERAS["linux"])
                return av.open(name.format(source.number), format=kind, timeout=15)
            if isinstance(source, Path):
                return av.open(str(source), metadata_errors="replace")
            if source.fault:
                raise VideoError(source, source.fault)
            options = {"rtsp_transport": "tcp"} if source.scheme.startswith("rtsp") else {}
            return av.open(source.url, options=options, metadata_errors="replace", timeout=15)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            if isinstance(source, Path):
                raise VideoError(self.name, self._unopened(error)) from error
            raise VideoError(self.name, self._unopened(error)) from None  # FFmpeg's own holds the whole address

    def _unopened(self, error: Exception) -> str:
        if self._file is None:
            return f"this {'camera or ' if self.live else ''}address can't be opened ({_reason(error)})"
        if missing := cut_short(self._file):
            return f"{missing}; not one frame can be read"
        return "this is no video, or it is damaged: expected a file such as .mp4, .avi or .mkv" + _kind(self._file)

    def _stream_of(self, container: InputContainer) -> VideoStream:
        streams = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
        if not streams:
            sound = " (only sound)" if container.streams.audio else ""
            raise VideoError(self.name, f"the file holds no video{sound}")
        stream = streams[0]
        if stream.codec_context is None:
            raise VideoError(self.name, "the video is coded in a way that can't be decoded here: convert it to H.264")
        if stream.codec_context.name in _TEXT_AS_VIDEO:
            raise VideoError(self.name, "this is text, not a video")
        width, height = stream.width, stream.height
        if width * height > MAX_PIXELS:
            raise VideoError(self.name, f"pictures of {width}x{height} are too large: {MAX_PIXELS:,} pixels at most")
        stream.codec_context.thread_count = 1
        strict = {} if self.live else {"err_detect": "+explode"}
        stream.codec_context.options = {"max_pixels": str(MAX_PIXELS), **strict}
        return stream


def _stamps(container: InputContainer, stream: VideoStream) -> Stamps | None:
    codec = stream.codec_context.name
    if codec not in _ONE_TO_ONE:
        return None
    pictures, keys = [], []
    try:
        for packet in container.demux(stream):
            if not packet.size:
                continue
            if packet.pts is None or packet.is_discard or packet.is_corrupt:
                return None
            if codec == "mpeg4" and packet.size < _SMALLEST_VOP:
                return None
            if packet.is_keyframe:
                keys.append(packet.pts)
            pictures.append(packet.pts)
    except av.error.FFmpegError:
        return None
    first = pictures[:1]
    pictures.sort()
    rises = all(a < b for a, b in pairwise(pictures))
    # a first picture that is not shown first leans on one that was cut away
    return Stamps(pictures, sorted(keys)) if rises and first and first == pictures[:1] == keys[:1] else None


def _check_file(path: Path) -> None:
    try:
        with path.open("rb") as file:
            if not file.read(1):
                raise VideoError(path, "the file is empty")
    except FileNotFoundError:
        raise VideoError(path, "there is no such file or folder") from None
    except PermissionError:
        raise VideoError(path, "no permission to read this file") from None
    except OSError as error:
        raise VideoError(path, f"the file can't be read ({_reason(error)})") from error


def _kind(path: Path) -> str:
    """What a file that is no video looks like, for the message."""
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


def _reason(error: Exception) -> str:
    if isinstance(error, av.error.InvalidDataError):
        return "invalid data"
    return str(getattr(error, "strerror", None) or error).lower()
