"""Statistics of a table: bootstrap intervals of means, and paired comparisons of two rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

DRAWS = 10_000


class Pair(NamedTuple):
    """Two methods on the same repeats: mean of a minus b, its 95 % interval, and the chance of it without a cause."""

    a: str
    b: str
    backbone: str
    metric: str
    difference: float
    low: float
    high: float
    p: float
    n: int


def interval(values: ArrayLike, seed: int = 0) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the mean of ``values (N,)``; one value gives no width.

    >>> interval([0.5, 0.5, 0.5])
    (0.5, 0.5)
    """
    numbers = np.asarray(values, np.float64)
    draws = np.random.default_rng(seed).integers(0, len(numbers), (DRAWS, len(numbers)))
    low, high = np.quantile(numbers[draws].mean(1), [0.025, 0.975])
    return float(low), float(high)


def auc_interval(auc: float, positives: int, negatives: int) -> tuple[float, float]:
    """95 % interval of an AUC over so many positives and negatives; wide where they are few, also at 0 and 1.

    All areas whose distance to ``auc`` is at most 1.96 standard errors (Newcombe, Statistics in Medicine 2006,
    method 5).

    >>> [round(end, 2) for end in auc_interval(1.0, 4, 4)], [round(end, 2) for end in auc_interval(0.7, 50, 50)]
    ([0.58, 1.0], [0.59, 0.79])
    """
    many = (positives + negatives) / 2 - 1

    def is_within(area: float) -> bool:
        spread = 1 + many * (1 - area) / (2 - area) + many * area / (1 + area)
        return (auc - area) ** 2 <= 1.96**2 * area * (1 - area) * spread / (positives * negatives)

    def end(inside: float, outside: float) -> float:
        for _ in range(50):
            middle = (inside + outside) / 2
            inside, outside = (middle, outside) if is_within(middle) else (inside, middle)
        return inside

    return end(auc, 0.0), end(auc, 1.0)


def sign_flip(differences: ArrayLike, seed: int = 0) -> float:
    """Two-sided p-value that the mean of paired ``differences (N,)`` is this far from 0 by chance.

    Every way to flip signs is tried up to 14 differences, random ones beyond.

    >>> sign_flip([0.1, 0.1, 0.1])
    0.25
    """
    numbers = np.asarray(differences, np.float64)
    count = len(numbers)
    if count <= 14:
        signs = 1 - 2 * ((np.arange(2**count)[:, None] >> np.arange(count)) & 1)
    else:
        signs = np.random.default_rng(seed).choice([-1, 1], (DRAWS, count))
    means = np.abs((signs * numbers).mean(1))
    return float((means >= abs(numbers.mean()) - 1e-12).mean())


def paired(
    by_row: Mapping[tuple[str, str], Sequence[Mapping[str, float]]], methods: Sequence[str], metrics: Sequence[str]
) -> list[Pair]:
    """Every two methods on one backbone, metric by metric, over the repeats that both have.

    ``by_row``: numbers of each repeat by (method, backbone); the repeats are in the same order.
    """
    comparisons = []
    for backbone in dict.fromkeys(on for _, on in by_row):
        for a, b in combinations([m for m in methods if (m, backbone) in by_row], 2):
            for metric in metrics:
                pairs = zip(by_row[a, backbone], by_row[b, backbone], strict=True)
                gaps = np.array([p[metric] - q[metric] for p, q in pairs if metric in p and metric in q])
                if len(gaps):
                    low, high = interval(gaps)
                    comparisons.append(
                        Pair(a, b, backbone, metric, float(gaps.mean()), low, high, sign_flip(gaps), len(gaps))
                    )
    return comparisons
