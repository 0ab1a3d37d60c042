"""Width and height of a picture file from its header, and its possible reduction while decoding."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

LARGE = 2**24  # pixels, 16.8 million: larger pictures are decoded at a reduced size where that is enough
FINE = 1.5  # least ratio of a reduced picture to the requested size, so that shrinking hides the reduction
REDUCTIONS = (8, 4, 2)  # of decoders

_TIFF = {b"II*\0": "<", b"MM\0*": ">"}
_NO_FRAME = (0xC4, 0xC8, 0xCC)  # JPEG markers in the range of frames that begin other segments
_ALONE = (0x01, *range(0xD0, 0xD9))  # markers without a length


class Size(NamedTuple):
    """Pixels across and down."""

    width: int
    height: int

    @property
    def pixels(self) -> int:
        """The number of pixels."""
        return self.width * self.height

    @property
    def large(self) -> bool:
        """Whether decoding at a reduced size pays."""
        return self.pixels > LARGE

    def reduced(self, by: int) -> Size:
        """Its size in a decoder that keeps one of ``by`` rows and columns."""
        return Size(-(-self.width // by), -(-self.height // by))


def size_of(data: bytes) -> Size | None:
    """The size of a JPEG, PNG, BMP, TIFF or WebP file, as stored; None of others, and where the head is damaged.

    >>> size_of(bytes.fromhex("89504e470d0a1a0a0000000d49484452000001400000 00f0"))
    Size(width=320, height=240)
    """
    try:
        if data[:2] == b"\xff\xd8":
            return _jpeg(data)
        if data[:4] == b"\x89PNG":
            return Size(*struct.unpack_from(">II", data, 16))
        if data[:2] == b"BM":
            width, height = struct.unpack_from("<ii", data, 18)
            return Size(abs(width), abs(height))
        if data[:4] in _TIFF:
            return _tiff(data, _TIFF[data[:4]])
        return _webp(data) if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else None
    except (struct.error, IndexError):
        return None


def reduction(size: Size, requested: Sequence[tuple[int | None, int | None]]) -> int:
    """The reduction of a picture that suits all requested widths and heights, None = any; 1 = none.

    (None, None) needs the full size.

    >>> reduction(Size(14000, 9000), [(320, None)]), reduction(Size(14000, 9000), [(1280, None), (224, 224)])
    (8, 4)
    """
    if not size.large or not requested or (None, None) in requested:
        return 1
    for by in REDUCTIONS:
        reduced = size.reduced(by)
        if all(
            reduced.width >= FINE * (width or 0) and reduced.height >= FINE * (height or 0)
            for width, height in requested
        ):
            return by
    return 1


def _jpeg(data: bytes) -> Size | None:
    at = 2
    while data[at] == 0xFF:
        kind = data[at + 1]
        if kind == 0xFF:  # padding
            at += 1
        elif kind in _ALONE:
            at += 2
        elif 0xC0 <= kind <= 0xCF and kind not in _NO_FRAME:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return Size(width, height) if height else None
        else:
            at += 2 + int(struct.unpack_from(">H", data, at + 2)[0])
    return None


def _tiff(data: bytes, order: str) -> Size | None:
    (at,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, at)
    sides = {}
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind = struct.unpack_from(f"{order}HH", data, entry)
        if tag in (256, 257):
            (sides[tag],) = struct.unpack_from(order + ("H" if kind == 3 else "I"), data, entry + 8)
    return Size(sides[256], sides[257]) if len(sides) == 2 else None


def _webp(data: bytes) -> Size | None:
    kind = data[12:16]
    if kind == b"VP8X":
        return Size(*(1 + int.from_bytes(data[at : at + 3], "little") for at in (24, 27)))
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return Size(1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF))
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return Size(width & 0x3FFF, height & 0x3FFF)
    return None
