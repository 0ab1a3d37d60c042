"""The guarantee of the tracker for any sequence, and the tail that it counts in."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherewhen.budget.blocks import BLOCK, DAY
from wherewhen.budget.tail import MOST, Tail
from wherewhen.budget.tracker import Tracker


@given(
    st.lists(st.tuples(st.floats(0, MOST), st.booleans()), max_size=400),
    st.floats(0.1, 50),
    st.floats(0.1, 3),
    st.floats(0, 5),
)
def test_false_alarms_stay_below_the_limit_for_any_sequence(
    blocks: list[tuple[float, bool]], per_day: float, step: float, floor: float
) -> None:
    tracker = Tracker(floor, per_day, step)
    limit, false = tracker.most(len(blocks) * BLOCK / DAY), 0
    for rarity, confirmed in blocks:
        alarm = rarity >= tracker.level and not confirmed
        false += alarm
        tracker(alarm)
        assert tracker.level >= floor
    assert false <= limit + 1e-9


def test_cameras_that_always_look_rare_stay_below_the_limit() -> None:
    rng = np.random.default_rng(0)
    for _ in range(10):
        tracker, false = Tracker(3.2, 1.0), 0
        limit = tracker.most(10)
        for rarity in rng.exponential(rng.uniform(0.4, 3), 10 * 1440).clip(0, MOST):
            alarm = rarity >= tracker.level
            false += alarm
            tracker(alarm)
        assert false <= limit


def test_a_threshold_never_falls_below_the_calibrated_one() -> None:
    tracker = Tracker(3.0, 5.0)
    for _ in range(5000):
        tracker(False)
    assert tracker.level == 3.0


@pytest.mark.parametrize("name", ["beta", "uniform", "exponential"])
def test_the_tail_knows_how_rare_a_peak_is(name: str) -> None:
    rng = np.random.default_rng(1)
    draw = {
        "beta": lambda n: rng.beta(2, 5, n),
        "uniform": lambda n: rng.random(n),
        "exponential": lambda n: 1 - np.exp(-rng.exponential(1, n)),
    }[name]
    tail, truth = Tail.of(draw(3000)), np.sort(draw(2_000_000))
    for share in (0.5, 0.1, 0.01, 0.001, 0.0001):
        score = float(truth[int(len(truth) * (1 - share))])
        assert tail.rarity(score) == pytest.approx(-np.log10(share), abs=0.4 if share > 1e-4 else 1.0)


@given(st.lists(st.floats(0, 1), min_size=20, max_size=80))
def test_rarity_never_falls_with_the_score(peaks: list[float]) -> None:
    tail = Tail.of(peaks)
    rarities = [tail.rarity(score) for score in np.linspace(0, 1, 50)]
    assert all(a <= b + 1e-9 for a, b in pairwise(rarities))
    assert max(rarities) <= MOST


def test_the_level_of_a_rate_has_its_rarity() -> None:
    tail = Tail.of(np.random.default_rng(2).beta(2, 5, 3000))
    for per_day in (1, 5, 50):
        assert tail.rarity(tail.level(per_day, BLOCK)) == pytest.approx(-np.log10(per_day / 1440), abs=1e-6)
