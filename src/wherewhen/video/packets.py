"""Encoded packets of an open video, kept for a while: clips are cut out of them without decoding or encoding again."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from threading import Lock
from typing import Any

import av

from wherewhen.core.errors import VideoError
from wherewhen.core.store import atomic
from wherewhen.video.guard import reason

# Codecs that MP4 files may hold. Raw pictures of a camera at USB would take hundreds of megabytes.
FITTING = frozenset(("h264", "hevc", "mpeg4", "mpeg2video", "mpeg1video", "mjpeg", "vp9", "av1", "libdav1d"))
TICK = Fraction(1, 90_000)  # of times in clips
DELAY = 32  # packets of which a decoder may not have given the pictures yet


@dataclass(slots=True)
class _Packet:
    """A packet, and the start of its picture in seconds once it is decoded."""

    data: bytes
    stamp: int
    is_key: bool
    start: float | None = None


class Packets:
    """The newest packets of a video, from a key picture on, and those of the present event.

    One thread adds packets and the times of their pictures, another releases them and cuts clips. ``most``: bytes that
    are kept; where they don't suffice, what is kept of the present event ends, or else the oldest packets go.
    ``longest``: seconds of an event that are kept.
    """

    def __init__(self, most: int, longest: float) -> None:
        self.most, self.longest = most, longest
        self.bytes = 0
        self._lock = Lock()
        self._template: Any = None
        self._missing = "its pictures are not encoded as a video"
        self._runs: deque[list[_Packet]] = deque()  # each from a key picture up to the next one
        self._event: list[list[_Packet]] = []  # runs of the present event that are no longer among the newest
        self._is_cut = False  # whether newer runs don't follow those of the event
        self._undecoded: deque[_Packet] = deque(maxlen=DELAY)

    def open(self, stream: av.VideoStream) -> None:
        """Take the settings of a stream, of which packets come from now on."""
        codec = stream.codec_context.name
        with self._lock:
            self._clear()
            self._template = None
            if codec not in FITTING:
                self._missing = f"an MP4 file can't hold {codec}"
                return
            self._missing = "no key picture has come yet"
            # an output that is never written: its stream stays as it is when the source is read on, and closed
            self._template = av.open(BytesIO(), "w", format="mp4").add_stream_from_template(stream)
            if codec == "hevc":
                self._template.codec_tag = "hvc1"  # players of Apple know no other name of it

    def add(self, packet: Any) -> None:
        """Keep a packet that is not empty, in the order of decoding."""
        if self._template is None or packet.pts is None:
            return
        with self._lock:
            last = self._runs[-1][-1] if self._runs else None
            if last is not None and last.stamp == packet.pts:  # more slices, or the other field, of one picture
                last.data += bytes(packet)
            elif packet.is_keyframe:
                self._runs.append([self._item(packet)])
            elif self._runs:
                self._runs[-1].append(self._item(packet))
            else:
                return
            self.bytes += packet.size
            while self.bytes > self.most and self._runs:
                self._drop(keep=False)

    def shown(self, stamp: int | None, start: float) -> None:
        """The picture of a stamp begins at so many seconds."""
        with self._lock:
            item = next((packet for packet in self._undecoded if packet.stamp == stamp), None)
            if item is not None:
                item.start = start
                self._undecoded.remove(item)

    def release(self, before: float, *, event: bool) -> None:
        """Packets of pictures before a moment are no longer needed, except in the present ``event``."""
        with self._lock:
            if not event:
                self._end_event()
            for _ in range(_run_at(self._runs, before)):
                self._drop(keep=event)

    def cut(self, path: Path, since: float, until: float) -> tuple[float, float]:
        """Write the pictures between two moments as an MP4 file, with times from 0 on.

        Returns:
            When the first and the last picture in it begin, in seconds: it begins with the key picture before
            ``since``, if that is still there.

        Raises:
            VideoError: there is no such picture, or it can't be written; an OSError of the system is its cause.
        """
        with self._lock:
            packets, template = self._between(since, until), self._template
        if not packets or template is None:
            raise VideoError(path, self._missing)
        try:
            with atomic(path, ours=True) as draft:
                _write(draft, packets, template)
        except av.error.FFmpegError as error:
            raise VideoError(path, f"it can't be written ({reason(error)})") from error
        starts = [packet.start for packet in packets if packet.start is not None]
        return min(starts), max(starts)

    def _item(self, packet: Any) -> _Packet:
        item = _Packet(bytes(packet), packet.pts, packet.is_keyframe)
        self._undecoded.append(item)
        return item

    def _between(self, since: float, until: float) -> list[_Packet]:
        runs = self._event if self._is_cut else [*self._event, *self._runs]
        runs = [run for run in runs if run[0].start is not None]
        packets = [packet for run in runs[_run_at(runs, since) :] for packet in run]
        # what a decoder still holds back may be needed for pictures that it gave already
        tail = max(0, len(packets) - DELAY)
        decoded = next((n for n in range(tail, len(packets)) if packets[n].start is None), len(packets))
        packets = [packet for packet in packets[:decoded] if packet.start is not None]
        if not packets:
            return []
        starts = [packet.start or 0.0 for packet in packets]
        until = max(starts[0], min(until, starts[0] + self.longest))
        last = _last(starts, until)
        while (end := max(starts[:last])) > until:  # no picture is left out between the first and the last one
            until, last = end, _last(starts, end)
        # pictures shown before the first key picture need those before it
        return [packet for packet, start in zip(packets[:last], starts, strict=False) if start >= starts[0]]

    def _drop(self, keep: bool) -> None:
        """Remove the oldest run; one of the present event is kept until the event is too long."""
        run = self._runs.popleft()
        if keep and not self._is_cut:
            if not self._event or _begin(run) - _begin(self._event[0]) <= self.longest:
                self._event.append(run)
                return
            self._is_cut = True
        elif self._event:
            self._is_cut = True
        self.bytes -= sum(len(packet.data) for packet in run)

    def _end_event(self) -> None:
        self.bytes -= sum(len(packet.data) for run in self._event for packet in run)
        self._event, self._is_cut = [], False

    def _clear(self) -> None:
        self._runs.clear()
        self._undecoded.clear()
        self._end_event()
        self.bytes = 0


def _begin(run: list[_Packet]) -> float:
    """When the key picture of a run begins; infinite where it is not decoded yet."""
    start = run[0].start
    return float("inf") if start is None else start


def _run_at(runs: Sequence[list[_Packet]], moment: float) -> int:
    """The number of the last run that begins before a moment; 0 without one."""
    return max((number for number, run in enumerate(runs) if _begin(run) <= moment), default=0)


def _last(starts: list[float], until: float) -> int:
    """How many packets there are up to the last one whose picture begins before a moment."""
    return max(number for number, start in enumerate(starts, 1) if start <= until)


def _write(path: Path, packets: list[_Packet], template: Any) -> None:
    """Write packets in the order of decoding."""
    zero = packets[0].start or 0.0
    shown = [round(((packet.start or 0.0) - zero) / TICK) for packet in packets]
    decoded = sorted(shown)
    for number in range(1, len(decoded)):  # MP4 files need times of decoding that rise
        decoded[number] = max(decoded[number], decoded[number - 1] + 1)
    delay = max(at - picture for at, picture in zip(decoded, shown, strict=True))
    lasts = [after - at for at, after in pairwise(decoded)]
    lasts.append(lasts[-1] if lasts else round(1 / TICK / 25))
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream_from_template(template)
        stream.codec_tag = template.codec_tag
        for item, picture, at, duration in zip(packets, shown, decoded, lasts, strict=True):
            packet: Any = av.Packet(item.data)
            packet.pts, packet.dts, packet.duration, packet.time_base = picture, at - delay, duration, TICK
            packet.is_keyframe, packet.stream = item.is_key, stream
            container.mux(packet)
