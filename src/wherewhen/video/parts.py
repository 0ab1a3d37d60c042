"""Parsers of chunked containers: where a chunk ends early or is invalid."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

_SEGMENT, _CLUSTER = 0x18538067, 0x1F43B675
_TAGS = (8, 9, 18)  # of FLV: sound, video, data
_ASF_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
_SYNC = 0x47  # of every packet of a transport stream
_PACKETS = ((188, 0), (192, 4), (204, 0))  # their sizes in bytes, and the offset of the sync byte
EMPTY = 2048  # zeros at the end that are no part of a video

Walk = Callable[[BinaryIO, int], str | None]


def short(end: int | None, size: int, slack: int = 0) -> str | None:
    """The message for a file that ends too early; None if it doesn't, or its end is unknown."""
    if end is None or end <= size + slack:
        return None
    return f"the file is cut short: {size:,} of {end:,} bytes are there"


def unreadable(at: int, size: int) -> str:
    """The message for an invalid part of a file."""
    return f"the file is damaged: it can't be read from byte {at:,} of {size:,} on"


def matroska(file: BinaryIO, size: int) -> str | None:
    """The parts of the segment one after another; those of unknown length, as of live recorders, are parsed."""
    at, stop = 0, size
    while at < stop:
        file.seek(at)
        kind, length, start = _element(file)
        if kind is None:
            return unreadable(at, size)
        end = None if length is None else at + start + length
        if end is not None and end > size:
            return short(end, size)
        if kind == _SEGMENT and end is not None:
            stop = end
        if kind == _CLUSTER and end is not None and (bad := _broken(file, at + start, end)) is not None:
            return unreadable(bad, size)
        at = at + start if end is None or kind == _SEGMENT else end
    return None


def _broken(file: BinaryIO, at: int, end: int) -> int | None:
    """Where the parts of a cluster stop filling it, None if they do."""
    while at < end:
        file.seek(at)
        kind, length, start = _element(file)
        if kind is None or length is None or at + start + length > end:
            return at
        at += start + length
    return None


def _element(file: BinaryIO) -> tuple[int | None, int | None, int]:
    """Kind (None: unreadable), length (None: unknown) and length of the head of the element that begins here."""
    first = file.read(1)
    if not first or first[0] < 0x10:
        return None, None, 0
    width = 9 - first[0].bit_length()
    kind = int.from_bytes(first + file.read(width - 1))
    head = file.read(1)
    if not head or not head[0]:
        return None, None, 0
    more = 9 - head[0].bit_length()
    length = int.from_bytes(bytes([head[0] ^ 1 << 8 - more]) + file.read(more - 1))
    return kind, None if length == (1 << 7 * more) - 1 else length, width + more


def flv(file: BinaryIO, size: int) -> str | None:
    """Tags one after another: a head of 11 bytes, its data, and 4 bytes with the length of both."""
    at = int.from_bytes(file.read(9)[5:9]) + 4
    while at < size:
        file.seek(at)
        head = file.read(11)
        if head[0] & 0xDF not in _TAGS:
            return unreadable(at, size)
        at += 15 + int.from_bytes(head[1:4])
    return short(at, size, 4)


def gif(file: BinaryIO, size: int) -> str | None:
    """Blocks one after another, up to the trailer."""
    head = file.read(13)
    file.seek(_colors(head[10]), 1)
    while kind := file.read(1):
        at = file.tell() - 1
        if kind == b";":
            return None
        if kind == b",":
            file.seek(_colors(file.read(9)[-1:][0] if at + 10 <= size else 0) + 1, 1)
        elif kind == b"!":
            file.seek(1, 1)
        else:
            return unreadable(at, size)
        while length := file.read(1):
            if length == b"\0":
                break
            file.seek(length[0], 1)
    return f"the file is cut short: it ends within a picture, after {size:,} bytes"


def _colors(flags: int) -> int:
    """Bytes of a table of colors, if there is one."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def asf(file: BinaryIO, size: int) -> str | None:
    """The length in the head, and packets of one length that all begin alike; None for a live broadcast."""
    head = file.read(65_536)
    at, data = head.find(_ASF_FILE), head.find(_ASF_DATA)
    if at < 0 or data < 0 or len(head) < max(at + 96, data + 53) or head[at + 88] & 1:
        return None
    if missing := short(int.from_bytes(head[at + 40 : at + 48], "little"), size):
        return missing
    length, count = (int.from_bytes(head[k : k + 4], "little") for k in (at + 92, data + 40))
    first, start = head[data + 50 : data + 51], data + 50
    for place in range(start, min(start + length * count, size), length) if length else ():
        file.seek(place)
        if file.read(1) != first:
            return unreadable(place, size)
    return None


def transport(file: BinaryIO, size: int) -> str | None:
    """A stream of packets of one length, which must end with a whole one."""
    head = file.read(1024)
    for length, sync in _PACKETS:
        if len(head) > 4 * length and all(head[sync + k * length] == _SYNC for k in range(4)):
            whole, rest = divmod(size, length)
            file.seek((whole - 1) * length + sync)
            if file.read(1)[0] != _SYNC:
                return f"the file is damaged: its end, byte {(whole - 1) * length:,} of {size:,}, is no part of it"
            return f"the file is cut short: it ends after {rest} of {length} bytes of a packet" if rest else None
    return None


def emptied(file: BinaryIO, size: int) -> str | None:
    """Zeros up to the end: the recorder stopped before they were written."""
    at = size
    while at > 0:
        start = max(0, at - 65_536)
        file.seek(start)
        rest = file.read(at - start).rstrip(b"\0")
        at = start + len(rest)
        if rest:
            break
    return f"the file is cut short: its last {size - at:,} bytes are empty" if size - at >= EMPTY else None
