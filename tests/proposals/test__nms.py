from __future__ import annotations

import numpy as np
import pytest

from wherewhen.proposals._nms import surest


def plain(rows: np.ndarray, values: np.ndarray, classes: np.ndarray, overlap: float, most: int) -> list[int]:
    """One box after the other, by hand."""

    def iou(a: np.ndarray, b: np.ndarray) -> float:
        wide, tall = min(a[4], b[4]) - max(a[2], b[2]), min(a[5], b[5]) - max(a[3], b[3])
        both = max(wide, 0) * max(tall, 0)
        return both / ((a[4] - a[2]) * (a[5] - a[3]) + (b[4] - b[2]) * (b[5] - b[3]) - both)

    kept: list[int] = []
    for k in sorted(range(len(rows)), key=lambda k: (-values[k], k)):
        if len(kept) < most and not any(classes[k] == classes[o] and iou(rows[k], rows[o]) > overlap for o in kept):
            kept.append(k)
    return kept


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("most", [3, 100])
def test_it_is_the_plain_rule(seed: int, most: int) -> None:
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 0.6, (30, 2))
    rows = np.concatenate([np.tile([0, 1.0], (30, 1)), low, low + rng.uniform(0.1, 0.4, (30, 2))], 1)
    values, classes = rng.choice([0.1, 0.5, 0.9, 0.3], 30), rng.integers(0, 2, 30)
    assert surest(rows, values, classes, 0.4, most).tolist() == plain(rows, values, classes, 0.4, most)


def test_nothing_stays_nothing() -> None:
    assert surest(np.empty((0, 6)), np.empty(0), np.empty(0, np.int64), 0.5, 10).tolist() == []
