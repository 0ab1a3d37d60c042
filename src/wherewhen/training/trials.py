"""Candidates that are compared by cross-validation: the order of their trainings, and which of them are dropped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from wherewhen.inference.normal_time import NormalTime
from wherewhen.training.comparison import Ranking, paired_error, ranking
from wherewhen.training.out_of_fold import FOLDS, FoldScores

DROPPED = "dropped"
ONE_SIDED = 1.645  # standard errors of 95 % confidence
KEPT = 3  # candidates that are compared in all folds, however low their AUC in the first ones is


@dataclass
class Trial:
    """A candidate: its cost (multiply-adds of a training), its scores by fold, and why it was not compared, if so."""

    name: str
    cost: float
    folds: list[FoldScores] = field(default_factory=list)
    note: str = ""
    wasted: float = 0.0

    @property
    def seconds(self) -> float:
        """Seconds of computing that its trainings took."""
        return self.wasted + sum(fold.seconds for fold in self.folds)

    @property
    def normal_time(self) -> NormalTime:
        """The normal videos, out of fold."""
        maxima = np.array([value for fold in self.folds for value in fold.maxima])
        return NormalTime(maxima, sum(fold.hours for fold in self.folds))

    @property
    def peaks(self) -> dict[str, float]:
        """Highest raw frame score of each video, out of fold."""
        return self.peaks_of(FOLDS)

    def peaks_of(self, count: int) -> dict[str, float]:
        """Highest raw frame score of each video of the first ``count`` folds."""
        return {name: peak for fold in self.folds[:count] for name, peak in fold.peaks.items()}


@dataclass(frozen=True)
class Trials:
    """The order of trainings: a fold of all candidates, then the next one of those that are left (Jamieson and
    Talwalkar 2016, successive halving); ``labels`` and ``folds`` of the videos, by id.
    """

    candidates: Sequence[Trial]
    labels: Mapping[str, int]
    folds: Mapping[str, int]

    def turns(self) -> Iterator[tuple[Trial, int]]:
        """The trainings to come: a candidate and the number of the fold that it is to score."""
        order = sorted(self.candidates, key=lambda trial: trial.cost)
        for number in range(FOLDS):
            for trial in order:
                if not trial.note and number == len(trial.folds):
                    yield trial, number
            ranks = self.ranks(number + 1)
            if number + 1 < FOLDS:
                self._drop(number + 1, ranks)
            order = [trial for trial in self._best_first(ranks) if not trial.note]

    def ranks(self, count: int) -> dict[str, Ranking]:
        """How well the peaks of each candidate that has scored them rank the videos of the first ``count`` folds."""
        racing = [trial for trial in self.candidates if not trial.note and len(trial.folds) >= count]
        return {trial.name: ranking(trial.peaks_of(count), self.labels, self.folds) for trial in racing}

    def reserved(self) -> float:
        """Seconds that the other folds take for candidates which would not be dropped now, as long as the first."""
        ranks = self.ranks(1)
        lower = self._lower(ranks)
        left = [trial for trial in self.candidates if trial.name in ranks and trial.name not in lower]
        return (FOLDS - 1) * sum(trial.folds[0].seconds for trial in left)

    def _best_first(self, ranks: Mapping[str, Ranking]) -> list[Trial]:
        ranked = [trial for trial in self.candidates if trial.name in ranks]
        return sorted(ranked, key=lambda trial: -ranks[trial.name].auc)

    def _lower(self, ranks: Mapping[str, Ranking]) -> list[str]:
        """Names of the lower half that are more than one standard error below the best one."""
        names = [trial.name for trial in self._best_first(ranks)]
        return [name for name in names[max(KEPT, -(-len(names) // 2)) :] if not tied(ranks[names[0]], ranks[name])]

    def _drop(self, count: int, ranks: Mapping[str, Ranking]) -> None:
        best, lower = max((rank.auc for rank in ranks.values()), default=0.0), self._lower(ranks)
        for trial in self.candidates:
            if trial.name in lower and len(trial.folds) == count:
                auc = ranks[trial.name].auc
                trial.note = f"{DROPPED} after {count} of {FOLDS} folds: AUC {auc:.3f}, the best one had {best:.3f}"


def beats_chance(rank: Ranking) -> bool:
    """Whether an AUC is above 0.5 with 95 % confidence (one-sided)."""
    parts = tuple((share, np.full_like(first, 0.5), np.full_like(second, 0.5)) for share, first, second in rank.parts)
    return rank.auc - 0.5 > ONE_SIDED * paired_error(rank, Ranking(0.5, parts))


def tied(best: Ranking, other: Ranking) -> bool:
    """Whether an AUC is within one standard error of the best one."""
    return best.auc - other.auc <= paired_error(best, other)
