"""The threshold of a trained model: of scores out of fold, of training scores, or for a number of alarms a day."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Literal, get_args

from wherewhen.core.errors import ConfigError, DataError, unknown
from wherewhen.inference.model import Model
from wherewhen.inference.normal_time import rate
from wherewhen.training.out_of_fold import platt_threshold
from wherewhen.training.selection import Selection

log = logging.getLogger("wherewhen")

ThresholdFrom = Literal["out-of-fold", "training"]


@dataclass(frozen=True)
class ThresholdRule:
    """How the threshold is chosen; None: out of fold where such scores exist, else from training scores.

    ``per_day``: wished number of false alarms a day, in place of the rule.
    """

    source: ThresholdFrom | None = None
    per_day: float | None = None

    def __post_init__(self) -> None:
        if self.source is not None and self.source not in get_args(ThresholdFrom):
            raise ConfigError(unknown("threshold_from", str(self.source)[:80], get_args(ThresholdFrom)))
        if self.per_day is not None and rate(self.per_day) and self.source == "training":
            raise ConfigError("alarms per day: measured out of fold, not on training scores; leave one of the two out")

    @property
    def required(self) -> bool:
        """Whether scores out of fold are needed."""
        return self.source == "out-of-fold" or self.per_day is not None

    def check(self, selection: Selection) -> None:
        """DataError where scores out of fold are needed and there are none."""
        if self.required and selection.chosen is None:
            raise DataError(
                f"a threshold out of fold is not possible ({selection.reason}); add videos, or leave out "
                "--threshold-from and --alarms-per-day"
            )

    def __call__(self, model: Model, selection: Selection) -> str:
        """Set the threshold of a trained model and return its origin in words."""
        trial = selection.chosen
        if trial is None:
            return "training scores"
        model.normal_time = trial.normal_time
        if self.source == "training":
            return "training scores"
        if self.per_day is not None:
            if (caution := model.normal_time.caution(self.per_day)) is not None:
                log.warning(caution)
            model.threshold = model.normal_time.level(self.per_day)
            return f"{self.per_day:g} alarms a day of normal video, out of fold"
        threshold = platt_threshold(list(trial.peaks.values()), [selection.labels[name] for name in trial.peaks])
        if threshold is None:
            log.warning("scores out of fold don't separate the labels: the threshold is that of the training scores")
            return "training scores"
        model.threshold = threshold
        return "scores out of fold (Platt)"
