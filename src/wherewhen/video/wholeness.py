"""Whether a file is all there, by what its container itself says about its length."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

_BOXES = frozenset((b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"styp", b"moof", b"sidx", b"pnot"))
_RIFF_SLACK = 16  # some writers miscount the closing padding


def cut_short(path: Path) -> str | None:
    """What is missing at the end of an mp4/mov, avi or mkv/webm file, in words; None if nothing or unknown."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        file.seek(0)
        if head[4:8] in _BOXES:
            return _mp4(file, size)
        if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
            return _missing(_riff_end(file), size, _RIFF_SLACK)
        if head[:4] == b"\x1a\x45\xdf\xa3":
            return _missing(_matroska_end(file), size)
    return None


def _missing(end: int | None, size: int, slack: int = 0) -> str | None:
    if end is None or end <= size + slack:
        return None
    return f"the file is cut short: {size:,} of {end:,} bytes are there"


def _mp4(file: BinaryIO, size: int) -> str | None:
    at, kinds = 0, set()
    while at + 8 <= size:
        file.seek(at)
        head = file.read(16)
        length, kind = int.from_bytes(head[:4]), head[4:8]
        if length == 1:
            length = int.from_bytes(head[8:16])
        if length == 0:
            length = size - at
        if length < 8:
            return None
        kinds.add(kind)
        at += length
    if at > size:
        return _missing(at, size)
    return None if kinds & {b"moov", b"moof"} else "its index is missing: the recording was never finished"


def _riff_end(file: BinaryIO) -> int | None:
    at = 0
    while (head := file.read(8))[:4] == b"RIFF":
        length = int.from_bytes(head[4:], "little")
        if length in (0, 0xFFFFFFFF):
            return None
        at += 8 + length + length % 2
        file.seek(at)
    return at


def _matroska_end(file: BinaryIO) -> int | None:
    for kind in (b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"):
        if file.read(4) != kind:
            return None
        first = file.read(1)
        if not first or not first[0]:
            return None
        width = 9 - first[0].bit_length()
        length = int.from_bytes(bytes([first[0] ^ 1 << 8 - width]) + file.read(width - 1))
        if length == (1 << 7 * width) - 1:
            return None
        end = file.tell() + length
        if kind == b"\x1a\x45\xdf\xa3":
            file.seek(end)
    return end
