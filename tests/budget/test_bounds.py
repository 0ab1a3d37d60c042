"""Limits against their definitions."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherewhen.budget.bounds import allowed, conformal, days_for, upper_limit


@given(st.integers(0, 200), st.floats(0.5, 0.999))
def test_the_upper_limit_is_the_mean_for_which_so_few_are_as_likely_as_the_error(count: int, confidence: float) -> None:
    mean = upper_limit(count, confidence)
    few = sum(math.exp(-mean + k * math.log(mean) - math.lgamma(k + 1)) for k in range(count + 1))
    assert few == pytest.approx(1 - confidence, rel=1e-6)


@given(st.floats(0.1, 300), st.sampled_from([0.9, 0.95, 0.99]))
def test_the_allowed_count_is_the_largest_within_the_limit(limit: float, confidence: float) -> None:
    count = allowed(limit, confidence)
    if count is None:
        assert upper_limit(0, confidence) > limit
    else:
        assert upper_limit(count, confidence) <= limit < upper_limit(count + 1, confidence)


@pytest.mark.parametrize(
    ("per_day", "counts"), [(3, (0, 3, 13, 31, 74)), (1, (None, 0, 2, 7, 20)), (0.2, (None,) * 4 + (1,))]
)
def test_what_days_of_footage_allow(per_day: float, counts: tuple[int | None, ...]) -> None:
    assert tuple(allowed(per_day * days) for days in (1, 3, 7, 14, 30)) == counts


@given(st.lists(st.integers(0, 20), min_size=1, max_size=30), st.integers(0, 10))
def test_the_conformal_bound_counts_one_more_day_at_the_limit(daily: list[int], cap: int) -> None:
    capped = [min(count, cap) for count in daily]
    assert conformal(daily, cap) == pytest.approx((sum(capped) + cap) / (len(daily) + 1))


def test_days_for_a_promise_are_those_of_zero_alarms() -> None:
    assert allowed(1 * days_for(1) + 1e-9) == 0
    assert allowed(1 * days_for(1) - 1e-6) is None
