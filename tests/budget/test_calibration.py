"""Promises of the budget on simulated cameras, whose true rates are known."""

from __future__ import annotations

import numpy as np
import pytest

from wherewhen.budget.blocks import BLOCK, DAY, Blocks
from wherewhen.budget.bounds import conformal
from wherewhen.budget.calibration import Calibration, calibrate
from wherewhen.core.errors import ConfigError, DataError

CAMERAS = 1000
A_DAY = int(DAY / BLOCK)


def blocks_from(peaks: np.ndarray, durations: tuple[float, ...] = (1.0,)) -> Blocks:
    """Blocks without a gap."""
    rows = peaks.reshape(len(peaks), -1)
    return Blocks(np.arange(len(rows)) * BLOCK, np.full(len(rows), BLOCK), rows, durations)


def kept(levels: list[float], per_day: float) -> float:
    """Share of cameras of uniform peaks whose true number of blocks in alarm a day is within the budget."""
    return float(np.mean([A_DAY * (1 - min(level, 1.0)) <= per_day for level in levels]))


@pytest.mark.parametrize(("per_day", "days"), [(1, 4), (3, 3), (10, 1)])
def test_the_bound_holds_for_95_of_100_cameras(per_day: float, days: int) -> None:
    rng = np.random.default_rng(0)
    chosen = [calibrate(blocks_from(rng.random(days * A_DAY)), per_day) for _ in range(CAMERAS)]
    assert np.mean([calibration.method == "bound" for calibration in chosen]) > 0.94
    share = kept([calibration.threshold for calibration in chosen], per_day)
    assert share >= 0.95
    assert all(calibration.upper <= per_day for calibration in chosen if calibration.method == "bound")


def test_the_bound_is_not_far_too_careful() -> None:
    rng = np.random.default_rng(1)
    levels = [calibrate(blocks_from(rng.random(14 * A_DAY)), 3).threshold for _ in range(200)]
    assert np.mean([A_DAY * (1 - level) for level in levels]) > 3 * 0.5


def test_several_durations_share_the_error() -> None:
    """Durations with independent peaks, of which the one with the most confirmed events is taken, keep the bound."""
    rng, per_day = np.random.default_rng(2), 2.0
    durations = (0.5, 1.0, 2.0)
    chosen = []
    for _ in range(CAMERAS):
        peaks, confirmed = rng.random((3 * A_DAY, 3)), rng.uniform(0.99, 1, (20, 3))
        chosen.append(calibrate(blocks_from(peaks, durations), per_day, confirmed=confirmed).threshold)
    assert kept(chosen, per_day) >= 0.95


def test_clustered_alarms_count_as_less_footage() -> None:
    """Days with up to several times the usual number of alarms: the bound without clustering is broken, ours holds."""
    rng, per_day, days = np.random.default_rng(3), 3.0, 30
    ours, plain = [], []
    for _ in range(CAMERAS // 4):
        level_of_day = rng.gamma(1.0, 1.0, days)  # mean 1
        # peaks whose chance to exceed a level is proportional to the day's: 1 - p / level of the day
        peaks = np.concatenate([1 - rng.random(A_DAY) / level for level in level_of_day])
        blocks = blocks_from(peaks)
        calibration = calibrate(blocks, per_day)
        ours.append(calibration.threshold)
        falling = np.sort(peaks)[::-1]
        plain.append(float(falling[74]))  # the largest count for 30 days at 3 a day
        assert calibration.clustering is not None
    assert kept(ours, per_day) >= 0.95
    assert kept(plain, per_day) < 0.9


def test_the_conformal_number_bounds_the_mean_of_the_next_day() -> None:
    rng = np.random.default_rng(4)
    bounds, seen = [], []
    for _ in range(CAMERAS):
        rate = rng.gamma(2.0, 0.5)
        daily = rng.poisson(rate, 15)
        bounds.append(conformal(daily[:-1], 5) or 0.0)
        seen.append(min(daily[-1], 5))
    assert np.mean(seen) <= np.mean(bounds)


def test_too_little_footage_is_extrapolated_without_a_guarantee() -> None:
    rng = np.random.default_rng(5)
    short = [calibrate(blocks_from(rng.beta(2, 5, 12 * 60)), 1.0) for _ in range(100)]
    assert {calibration.method for calibration in short} == {"extrapolated"}
    assert short[0].missing_hours == pytest.approx(3 * 24 - 12, abs=0.2)
    assert "without a guarantee" in short[0].lines()[0]
    truth = rng.beta(2, 5, 4_000_000)
    rates = [A_DAY * float((truth >= calibration.threshold).mean()) for calibration in short]
    assert 0.2 < np.median(rates) < 5


def test_confirmed_events_choose_the_duration() -> None:
    rng = np.random.default_rng(6)
    peaks = np.stack([rng.random(4 * A_DAY), rng.random(4 * A_DAY) * 0.5], 1)  # long ones are quiet
    confirmed = np.array([[0.9, 0.8], [0.95, 0.7], [0.9, 0.6]])
    chosen = calibrate(blocks_from(peaks, (1.0, 4.0)), 2.0, confirmed=confirmed)
    assert (chosen.duration, chosen.recall) == (4.0, 1.0)


def test_what_can_not_be_calibrated_is_an_error() -> None:
    with pytest.raises(ConfigError, match="above 0"):
        calibrate(blocks_from(np.zeros(100)), 0)
    with pytest.raises(DataError, match="20 minutes"):
        calibrate(blocks_from(np.zeros(10)), 1)


def test_scores_that_never_move_give_no_alarm() -> None:
    calibration = calibrate(blocks_from(np.full(5 * A_DAY, 0.3)), 1.0)
    assert isinstance(calibration, Calibration)
    assert calibration.count == 0
