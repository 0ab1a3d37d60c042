"""Recall within a budget a day, against scores whose answer is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherewhen.core.errors import ConfigError, DataError
from wherewhen.core.values import HeatMap, Prediction, Truth
from wherewhen.metrics.budget import compute

HOUR = 3600


def video(scores: np.ndarray, spans: Sequence[Sequence[float]]) -> tuple[Prediction, Truth]:
    edges = np.arange(len(scores) + 1.0)
    return Prediction(HeatMap(scores.astype(np.float32), edges)), Truth(edges, spans)


def test_an_hour_without_false_alarms_has_a_recall_and_a_wide_bound() -> None:
    scores = np.full(HOUR + 100, 0.2)
    scores[1000] = 0.6  # the only false alarm
    scores[2000:2010], scores[3000:3010] = 0.9, 0.4
    pair = video(scores, [[2000, 2010], [3000, 3010]])
    numbers = compute({"a": pair[0]}, {"a": pair[1]})
    assert numbers["recall@1/day"] == 0.5  # no false alarm allowed: above 0.6
    assert numbers["recall@100/day"] == 1.0  # four in an hour allowed
    assert numbers["false_alarms_per_day_bound@1/day"] == pytest.approx(72, rel=0.05)


def test_a_peak_that_does_not_last_is_no_alarm() -> None:
    edges = np.arange(0, 600.5, 0.5)
    scores = np.full(1200, 0.1)
    scores[100], scores[700:703] = 1.0, 0.5  # half a second, and 1.5 s in the span
    prediction = Prediction(HeatMap(scores.astype(np.float32), edges))
    numbers = compute({"a": prediction}, {"a": Truth(edges, [[349, 353]])})
    assert numbers["recall@1/day"] == 1.0


def test_a_span_shorter_than_the_duration_counts_as_a_whole() -> None:
    edges = np.arange(0, 600.5, 0.5)
    scores = np.full(1200, 0.1)
    scores[700] = 0.9
    prediction = Prediction(HeatMap(scores.astype(np.float32), edges))
    assert compute({"a": prediction}, {"a": Truth(edges, [[350, 350.5]])})["recall@1/day"] == 1.0


@given(st.integers(0, 2**31))
def test_a_larger_budget_never_lowers_the_recall(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pair = video(rng.random(900), [[100, 110], [400, 405], [700, 730]])
    numbers = compute({"a": pair[0]}, {"a": pair[1]}, budgets=(1, 100, 300, 1000, 1440))
    recalls = [numbers[f"recall@{budget}/day"] for budget in (1, 100, 300, 1000, 1440)]
    assert recalls == sorted(recalls)


def test_without_a_span_or_without_quiet_time_there_is_no_number() -> None:
    for spans, lacking in (([], "no span"), ([[0, 50]], "no quiet time")):
        pair = video(np.zeros(50), spans)
        with pytest.raises(DataError, match=lacking):
            compute({"a": pair[0]}, {"a": pair[1]})
    with pytest.raises(ConfigError, match="tolerance"):
        compute({}, {}, tolerance=-1)
