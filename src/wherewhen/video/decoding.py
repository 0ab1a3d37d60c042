"""Packets to pictures: starting points of decoding, skipped parts on errors, and counts of read packets."""

from __future__ import annotations

import errno
from bisect import bisect_left, insort
from collections.abc import Iterator
from time import perf_counter
from typing import Any, TypeAlias, cast

import av
from av.packet import Packet

from wherewhen.core.errors import VideoError
from wherewhen.video.guard import reason
from wherewhen.video.opening import Opened
from wherewhen.video.packets import Packets
from wherewhen.video.promise import AVI, ReadTotals
from wherewhen.video.skipping import Decoded, NeedlessStamp, Skipping

# Codecs that show pictures in the order in which they are sent.
_UNLED = frozenset(("mjpeg", "vp8", "vp9", "av1", "libdav1d", "ffv1", "png", "rawvideo"))
_CHUNK = 8  # bytes of an AVI between a place in its index and the packet
TRIES = 16  # failures to read in a row, after which no more is tried

VideoPacket: TypeAlias = "Packet[av.VideoStream]"


class NotFound(Exception):
    """The picture is not at the place in the index of the container."""


class _Broken(Exception):
    """A packet that can't be decoded, and why."""


class Entry:
    """Where decoding may begin: lets packets through from the first (or the given) key picture on.

    Pictures sent after it but shown before it depend on pictures before it, where a codec ``leads``. Where a recording
    begins so (``cut``: it was cut out of a longer one), or resumes after a break, they are left out, and so are all
    others that can't be decoded up to the next key picture (``ragged``). No seeking is done to such a place.
    """

    def __init__(self, key: int | None, leads: bool) -> None:
        self._key, self._sought, self._leads = key, key is not None, leads
        self._begun = self._leading = self.ragged = self.cut = False
        self._first = True

    def admits(self, packet: VideoPacket) -> bool:
        """Whether a packet that is not empty can be decoded, by its kind."""
        if not self._begun:
            if not packet.is_keyframe or (self._sought and packet.pts != self._key):
                self.ragged = not self._sought
                return False
            self._begun, self._leading = True, self._leads
            self._key = packet.pts
            return True
        if self._leading:
            self._leading = packet.pts is not None and self._key is not None and packet.pts < self._key
            if self._leading and self._sought:
                raise NotFound
            self.cut = self._first and (self.cut or self._leading)
            self.ragged = self.ragged or self._leading
        if packet.is_keyframe:
            self.ragged = self.cut = False
        return not self._leading

    def again(self) -> None:
        """After a break: wait for the next key picture."""
        self._begun = self._leading = self._sought = self._first = self.cut = False
        self.ragged = True


