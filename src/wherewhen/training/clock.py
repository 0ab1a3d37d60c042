"""The time that a process computes."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic, process_time


@dataclass(frozen=True)
class Clock:
    """Seconds that this process computes from now on, of which there are ``limit``.

    The shorter of wall time, which counts other programs on the same cores, and processor time, which counts each
    thread.

    >>> Clock().is_over, Clock(limit=-1.0).is_over
    (False, True)
    """

    limit: float = float("inf")
    wall: float = field(default_factory=monotonic)
    processor: float = field(default_factory=process_time)

    @property
    def seconds(self) -> float:
        """Seconds since the clock was made."""
        return min(monotonic() - self.wall, process_time() - self.processor)

    @property
    def is_over(self) -> bool:
        """Whether more than ``limit`` seconds are over."""
        return self.seconds > self.limit
