"""Cameras among machines: each camera on one of them, and few move where a machine is added or removed."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from wherewhen.core.errors import ConfigError

_SHARD = re.compile(r"([1-9]\d{0,3})(?:/|-of-)([1-9]\d{0,3})")  # a unit of systemd has no slash in its name


def shard_of(camera: str, count: int) -> int:
    """The number, from 1 to ``count``, of the shard that has a camera: rendezvous hashing.

    Each shard has a hash of the camera's name and of its own number; the highest one has the camera. So the last shard
    of ``count + 1`` takes about one in ``count + 1`` cameras, and no other camera moves (Thaler & Ravishankar, "Using
    name-based mappings to increase hit rates", 1998).

    >>> [shard_of(camera, 3) for camera in ("yard", "gate", "door", "hall")]
    [1, 3, 1, 3]
    """
    return max(range(1, count + 1), key=lambda number: hashlib.sha256(f"{camera}/{number}".encode()).digest())


@dataclass(frozen=True)
class Shard:
    """One of several machines: its number from 1 on, and how many there are."""

    number: int
    count: int

    @classmethod
    def of(cls, text: str) -> Shard:
        """The shard that a text states; ConfigError for another text.

        >>> Shard.of("2/3")
        Shard(number=2, count=3)
        """
        match = _SHARD.fullmatch(text.strip())
        if not match or int(match[1]) > int(match[2]):
            raise ConfigError(
                f"shard: expected a number of this machine and how many there are, such as 1/3, got {text!r}"
            )
        return cls(int(match[1]), int(match[2]))

    def __contains__(self, camera: str) -> bool:
        return shard_of(camera, self.count) == self.number
