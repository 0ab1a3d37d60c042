"""Completeness of a file by the lengths that its container declares."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from wherewhen.video import parts, raw

_BOXES = frozenset((b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"styp", b"moof", b"sidx", b"pnot"))
_RIFF_SLACK = 16  # some writers miscount the closing padding
_WALKS: dict[bytes, parts.Walk] = {
    b"\x1a\x45\xdf\xa3": parts.matroska,
    b"FLV": parts.flv,
    b"GIF8": parts.gif,
    raw.Y4M: raw.y4m,
    raw.IVF: raw.ivf,
    bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"): parts.asf,
}


def cut_short(path: Path) -> str | None:
    """The missing part of a file, as text; None if nothing is missing, or it is unknown.

    Based on the lengths of parts in mp4/mov, avi, mkv/webm, ts/m2ts, flv, asf/wmv, gif, y4m and ivf files; others are
    incomplete if they end with zeros.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(16)
        file.seek(0)
        if head[4:8] in _BOXES:
            return _mp4(file, size)
        if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
            return parts.short(_riff_end(file), size, _RIFF_SLACK)
        walk = next((walk for magic, walk in _WALKS.items() if head.startswith(magic)), None)
        return walk(file, size) if walk else parts.transport(file, size) or parts.emptied(file, size)


def media_end(path: Path) -> int:
    """The byte up to which in a stream, or an mp4 in fragments, there are pictures or sound; 0 where unknown."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if file.read(8)[4:] not in _BOXES:
            return size
        boxes = list(_boxes(file, size))
    fragmented = any(kind == b"moof" for kind, _, _ in boxes)
    return max((min(end, size) for kind, _, end in boxes if kind == b"mdat"), default=0) if fragmented else 0


def _boxes(file: BinaryIO, size: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, beginning and end of each box; the last one may be none, or end behind the file."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        head = file.read(16)
        length, kind = int.from_bytes(head[:4]), head[4:8]
        if length == 1:
            length = int.from_bytes(head[8:16])
        if length == 0 and any(kind):
            length = size - at
        yield kind, at, at + length
        if length < 8:
            return
        at += length


def _mp4(file: BinaryIO, size: int) -> str | None:
    boxes = list(_boxes(file, size))
    kinds, (_, at, end) = {kind for kind, _, _ in boxes}, boxes[-1]
    if end > size:
        return parts.short(end, size)
    if end < at + 8:
        # a few bytes of anything may follow the last box, but fragments have no index that shows what is missing
        return parts.unreadable(at, size) if b"moof" in kinds and size - at >= parts.EMPTY else None
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
