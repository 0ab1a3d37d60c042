"""Units of H.264 and H.265 packets: whether other pictures refer to the picture of a packet."""

from __future__ import annotations

from collections.abc import Iterator

_START = b"\0\0\1"
_BESIDE = {"h264": (6, 9, 12), "hevc": (35, 38, 39)}  # delimiters, filling and notes: not needed for other pictures
_VPS, _ARRAYS = 32, 22  # of H.265: the type of a set of parameters, and bytes before the sets in a record


class Units:
    """The units of one stream, whose ``head`` (extradata) says how they are separated.

    Source: ITU-T H.264 (08/2021) 7.3.1, 7.4.1; ITU-T H.265 (08/2021) 7.3.1, 7.3.2.1, 7.4.2.2; ISO/IEC 14496-15 5.3.3,
    8.3.3 (the records of MP4 and Matroska).

    >>> units = Units("h264", b"")
    >>> [units.is_unreferred(bytes.fromhex(packet)) for packet in ("000001 09f0 000001 01aa", "000001 41aa")]
    [True, False]
    """

    def __init__(self, codec: str, head: bytes) -> None:
        self._codec, self._length, self._layers = codec, 0, 1
        is_record = head[:1] == b"\1"
        if codec == "hevc" and is_record and len(head) > _ARRAYS:
            self._length, self._layers = (head[21] & 3) + 1, head[21] >> 3 & 7
        elif is_record and len(head) > 4:
            self._length = (head[4] & 3) + 1
        elif codec == "hevc":
            sets = (head[at : at + 4] for at in self._begins(head))
            self._layers = next(((unit[3] >> 1 & 7) + 1 for unit in sets if _is_vps(unit)), 0)

    def is_unreferred(self, data: bytes) -> bool:
        """Whether no other picture needs this packet, as far as its units say; False where they are not clear."""
        if self._codec not in _BESIDE:
            return False
        for at in self._begins(data):
            kind = data[at] & 31 if self._codec == "h264" else data[at] >> 1 & 63
            if kind in _BESIDE[self._codec]:
                continue
            if self._codec == "h264":
                return kind == 1 and not data[at] >> 5 & 3
            # even types up to 14 are not referred to in their own temporal layer: it must be the highest
            return kind <= 14 and kind % 2 == 0 and at + 1 < len(data) and data[at + 1] & 7 == self._layers > 0
        return False

    def _begins(self, data: bytes) -> Iterator[int]:
        """Where units begin."""
        at = 0
        while not self._length and (start := data.find(_START, at)) >= 0 and (at := start + 3) < len(data):
            yield at
        while self._length and (begin := at + self._length) < len(data):
            yield begin
            at = begin + int.from_bytes(data[at:begin])


def _is_vps(unit: bytes) -> bool:
    return len(unit) == 4 and unit[0] >> 1 & 63 == _VPS
