"""Pictures that are not decoded: no other picture refers to them, and no consumer takes them."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import av
from av.packet import Packet

from wherewhen.video.units import Units

SURE = 16  # pictures in a row that come when their packets say: as many as a decoder holds at most
HELD = 32  # packets whose pictures a decoder may not have given yet


class Skipped(NamedTuple):
    """In place of a picture that was not decoded: its stamp, and the size of all."""

    pts: int
    width: int
    height: int


Decoded = av.VideoFrame | Skipped
NeedlessStamp = Callable[[int, int], bool]  # of the stamps of a picture before another one, and of that one


class Skipping:
    """Which packets of one pass are not decoded, and when the pictures of these would have come.

    ``needless``: whether no consumer takes a picture, given one before it; where it is so, pictures between the two
    must not change that, so those that come later in the order of decoding are not waited for. Nothing is skipped
    unless the last `SURE` pictures came in the order of the stamps of their packets, one for each.
    """

    def __init__(self, stream: av.VideoStream, needless: NeedlessStamp) -> None:
        self._context, self._needless = stream.codec_context, needless
        self._units = Units(self._context.name, bytes(self._context.extradata or b""))
        self._sent: list[int] = []  # stamps of packets in the decoder, in order of decoding
        self._left: list[int] = []  # stamps of packets left out, rising
        self._last: int | None = None  # stamp of the last picture
        self._size = 0, 0
        self._sure = 0

    def skips(self, packet: Packet[av.VideoStream]) -> bool:
        """Whether a packet, the next one, is not to be decoded."""
        stamp = packet.pts
        if not packet.size or packet.is_discard:
            return False
        stamps = [*self._sent, *self._left, *([] if self._last is None else [self._last])]
        if stamp is None or stamp in stamps or (self._last is not None and stamp < self._last):
            self._sure = 0
            return False
        before = max((other for other in stamps if other < stamp), default=None)
        is_late = sum(other > stamp for other in stamps) > self._context.reorder_depth
        is_sure = self._sure >= SURE and before is not None and not is_late
        if is_sure and self._needless(before, stamp) and self._units.is_unreferred(bytes(packet)):  # type: ignore[arg-type]
            insort(self._left, stamp)
            return True
        self._sent = [*self._sent[1 - HELD :], stamp]
        return False

    def failed(self, packet: Packet[av.VideoStream]) -> None:
        """A packet gave no picture."""
        self._sure = 0
        if packet.pts in self._sent:
            self._sent.remove(packet.pts)

    def merged(self, pictures: Sequence[av.VideoFrame], *, is_end: bool) -> Iterator[Decoded]:
        """The next pictures of the decoder, and those that it would have given before; at an ``end``, all."""
        for picture in pictures:
            self._size = picture.width, picture.height
            if picture.pts is None:
                self._sure = 0
            else:
                self._sure = self._sure + 1 if self._sent and picture.pts == min(self._sent) else 0
                self._sent = [stamp for stamp in self._sent if stamp > picture.pts]
                yield from self._before(picture.pts)
                self._last = picture.pts
            yield picture
        if is_end:
            self._sent.clear()
            yield from self._before(None)
        # what a decoder of all pictures would have given by now
        elif len(self._sent) + len(self._left) > self._context.reorder_depth:
            yield from self._before(min(self._sent, default=None), self._context.reorder_depth - len(self._sent))

    def _before(self, stamp: int | None, held: int = 0) -> Iterator[Skipped]:
        """Pictures left out before a stamp, up to so many at the end."""
        while len(self._left) > max(0, held) and (stamp is None or self._left[0] < stamp):
            self._last = self._left.pop(0)
            yield Skipped(self._last, *self._size)
