from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherewhen.video.clock import Clock, Thinner

MS = Fraction(1, 1000)

TICK, STEP = Fraction(1, 90_000), Fraction(1, 25)


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


@given(
    st.integers(2**20, 2**33),
    st.integers(0, 2**33),
    st.lists(st.integers(1, 9 * 90_000), min_size=1, max_size=60),
)
def test_stamps_that_run_over_go_on_as_if_they_had_not(wrap: int, first: int, steps: list[int]) -> None:
    """Stamps of 90 kHz that run over after ``wrap`` ticks, with pauses below the leap, wherever that happens."""
    wrap = max(wrap, 40 * 90_000)
    stamps = np.cumsum([first, *steps]).tolist()
    for live in (False, True):
        whole = Clock(TICK, STEP, live=live)
        over = Clock(TICK, STEP, wrap=wrap, live=live)
        assert [over(stamp % wrap) for stamp in stamps] == pytest.approx([whole(stamp) for stamp in stamps])


@given(
    st.lists(st.integers(1800, 7200), min_size=2, max_size=30),
    st.integers(0, 29),
    st.one_of(st.integers(11 * 90_000, 10**12), st.integers(-(10**12), -3 * 90_000)),
    st.floats(0, 30),
)
def test_a_jump_of_a_live_streams_clock_costs_no_more_than_was_waited(
    steps: list[int], at: int, jump: int, waited: float
) -> None:
    """However far the clock of a camera jumps, times go on by what was really waited, and later steps stay right."""
    at = 1 + at % (len(steps) - 1) if len(steps) > 1 else 1
    stamps = np.cumsum([0, *steps]).tolist()
    jumped = [stamp + (jump if k >= at else 0) for k, stamp in enumerate(stamps)]
    clock = Clock(TICK, STEP, live=True)
    times = [clock(stamp, waited if k == at else 0.0) for k, stamp in enumerate(jumped)]
    assert times[at] - times[at - 1] == pytest.approx(max(float(STEP), waited))
    rest = np.diff(times)[at:]
    assert rest == pytest.approx(np.array(steps[at:]) / 90_000, abs=float(TICK))  # a count begins at a whole tick
