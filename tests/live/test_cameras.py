"""States, clock, zones and schedule of a camera."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherewhen.core.errors import ConfigError
from wherewhen.live.alerts import Change
from wherewhen.live.camera import CameraWatch
from wherewhen.live.picture_state import PictureState, State
from wherewhen.live.schedule import Period, permits
from wherewhen.live.settings import WatchConfig
from wherewhen.live.snapshots import Snapshots
from wherewhen.live.wall_clock import WallClock
from wherewhen.live.zones import Masks, check, inside

RNG = np.random.default_rng(0)
VIEW = np.kron(RNG.integers(40, 220, (12, 16, 3)), np.ones((10, 10, 1))).astype(np.uint8)  # 120 x 160

BLURRED = sum(np.roll(VIEW.astype(float), (y, x), (0, 1)) for y in range(-15, 16, 3) for x in range(-15, 16, 3)) / 121


def noisy(picture: np.ndarray, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(-3, 4, picture.shape)
    return (picture.astype(int) + noise).clip(0, 255).astype(np.uint8)


def after(pictures: list[np.ndarray]) -> State:
    state = PictureState()
    for second, picture in enumerate(pictures):
        state(float(second), picture)
    return state.state


USUAL = [noisy(VIEW, seed) for seed in range(40)]


def test_usual_pictures_are_ok() -> None:
    assert after(USUAL) == "ok"


@pytest.mark.parametrize(
    ("state", "pictures"),
    [
        ("frozen", [USUAL[-1]] * 20),
        ("dark", [noisy(VIEW // 40, seed) for seed in range(20)]),
        ("moved", [noisy(np.roll(VIEW[::-1], 37, 1), seed) for seed in range(20)]),
        ("blurred", [noisy(BLURRED, seed) for seed in range(20)]),
        ("ir_switch", [noisy(VIEW.mean(2, keepdims=True).repeat(3, 2).astype(np.uint8), 1)[:, :, :1].repeat(3, 2)] * 2),
    ],
)
def test_faults_of_pictures_have_names(state: State, pictures: list[np.ndarray]) -> None:
    assert after([*USUAL, *pictures]) == state


def test_a_fault_that_passes_is_no_state() -> None:
    assert after([*USUAL, *[noisy(VIEW // 40, seed) for seed in range(3)], *USUAL]) == "ok"


def test_alerts_come_back_after_a_switch_to_infrared() -> None:
    gray = noisy(VIEW, 3).mean(2, keepdims=True).repeat(3, 2).astype(np.uint8)
    night = [np.roll(gray, seed % 2, 0) for seed in range(60)]
    assert after([*USUAL, *night]) == "ok"


@given(st.lists(st.floats(0, 3), min_size=1, max_size=50))
def test_a_picture_is_never_later_than_it_arrived(delays: list[float]) -> None:
    clock, wall = WallClock(), 0.0
    arrivals = np.maximum.accumulate(5000.0 + np.arange(len(delays)) + np.array(delays)).tolist()
    for number, arrival in enumerate(arrivals):
        wall = clock(float(number), arrival)
        assert wall <= arrival + 1e-6
        assert clock.latency >= 0
    assert wall == pytest.approx(len(delays) - 1 + min(arrival - number for number, arrival in enumerate(arrivals)))


def test_a_jump_of_the_clock_starts_the_anchor_again() -> None:
    clock = WallClock()
    for second in range(10):
        clock(float(second), 1000.0 + second)
    assert clock(10.0, 4610.0) == pytest.approx(4610.0)
    assert clock.jumps == 1
    assert clock(0.0, 4611.0) == pytest.approx(4611.0)  # the stream began again


@given(st.floats(-2e-4, 2e-4), st.integers(0, 9))
def test_the_clock_of_a_camera_may_run_too_fast_or_too_slow(drift: float, seed: int) -> None:
    delays = np.random.default_rng(seed).uniform(0, 0.3, 720)
    clock = WallClock()
    for number, delay in enumerate(delays):  # four hours, a picture in 20 seconds
        true = 5000.0 + 20.0 * number
        wall = clock(20.0 * number * (1 + drift), true + delay)
    assert abs(wall - true) < 0.3 + 600 * 2e-4
    assert clock.jumps == 0


def test_pictures_from_before_the_clock_was_put_back_are_let_go() -> None:
    kept = Snapshots()
    for moment in (*range(100, 140), *range(20, 50)):
        kept.add(float(moment), VIEW)
    assert len(kept._pictures) <= 31


def test_what_lasts_begins_again_after_pictures_that_are_missing() -> None:
    state = PictureState()
    for moment in (*range(9), *range(100, 105)):
        assert state(float(moment), VIEW) == "ok"  # frozen only after ten seconds that were seen
    for moment in range(105, 112):
        state(float(moment), VIEW)
    assert state.state == "frozen"


@given(st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_a_point_is_in_a_triangle_by_its_sides(x: float, y: float) -> None:
    if abs(x + y - 1) > 1e-6:
        assert inside(np.array([[x, y]]), ((0, 0), (1, 0), (0, 1)))[0] == (x + y < 1)


def test_masks_are_painted_and_nothing_else() -> None:
    painted = Masks([((0, 0), (0.5, 0), (0.5, 1), (0, 1))])(VIEW)
    assert (painted[:, :80] == 128).all()
    assert (painted[:, 80:] == VIEW[:, 80:]).all()
    assert Masks([])(VIEW) is VIEW


def test_a_schedule_goes_past_midnight() -> None:
    night = (Period.of("mon-fri 22:00-06:00"),)
    moments = {"2026-11-27 23:00": True, "2026-11-28 05:59": True, "2026-11-28 23:00": False, "2026-11-30 06:00": False}
    for text, allowed in moments.items():  # the 27th is a Friday
        assert permits(night, time.mktime(time.strptime(text, "%Y-%m-%d %H:%M"))) is allowed
    assert permits((), 0.0)


@pytest.mark.parametrize("text", ["8-9", "25:00-26:00", "xyz 10:00-11:00", "10:00-10:00", "10:60-11:00"])
def test_other_schedules_are_errors(text: str) -> None:
    with pytest.raises(ConfigError, match="schedule"):
        Period.of(text)


def test_a_zone_is_a_polygon_in_the_picture() -> None:
    for polygon in ([[0, 0], [1, 1]], [[0, 0], [1, 0], [1, 7]]):
        with pytest.raises(ConfigError, match="three points"):
            check("zones.gate", polygon)


@given(st.floats(-40, 40), st.booleans())
def test_times_follow_the_clock_between_alerts_or_in_a_jump(off: float, is_open: bool) -> None:
    camera = WatchConfig({"gate": {"url": "0", "model": "any"}}).of_cameras["gate"]
    watch = CameraWatch("gate", camera, SimpleNamespace(alarm=0.5), Path("nowhere"), [], [])  # type: ignore[arg-type]
    told: list[Change] = []
    watch._tell = told.extend  # type: ignore[method-assign, assignment]
    if is_open:
        assert not list(watch.alerts(1000.0, 1002.0, 0.4, None))
        assert [change.kind for change in watch.alerts(1002.0, 1004.0, 0.9, None)] == ["new"]
    begin = watch._follow(1000.0, 1000.0 + off, 1004.0)
    follows = abs(off) > (20 if is_open else 0.25)
    assert begin == (1000.0 + off if follows else 1000.0)
    assert [change.kind for change in told] == ["end"] * (follows and is_open)
