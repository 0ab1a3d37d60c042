"""Thresholds for a number of alarms a day."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherewhen.core.errors import ConfigError
from wherewhen.inference.normal_time import NormalTime

scores = st.lists(st.floats(0, 0.99), min_size=1, max_size=50)


@given(scores, st.floats(0.1, 48), st.floats(0.1, 500))
def test_a_level_is_reached_no_more_often_than_wished(maxima: list[float], hours: float, per_day: float) -> None:
    time = NormalTime(np.array(maxima), hours)
    level = time.level(per_day)
    assert 0 <= level <= 1
    assert time.count(level) <= per_day * hours / 24 + 1e-6
    assert time.level(2 * per_day) <= level
    if level > 0 and len(set(maxima)) == len(maxima):
        assert time.count(level) == int(per_day * hours / 24 + 1e-9), "no lower score keeps the rate"


def test_short_time_says_what_it_can_not_measure() -> None:
    time = NormalTime(np.array([0.1, 0.2]), 0.5)
    told = time.caution(1) or ""
    assert "0.5 hours" in told and "one alarm is 48 a day" in told and "up to 144 a day (95 % confidence)" in told
    assert time.caution(48) is None and time.level(1) > 0.2


@pytest.mark.parametrize("wrong", [0, -1, float("nan"), float("inf"), True, "two"])
def test_a_rate_is_a_number_above_0(wrong: object) -> None:
    with pytest.raises(ConfigError, match="alarms per day: expected a number above 0"):
        NormalTime(np.array([0.1]), 1.0).level(wrong)  # type: ignore[arg-type]


def test_the_bound_of_a_chosen_level_holds_in_95_of_100_draws() -> None:
    """Also where the level is chosen by the same maxima, which are compared with the true rate."""
    rng, hours, blocks = np.random.default_rng(0), 10.0, 3600
    for per_day in (1.0, 12.0, 240.0):
        held = []
        for _ in range(400):
            time = NormalTime(rng.random(blocks) * 0.9, hours)
            level = time.level(per_day)
            true = max(0.0, 1 - level / 0.9) * blocks * 24 / hours
            held.append(true <= time.bound(level))
        assert 0.92 <= np.mean(held) <= 1.0, per_day
    assert NormalTime(np.array([0.1]), 24.0).bound(0.5) == pytest.approx(2.9957, abs=1e-3), "the rule of three"
    assert time.bound(0.5, 0.99) > time.bound(0.5, 0.9) > time.count(0.5) * 24 / hours
