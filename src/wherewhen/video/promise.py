"""The declared length of a file, the part that was read, and a description of what is missing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wherewhen.video.opening import Opened
from wherewhen.video.wholeness import media_end

MOV, AVI, MATROSKA = "mov,mp4,m4a,3gp,3g2,mj2", "avi", "matroska,webm"
TOLD = (MATROSKA, "flv", "asf", "mxf")  # declare their duration in the header
_STREAMS = ("mpegts", "h264", "hevc", "m4v", "mpegvideo", "mjpeg")  # nothing but packets, up to the last byte
# Where one packet is one picture and carries its time: there packets tell the times without decoding.
TIMED = frozenset((MOV, MATROSKA, AVI))
ONE_TO_ONE = frozenset(
    ("h264", "hevc", "mpeg4", "mjpeg", "ffv1", "png", "rawvideo", "prores", "dnxhd", "huffyuv", "ffvhuff", "vp9", "av1")
)
SMALLEST_VOP = 16  # shorter MPEG-4 packets may mean "no new picture"

SHARE = 0.02  # of a video: so much may be missing by the rounding of writers
ODD = 0.5  # share by which the times of all pictures may differ from the header
PACKET = 8192  # bytes that a stream may end with anyway, such as padding
FEW = 20  # of so many pictures none may be missing, of more always one
STEPS = 3.0  # pictures by which times may be off
DAY = 86_400.0  # seconds: no picture lasts longer
LEFT = 0.1  # share of a stream's bytes that may come after the last packet


@dataclass(frozen=True, slots=True)
class Promise:
    """The declarations in header and index of a file: container, codec, number of pictures, duration.

    ``frames``: pictures, 0 where not declared; ``indexed``: entries of the index; ``lasts``: seconds that the video
    lasts; ``until``: when the last of all streams ends, on the clock of the stamps; ``reach``: the byte of
    the file up to which there are pictures or sound, 0 where unknown.
    """

    container: str = ""
    codec: str = ""
    frames: int = 0
    indexed: int = 0
    lasts: float | None = None
    until: float | None = None
    reach: int = 0

    @property
    def step(self) -> float:
        """Declared seconds between two pictures, or the usual ones."""
        return self.lasts / self.frames if self.frames and self.lasts else 0.04

    @classmethod
    def of(cls, opened: Opened, file: Path | None) -> Promise:
        """The declarations of an open file, before anything is read from it."""
        container, stream = opened
        lasts = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else None
        until = container.duration / 1_000_000 if container.duration else None
        name, codec = container.format.name, stream.codec_context.name
        reach = media_end(file) if file is not None and name in (MOV, *_STREAMS) else 0
        return cls(name, codec, stream.frames, len(stream.index_entries), lasts, until, reach)


class ReadTotals:
    """Totals of a reading: packets of the video, those that are not shown, and the ends of all streams."""

    def __init__(self) -> None:
        self.packets = self.hidden = self.bytes = 0
        self.lasts = self.until = self.longest = 0.0

    def add(self, packet: Any) -> None:
        """Count a packet of the video."""
        self.packets += 1
        tick = float(packet.time_base or 0)
        if packet.is_discard or packet.size < SMALLEST_VOP:
            self.hidden += 1
        if not packet.is_discard:
            self.lasts += (packet.duration or 0) * tick
            self.longest = max(self.longest, (packet.duration or 0) * tick)
        self.beside(packet)

    def beside(self, packet: Any) -> None:
        """Note the end of a packet of any stream."""
        if packet.pts is not None:
            self.until = max(self.until, float((packet.pts + (packet.duration or 0)) * (packet.time_base or 0)))
        if packet.pos is not None:
            self.bytes = max(self.bytes, packet.pos + packet.size)


def missing(promise: Promise, totals: ReadTotals, pictures: int | None) -> str | None:
    """Why less was read of a whole file than it declares, as text; None if nothing is missing.

    ``pictures``: how many were decoded; None where nothing was.

    >>> missing(Promise(MOV, frames=50), ReadTotals(), 0)
    'the file declares 50 pictures, 0 were read'
    """
    if max(promise.step, totals.longest) > DAY:
        return f"the file declares that one picture lasts {max(promise.step, totals.longest):,.0f} s"
    checks = {MOV: _of_index, AVI: _of_times} | dict.fromkeys(TOLD, _of_times)
    check = checks.get(promise.container, _of_bytes)
    return check(promise, totals) or _of_bytes(promise, totals) or _undecoded(promise, totals, pictures)


def _of_index(promise: Promise, totals: ReadTotals) -> str | None:
    if totals.packets < _least(promise.indexed):
        return f"the index declares {promise.indexed} pictures, {totals.packets} were read"
    short = totals.packets < _least(promise.frames)
    if promise.lasts is None:
        return f"the file declares {promise.frames} pictures, {totals.packets} were read" if short else None
    # fewer pictures that last as long as declared are no loss: a list of edits leaves the others out
    slack = (SHARE if short else ODD) * promise.lasts + _steps(promise.step, promise.lasts)
    if promise.frames and abs(totals.lasts - promise.lasts) > slack:
        read_text = f"{totals.packets} that last {totals.lasts:.2f} s were read"
        return f"the file declares {promise.frames} pictures that last {promise.lasts:.2f} s, {read_text}"
    return None


def _of_times(promise: Promise, totals: ReadTotals) -> str | None:
    if promise.container == AVI and totals.packets < _least(promise.indexed):
        return f"the index declares {promise.indexed} pictures, {totals.packets} were read"
    until = promise.until or 0.0
    if totals.until < (1 - SHARE) * until - max(_steps(promise.step, until), 1.01 * promise.step):
        return f"the file declares {until:.2f} s, {totals.until:.2f} s were read"
    return None


def _of_bytes(promise: Promise, totals: ReadTotals) -> str | None:
    if totals.bytes < (1 - LEFT) * promise.reach - PACKET:
        return f"nothing was read from the last {promise.reach - totals.bytes:,} of {promise.reach:,} bytes"
    return None


def _undecoded(promise: Promise, totals: ReadTotals, pictures: int | None) -> str | None:
    if pictures is None or promise.container not in TIMED or promise.codec not in ONE_TO_ONE:
        return None
    shown = totals.packets - totals.hidden
    return f"{shown - pictures} of {shown} pictures can't be decoded" if pictures < _least(shown) else None


def _steps(step: float, seconds: float) -> float:
    """Seconds by which times may be off."""
    return min(STEPS * step, seconds / 4)


def _least(count: int) -> int:
    """Least number of pictures to read, of so many declared."""
    return count - int(SHARE * count) - (count > FEW)
