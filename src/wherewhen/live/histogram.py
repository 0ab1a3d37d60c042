"""Counts of values by size, as Prometheus has them."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field


@dataclass
class Histogram:
    """Counts of values up to each of ``bounds``, which ascend, and of larger ones; ``total`` is the sum of all values.

    >>> delays = Histogram((0.1, 1.0))
    >>> for delay in (0.1, 0.5, 7.0):
    ...     delays.add(delay)
    >>> delays.counts, delays.total
    ([1, 1, 1], 7.6)
    """

    bounds: tuple[float, ...]
    counts: list[int] = field(default_factory=list)
    total: float = 0.0

    def __post_init__(self) -> None:
        self.counts = self.counts or [0] * (len(self.bounds) + 1)

    def add(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value
