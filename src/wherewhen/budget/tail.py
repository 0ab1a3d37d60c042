"""How rare a peak is: the share of blocks that reach it, from a Pareto tail above what was seen often."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from wherewhen.budget.blocks import DAY
from wherewhen.core.errors import DataError
from wherewhen.core.values import Floats

MOST = 8.0  # rarity is not told apart above 10 ** -8
SHARE = 0.1  # of the blocks make the tail
LEAST = 20  # peaks that a fit needs
PRIOR = 500  # peaks that say: the shape is 0
EDGE = 1e-7  # of scores, before their logit


def logit(scores: ArrayLike) -> Floats:
    """Scores in [0, 1] without bounds; minus infinity becomes the lowest."""
    values = np.clip(np.asarray(scores, np.float64), EDGE, 1 - EDGE)
    line: Floats = np.log(values / (1 - values))
    return line


@dataclass(frozen=True)
class Tail:
    """A generalized Pareto distribution above ``edge`` (logit of a score), reached by a ``share`` of the blocks.

    ``scale`` and ``shape`` by probability-weighted moments (Hosking and Wallis, Technometrics 1987). Few peaks
    determine the shape badly, so it is drawn toward 0, an exponential tail.
    """

    edge: float
    share: float
    scale: float
    shape: float
    body: tuple[float, ...]  # logits of scores at shares 1, 0.99, ... of the blocks

    @classmethod
    def of(cls, peaks: ArrayLike) -> Tail:
        """Fit to the peaks ``(N,)`` of blocks; DataError for fewer than 20 blocks."""
        values = np.sort(logit(peaks))
        count = len(values)
        if count < LEAST:
            raise DataError(f"expected at least {LEAST} minutes of footage, got {count}")
        most = max(LEAST, int(count * SHARE))
        edge = values[-most]
        excess = values[values > edge] - edge
        body = tuple(np.quantile(values, np.linspace(0, 1, 101)).tolist())
        if len(excess) < LEAST // 2:  # the top is one value many times
            return cls(float(edge), most / count, 1e-3, 0.0, body)
        n = len(excess)
        weights = (n - np.arange(1, n + 1) + 0.35) / n
        mean, weighted = float(excess.mean()), float((weights * excess).mean())
        shape = float(np.clip(2 - mean / max(mean - 2 * weighted, 1e-9), -0.5, 0.5)) * n / (n + PRIOR)
        return cls(float(edge), n / count, mean * (1 - shape), shape, body)

    def rarity(self, score: float) -> float:
        """-log10 of the share of blocks whose peak reaches a score, at most 8."""
        value = float(logit(score))
        if value <= self.edge:
            grid = np.asarray(self.body)
            share = 1 - float(np.interp(value, grid, np.linspace(0, 1, len(grid))))
            return float(-np.log10(max(share, self.share)))
        over = (value - self.edge) / self.scale
        if abs(self.shape) < 1e-6:
            log = -over
        else:
            inner = 1 + self.shape * over
            log = -np.log(inner) / self.shape if inner > 0 else -np.inf
        return float(min(MOST, -(np.log(self.share) + log) / np.log(10)))

    def level(self, per_day: float, block: float) -> float:
        """The score that blocks of so many seconds reach ``per_day`` times a day, within [0, 1]."""
        return self.score(-float(np.log10(per_day * block / DAY)))

    def score(self, rarity: float) -> float:
        """The score of a rarity, within [0, 1], and no lower than that of ``edge``; infinite above 8."""
        if rarity > MOST:
            return np.inf
        odds = self.share / min(10**-rarity, self.share)
        over = np.log(odds) if abs(self.shape) < 1e-6 else (odds**self.shape - 1) / self.shape
        return float(1 / (1 + np.exp(-(self.edge + self.scale * over))))
