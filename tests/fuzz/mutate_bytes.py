"""Faults of any file: bits that flip, ends that are missing, pieces that are overwritten, doubled or elsewhere."""

from __future__ import annotations

from random import Random

from case import Fault

NUMBERS = (0, 1, 2, 3, 16, 255, 256, 4095, 65535, 2**24, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1)


def piece(rng: Random, data: bytes, most: float = 0.2) -> tuple[int, int]:
    """Start and end of a piece: most often a few bytes, now and then up to a share of the whole."""
    size = len(data)
    if not size:
        return 0, 0
    longest = rng.choice((4, 64, 1024, max(1, int(size * most))))
    start = rng.randrange(size)
    return start, min(size, start + rng.randint(1, longest))


def cut(rng: Random, data: bytes) -> bytes:
    """Only the beginning is there."""
    return data[: rng.randrange(len(data) + 1)]


def behead(rng: Random, data: bytes) -> bytes:
    """The beginning is missing."""
    return data[rng.randrange(len(data) // 4 + 1) :]


def flip(rng: Random, data: bytes) -> bytes:
    """Single bits are wrong."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 4, 32)) if data else 0):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def flip_head(rng: Random, data: bytes) -> bytes:
    """Bits of the first bytes are wrong."""
    return flip(rng, data[:512]) + data[512:]


def flip_tail(rng: Random, data: bytes) -> bytes:
    """Bits of the last bytes are wrong."""
    return data[:-2048] + flip(rng, data[-2048:])


def overwrite(rng: Random, data: bytes) -> bytes:
    """A piece holds something else: noise, zeros or ones."""
    start, end = piece(rng, data)
    size = end - start
    return data[:start] + rng.choice((rng.randbytes(size), bytes(size), b"\xff" * size)) + data[end:]


def remove(rng: Random, data: bytes) -> bytes:
    """A piece is missing."""
    start, end = piece(rng, data)
    return data[:start] + data[end:]


def double(rng: Random, data: bytes) -> bytes:
    """A piece is there twice."""
    start, end = piece(rng, data)
    return data[:end] + data[start:]


def swap(rng: Random, data: bytes) -> bytes:
    """Two pieces have changed places."""
    (a, b), (c, d) = sorted((piece(rng, data), piece(rng, data)))
    if b > c:
        return data
    return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def insert(rng: Random, data: bytes) -> bytes:
    """Noise lies between two bytes."""
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.randbytes(rng.choice((1, 4, 188, 1000))) + data[at:]


def append(rng: Random, data: bytes) -> bytes:
    """Something follows the end."""
    return data + rng.choice((bytes(64), rng.randbytes(64), data[:512], data))


def field(rng: Random, data: bytes, at: int, width: int = 4, order: str = "big") -> bytes:
    """A number at a place says something else."""
    if at < 0 or at + width > len(data):
        return data
    old = int.from_bytes(data[at : at + width], order)  # type: ignore[arg-type]
    near = (old + 1, old - 1, old * 2, old // 2, old * 1000, old // 1000, rng.getrandbits(8 * width))
    new = rng.choice((*NUMBERS, *near)) % 2 ** (8 * width)
    return data[:at] + new.to_bytes(width, order) + data[at + width :]  # type: ignore[arg-type]


def any_field(rng: Random, data: bytes) -> bytes:
    """A number somewhere, most often in the head, says something else."""
    reach = rng.choice((64, 512, len(data)))
    at = rng.randrange(max(1, min(len(data), reach)))
    return field(rng, data, at, rng.choice((1, 2, 4, 8)), rng.choice(("big", "little")))


FAULTS: tuple[Fault, ...] = (
    cut, behead, flip, flip_head, flip_tail, overwrite, remove, double, swap, insert, append, any_field,
)  # fmt: skip
