"""Faults of containers: numbers that lie, boxes and packets that are missing, doubled or in a wrong place."""

from __future__ import annotations

from random import Random

import mutate_bytes
from case import Fault, applied

MP4 = (b"stts", b"stsc", b"stsz", b"stss", b"stco", b"ctts", b"mdhd", b"mvhd", b"tkhd", b"elst", b"moof", b"tfhd",
       b"trun", b"tfdt", b"trex", b"mdat", b"moov", b"avc1", b"mp4v", b"avcC", b"ftyp", b"mfra", b"sidx")  # fmt: skip
AVI = (b"avih", b"strh", b"strf", b"idx1", b"movi", b"LIST", b"00dc", b"RIFF", b"JUNK")
MATROSKA = (
    b"\x2a\xd7\xb1", b"\x44\x89", b"\x23\xe3\x83", b"\xb0", b"\xba", b"\xe7", b"\xa3", b"\x1f\x43\xb6\x75",
    b"\x18\x53\x80\x67", b"\x16\x54\xae\x6b", b"\x86", b"\x63\xa2", b"\x1c\x53\xbb\x6b", b"\xb3", b"\xf1",
)  # fmt: skip
PACKET = 188  # bytes of a transport stream's


def lie(marks: tuple[bytes, ...]) -> Fault:
    """A fault: a number shortly behind one of these marks says something else."""

    def told(rng: Random, data: bytes) -> bytes:
        there = [mark for mark in marks if mark in data]
        if not there:
            return mutate_bytes.any_field(rng, data)
        mark = rng.choice(there)
        places, at = [], data.find(mark)
        while at >= 0 and len(places) < 64:
            places.append(at)
            at = data.find(mark, at + 1)
        at = rng.choice(places)
        little = marks is AVI
        wide = 4 if marks is not MATROSKA else rng.choice((1, 2, 4))
        step = rng.choice((-4, 4, 8, 12, 16, 20, 24, 28, 32)) if wide == 4 and mark.isalnum() else 0
        start = at + step if step else at + len(mark) + rng.randrange(3)
        return mutate_bytes.field(rng, data, start, wide, "little" if little else "big")

    return told


def boxes(data: bytes) -> list[tuple[int, int]]:
    """Start and end of the outermost boxes of an mp4."""
    found, at = [], 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4]) or len(data) - at
        if size < 8:
            break
        found.append((at, min(len(data), at + size)))
        at += size
    return found


def reorder_boxes(rng: Random, data: bytes) -> bytes:
    """An outermost box is missing, doubled, at another place or called otherwise."""
    parts = [data[a:b] for a, b in boxes(data)]
    if not parts:
        return data
    at = rng.randrange(len(parts))
    match rng.randrange(4):
        case 0:
            del parts[at]
        case 1:
            parts.insert(rng.randrange(len(parts)), parts[at])
        case 2:
            parts.insert(rng.randrange(len(parts)), parts.pop(at))
        case 3:
            parts[at] = parts[at][:4] + rng.choice((b"free", b"mdat", b"moov", b"\0\0\0\0")) + parts[at][8:]
    return b"".join(parts)


def reorder_packets(rng: Random, data: bytes) -> bytes:
    """Packets of a transport stream are missing, doubled, at another place, or another program's."""
    parts = [data[at : at + PACKET] for at in range(0, len(data), PACKET)]
    for _ in range(rng.choice((1, 5, 30))):
        if not parts:
            break
        at = rng.randrange(len(parts))
        match rng.randrange(4):
            case 0:
                del parts[at : at + rng.choice((1, 8))]
            case 1:
                parts.insert(at, parts[at])
            case 2:
                parts.insert(rng.randrange(len(parts)), parts.pop(at))
            case 3:
                parts[at] = parts[at][:1] + rng.randbytes(3) + parts[at][4:]
    return b"".join(parts)


def mutated(rng: Random, name: str, data: bytes) -> bytes:
    """Faults of any file, and those of the container that its name tells."""
    suffix = name.rpartition(".")[2]
    own: tuple[Fault, ...] = ()
    if suffix in ("mp4", "mov"):
        own = (*[lie(MP4)] * 8, reorder_boxes, reorder_boxes)
    elif suffix == "avi":
        own = (lie(AVI),) * 6
    elif suffix in ("mkv", "webm"):
        own = (lie(MATROSKA),) * 6
    elif suffix == "ts":
        own = (reorder_packets,) * 4
    return applied(rng, (*mutate_bytes.FAULTS, *own), data)
