"""The threshold of a trained model, by its origin."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest

from wherewhen.api.thresholds import ThresholdRule
from wherewhen.core.errors import ConfigError, DataError
from wherewhen.inference.model_config import ModelConfig
from wherewhen.training.out_of_fold import FoldScores
from wherewhen.training.selection import Selection, Trial

LABELS = {f"v{k}": k % 2 for k in range(24)}
PEAKS = {name: 0.2 + 0.4 * label for name, label in LABELS.items()}


class Untrained:
    """Stands in for a model: its threshold and its normal time."""

    threshold = 0.9
    normal_time: Any = None


def selection(peaks: dict[str, float] = PEAKS) -> Selection:
    trial = Trial("cuboid_mil", 1.0, [FoldScores(peaks, [0.1, 0.2, 0.3, 0.4], 12.0, 1.0)])
    return Selection(ModelConfig.of(), "a test", [trial], LABELS, dict.fromkeys(LABELS, 0))


def chosen(rule: ThresholdRule, made: Selection) -> tuple[str, float]:
    model: Any = Untrained()
    return rule(model, made), model.threshold


def test_the_threshold_is_that_of_the_scores_out_of_fold() -> None:
    origin, threshold = chosen(ThresholdRule(), selection())
    assert "out of fold" in origin and 0.2 < threshold < 0.6
    assert chosen(ThresholdRule("training"), selection()) == ("training scores", 0.9)
    assert chosen(ThresholdRule(), Selection(ModelConfig.of(), "too few")) == ("training scores", 0.9)


def test_scores_that_mean_nothing_choose_nothing(caplog: pytest.LogCaptureFixture) -> None:
    reversed_peaks = {name: 1 - peak for name, peak in PEAKS.items()}
    with caplog.at_level(logging.WARNING, "wherewhen"):
        assert chosen(ThresholdRule(), selection(reversed_peaks)) == ("training scores", 0.9)
    assert "don't separate the labels" in caplog.text


def test_a_number_of_alarms_a_day_chooses_the_threshold(caplog: pytest.LogCaptureFixture) -> None:
    origin, threshold = chosen(ThresholdRule(per_day=4), selection())
    assert origin == "4 alarms a day of normal video, out of fold" and np.isclose(threshold, 0.25)
    assert not caplog.text
    with caplog.at_level(logging.WARNING, "wherewhen"):
        assert chosen(ThresholdRule(per_day=1), selection())[1] > 0.4
    assert "1 alarms a day can't be measured in 12 hours" in caplog.text


def test_rules_that_can_not_hold_are_refused() -> None:
    with pytest.raises(ConfigError, match="unknown threshold_from 'test'"):
        ThresholdRule("test")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="measured out of fold"):
        ThresholdRule("training", 3)
    few = Selection(ModelConfig.of(), "the default; 2 videos are too few")
    ThresholdRule().check(few)
    for rule in (ThresholdRule("out-of-fold"), ThresholdRule(per_day=2)):
        with pytest.raises(DataError, match=r"not possible \(the default; 2 videos are too few\)"):
            rule.check(few)
