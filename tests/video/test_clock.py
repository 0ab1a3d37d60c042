from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherewhen.video.clock import Clock, Thinner

MS = Fraction(1, 1000)


def times(stamps: list[int | None], tick: Fraction = MS, step: Fraction = Fraction(1, 25)) -> list[float]:
    clock = Clock(tick, step)
    return [clock(stamp) for stamp in stamps]


@given(st.lists(st.integers(-(10**12), 10**12), min_size=1, unique=True))
def test_rising_stamps_are_exact(stamps: list[int]) -> None:
    stamps.sort()
    assert times(list(stamps), Fraction(1, 90000)) == [float(Fraction(s - stamps[0], 90000)) for s in stamps]


@given(st.lists(st.one_of(st.none(), st.integers(0, 5000)), min_size=1, max_size=60))
def test_time_always_rises(stamps: list[int | None]) -> None:
    starts = times(stamps)
    assert starts[0] == 0 and all(a < b for a, b in pairwise(starts))


def test_missing_stamps_step_on() -> None:
    assert times([None] * 4) == pytest.approx([0, 0.04, 0.08, 0.12])
    assert times([0, None, 80, 120]) == pytest.approx([0, 0.04, 0.08, 0.12])
    assert times([None, 500, 540]) == pytest.approx([0, 0.04, 0.08])


def test_a_repeated_stamp_catches_up() -> None:
    assert times([0, 40, 40, 80, 120, 160]) == pytest.approx([0, 0.04, 0.08, 0.10, 0.12, 0.16])
    assert times([7] * 4) == pytest.approx([0, 0.04, 0.08, 0.12])


def test_a_small_step_back_waits_for_the_stamps() -> None:
    starts = times([0, 40, 80, 40, 120, 160, 200, 240])
    assert starts[:4] == pytest.approx([0, 0.04, 0.08, 0.12]) and starts[-1] == pytest.approx(0.24)


def test_a_new_count_goes_on_where_the_old_one_ended() -> None:
    assert times([90_000, 90_040, 0, 40, 80]) == pytest.approx([0, 0.04, 0.08, 0.12, 0.16])


def test_a_gap_stays() -> None:
    assert times([0, 40, 5000, 5040]) == [0, 0.04, 5.0, 5.04]


def kept(starts: list[float], rate: float, step: float, tick: float = 0.0) -> list[float]:
    keeps = Thinner(rate, step, tick)
    return [start for start in starts if keeps(start)]


@pytest.mark.parametrize(
    ("source", "rate", "every"), [(25, 12.5, 2), (30, 10, 3), (60, 6, 10), (30, 30, 1), (10, 25, 1)]
)
def test_even_division_keeps_every_nth(source: int, rate: float, every: int) -> None:
    starts = [k / source for k in range(200)]
    for tick in (0.0, 1e-5, 0.001, 1 / source):
        assert kept(starts, rate, 1 / source, tick) == starts[::every]


def test_a_slower_source_in_whole_milliseconds_loses_nothing() -> None:
    starts = [round(k * 1001 / 30) / 1000 for k in range(3000)]
    assert kept(starts, 30, 1001 / 30000, 0.001) == starts


@given(
    st.lists(st.floats(0.001, 0.5), min_size=2, max_size=200),
    st.floats(1, 40),
    st.integers(0, 150),
    st.floats(0.01, 0.1),
)
def test_never_more_than_the_rate_and_the_same_wherever_reading_began(
    gaps: list[float], rate: float, cut: int, step: float
) -> None:
    starts = [sum(gaps[:k]) for k in range(len(gaps))]
    left = kept(starts, rate, step)
    slots = {int((start + 0.4 * step) * rate + 1e-9) for start in starts}
    assert len(left) <= (starts[-1] + step) * rate + 2 and len(left) >= len(slots)
    later = starts[cut:]
    assert kept(later, rate, step)[1:] == [s for s in left if later and s > later[0]]
