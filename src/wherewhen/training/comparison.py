"""AUC of videos within folds, and the standard error of the difference of two of them on the same videos."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from wherewhen.core.values import Floats


class Ranking(NamedTuple):
    """AUC over all pairs of an anomalous and a normal video of one fold, and its parts for the standard error.

    ``parts``: for each fold its share of the pairs, and for each of its anomalous and each of its normal videos the
    share of the others that it is ranked right against.
    """

    auc: float
    parts: tuple[tuple[float, Floats, Floats], ...]


def ranking(peaks: Mapping[str, float], labels: Mapping[str, int], folds: Mapping[str, int]) -> Ranking:
    """Rank the videos of each fold by their peaks; scores of models of two folds are not compared.

    >>> peaks, labels = {"a": 0.9, "b": 0.1, "c": 0.2, "d": 0.2}, {"a": 1, "b": 0, "c": 1, "d": 0}
    >>> ranking(peaks, labels, dict.fromkeys(labels, 0)).auc
    0.875
    """
    parts, total = [], 0
    for number in sorted(set(folds.values())):
        anomalous, normal = (
            np.array([peaks[name] for name in peaks if folds[name] == number and labels[name] == label])
            for label in (1, 0)
        )
        if not len(anomalous) or not len(normal):
            continue
        above = (anomalous[:, None] > normal) + 0.5 * (anomalous[:, None] == normal)
        parts.append((above.size, above.mean(1), above.mean(0)))
        total += above.size
    shares = tuple((size / total, first, second) for size, first, second in parts)
    return Ranking(float(sum(share * first.mean() for share, first, _ in shares)), shares)


def paired_error(ranking_a: Ranking, ranking_b: Ranking) -> float:
    """Standard error of the difference of two AUCs on the same videos and folds (DeLong et al., Biometrics 1988)."""
    variance = 0.0
    for (share, *parts_a), (_, *parts_b) in zip(ranking_a.parts, ranking_b.parts, strict=True):
        for first, second in zip(parts_a, parts_b, strict=True):
            if len(first) > 1:
                variance += share**2 * float(np.var(first - second, ddof=1)) / len(first)
    return float(variance**0.5)
