"""Which time slot each picture of a folder has, by the number in its name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

_COUNTER = re.compile(r"(.*?)([0-9]+)")
_MOST = 10**7  # larger numbers are dates or times, no counters


def slots(stems: Sequence[str]) -> list[int]:
    """A slot for each name, from 0 on; one after another where the names don't count.

    Names count if they differ in nothing but the number at their end, and these rise in equal steps; where some are
    left out, so are their slots. Numbers are ignored where more are missing than present.

    >>> slots(["f010", "f015", "f030"]), slots(["a", "b"])
    ([0, 1, 4], [0, 1])
    """
    plain = list(range(len(stems)))
    parts = [match for stem in stems if (match := _COUNTER.fullmatch(stem))]
    if len(parts) < max(2, len(stems)) or len({match[1] for match in parts}) > 1:
        return plain
    numbers = [int(match[2]) for match in parts]
    steps = [b - a for a, b in pairwise(numbers)]
    usual = min(Counter(steps).most_common(), key=lambda pair: (-pair[1], pair[0]))[0]
    if numbers[-1] > _MOST or usual <= 0 or any(step % usual or step <= 0 for step in steps):
        return plain
    positions = [(number - numbers[0]) // usual for number in numbers]
    return positions if positions[-1] + 1 <= 2 * len(positions) else plain
