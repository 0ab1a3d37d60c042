"""Parsers of files with a header and consecutive pictures: YUV4MPEG2 (y4m) and IVF."""

from __future__ import annotations

from typing import BinaryIO

from wherewhen.video.parts import short, unreadable

Y4M, IVF = b"YUV4MPEG2", b"DKIF"

_LINE = 512  # bytes of a head at most
# Columns and rows of luma for one of both chroma planes, by the beginning of a color space.
_CHROMA = {"420": (2, 2), "411": (4, 1), "410": (4, 4), "422": (2, 1), "440": (1, 2), "444": (1, 1)}


def y4m(file: BinaryIO, size: int) -> str | None:
    """A header line with the size of a picture, then pictures of that size, each after a line."""
    head = file.readline(_LINE)
    length = _picture(head.decode("ascii", "replace").split()[1:])
    at = len(head)
    while length and at < size:
        file.seek(at)
        line = file.readline(_LINE)
        if line[:5] != b"FRAME"[: len(line)]:
            return unreadable(at, size)
        at += len(line) + length
    return short(at, size) if length else None


def _picture(fields: list[str]) -> int | None:
    """Bytes of a picture, by the fields of the head; None where they don't determine it."""
    values = {field[0]: field[1:] for field in fields if field}
    if not (values.get("W", "").isdecimal() and values.get("H", "").isdecimal()):
        return None
    width, height, space = int(values["W"]), int(values["H"]), values.get("C", "420")
    if space.startswith("mono"):
        planes = width * height
    elif space[:3] in _CHROMA:
        across, down = _CHROMA[space[:3]]
        planes = width * height + 2 * -(-width // across) * -(-height // down)
        planes += width * height * space.startswith("444alpha")
    else:
        return None
    deep = space[4:] if space.startswith("mono") else space[3:]
    wide = deep.isdecimal() or (deep[:1] == "p" and deep[1:].isdecimal())  # more than eight bits: two bytes
    return planes * (2 if wide else 1)


def ivf(file: BinaryIO, size: int) -> str | None:
    """A header, then pictures with their length before each; the header may hold their number."""
    head = file.read(32)
    at, count, declared = int.from_bytes(head[6:8], "little"), 0, int.from_bytes(head[24:28], "little")
    while at < size:
        file.seek(at)
        at += 12 + int.from_bytes(file.read(4), "little")
        count += 1
    if at == size and count < declared:
        return f"the file is cut short: {count} of {declared} pictures are there"
    return short(at, size)