class Decoding:
    """One pass over an open video: its pictures in order, and counts of read and lost packets.

    ``strict``: what can't be decoded is a VideoError; otherwise it is left out, up to the next key picture. In a
    ``live`` stream single pictures that can't be decoded are no break, and an end of the stream is no error.
    ``counted``: whether packets before the first key picture count as lost. ``ring`` gets all packets. ``needless``: of
    which pictures nothing is needed but their stamps, see `Skipping`.
    """

    def __init__(
        self, name: str, opened: Opened, *, strict: bool, live: bool, counted: bool, ring: Packets | None = None,
        needless: NeedlessStamp = lambda before, stamp: False,
    ) -> None:  # fmt: skip
        self._name, (self._container, self._stream) = name, opened
        self._strict, self._live, self._counted, self._ring = strict, live, counted, ring
        self.totals = ReadTotals()
        self.count = self.lost = self.breaks = 0
        self.zero: int | None = None  # stamp of the first picture, also a lost one
        self.waited = 0.0  # seconds spent waiting for a stream since the last query
        self._first_break = ""
        self._skipping = Skipping(self._stream, needless)
        self._stamps: list[int] = []  # of pictures lost
        self._number, self._reported = -1, 0
        entries = self._stream.index_entries if self._container.format.name == AVI else ()
        self._slots, self._shift = {entry.pos + _CHUNK: entry.timestamp for entry in entries}, 0

    def damage(self) -> str | None:
        """The parts that could not be decoded so far, or how a live stream ended, as text."""
        if self._live:
            return self._first_break or None
        if not self.breaks:
            return f"the video is damaged: {self.lost} pictures can't be decoded" if self.lost else None
        places = "a part" if self.breaks == 1 else f"{self.breaks} parts"
        lost = f"; {self.lost} pictures are left out" if self.lost else ""
        return f"the video is damaged: {places} can't be decoded, {self._first_break}{lost}"

    def pictures(self, key: int | None = None) -> Iterator[Decoded]:
        """Pictures from the first (or the given) key picture on."""
        entry = Entry(key, self._stream.codec_context.name not in _UNLED)
        for packet in self._packets():
            if packet.size and not entry.admits(packet):
                self._leave_out(packet, entry)
                continue
            try:
                if packet.is_corrupt and not (self._live or entry.ragged):
                    raise _Broken("a part is missing")
                shown = [] if self._skipping.skips(packet) else self._decode(packet)
            except _Broken as error:
                self._skipping.failed(packet)
                if self._live or entry.ragged:
                    self._leave_out(packet, entry)
                    continue
                self._break(str(error))
                yield from self._numbered(self._drained(packet), is_end=True)
                self._lose(packet)
                entry.again()
            else:
                if self.zero is None and packet.size and not packet.is_discard:
                    self.zero = packet.pts
                yield from self._numbered(shown, is_end=not packet.size)

    def number(self, picture: Decoded) -> int:
        """The number of the next picture, lost ones included."""
        before = self.lost if picture.pts is None or self._live else bisect_left(self._stamps, picture.pts)
        self._number = max(self._number + 1, self.count + before)
        return self._number

    def skipped(self, picture: Decoded) -> list[int | None]:
        """Stamps for the clock before that of the next picture: of the gap that lost pictures leave."""
        lost, self._reported = self.lost - self._reported, self.lost
        if picture.pts is None:
            return [None] * lost
        if not self.count and lost and self.zero is not None and self.zero < picture.pts:
            return [self.zero]
        return []

    def _numbered(self, shown: list[av.VideoFrame], *, is_end: bool) -> Iterator[Decoded]:
        for picture in self._skipping.merged(shown, is_end=is_end):
            yield picture
            self.count += 1

    def _leave_out(self, packet: VideoPacket, entry: Entry) -> None:
        if entry.cut:
            self.totals.hidden += 1
        else:
            self._lose(packet)

    def _place(self, packet: Any) -> None:
        """Set the time of a packet of an AVI by the index: by default only the readable packets before it count."""
        slot = self._slots.get(packet.pos)
        if slot is not None and packet.dts is not None and slot > packet.dts + self._shift:
            gone = range(packet.dts + self._shift, slot)
            self.lost += len(gone)
            self._stamps = sorted([*self._stamps, *gone])
            self._shift = slot - packet.dts
        if self._shift and packet.dts is not None:
            packet.dts += self._shift
            packet.pts = None if packet.pts is None else packet.pts + self._shift

    def _lose(self, packet: VideoPacket) -> None:
        """Count a picture that is left out, unless it is before the start of time."""
        if not packet.size or packet.is_discard:
            return
        before = not self.count and (self.zero is None or (packet.pts is not None and packet.pts < self.zero))
        if before and self._counted:
            self.zero = packet.pts
        if before and not self._counted:
            return
        self.lost += 1
        if packet.pts is not None and not self._live:
            insort(self._stamps, packet.pts)

    def _break(self, why: str) -> None:
        if self._live:
            cause = f"the stream broke off after {self.count} frames ({why})"
        else:
            cause = f"the video is damaged: it can't be decoded after {self.count} frames ({why})"
        if self._strict:
            raise VideoError(self._name, cause) from None
        self._first_break = self._first_break or (
            cause if self._live else f"the first after {self.count} frames ({why})"
        )
        self.breaks += 1

    def _decode(self, packet: VideoPacket) -> list[av.VideoFrame]:
        try:
            return packet.decode()
        except av.error.EOFError:
            return []
        except Exception as error:  # the decoder raises errors of many types
            raise _Broken(reason(error)) from error

    def _drained(self, bad: VideoPacket) -> list[av.VideoFrame]:
        """Pictures in the decoder, without the bad one; it is empty and ready for a key picture then."""
        context = self._stream.codec_context
        try:
            pictures: list[av.VideoFrame] = context.decode(None)
        except Exception:
            pictures = []
        context.flush_buffers()
        if bad.pts is None:
            return pictures[:-1]
        return [picture for picture in pictures if picture.pts != bad.pts and not picture.is_corrupt]

    def _just_ended(self, error: Exception) -> bool:
        """Whether a server without a declared length closed the connection: to FFmpeg that is an error."""
        unknown = self._container.size < 0  # the length that the server declares
        return unknown and not self._live and getattr(error, "errno", None) == errno.EIO

    def _last(self) -> VideoPacket:
        """The packet that empties the decoder."""
        last: Any = av.Packet()
        last.stream = self._stream
        return cast("VideoPacket", last)

    def _packets(self) -> Iterator[VideoPacket]:
        """Packets of the video; failures to read are breaks, and reading is tried again after them."""
        failed, streams = 0, list(self._container.streams)
        packets = self._container.demux(streams)
        while True:
            began = perf_counter()
            try:
                packet = next(packets)
            except StopIteration:
                return
            except IndexError:  # a stream of sound or data that begins late is unknown to the binding
                streams, failed = [self._stream], failed + 1
            except Exception as error:
                if self._just_ended(error):
                    yield self._last()
                    return
                self._break(reason(error))
                failed += 1
            else:
                failed = 0
                if packet.stream_index == self._stream.index:
                    if packet.size:
                        self._place(packet)
                        self.totals.add(packet)
                        if self._ring is not None:
                            self._ring.add(packet)
                    yield cast("VideoPacket", packet)
                else:
                    self.totals.beside(packet)
                continue
            finally:
                self.waited += perf_counter() - began
            if self._live or failed > TRIES:
                yield from ()
                return
            packets = self._container.demux(streams)
