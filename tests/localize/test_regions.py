"""From maps to boxes, tubes and events: small worlds that can be worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherewhen import pipeline
from wherewhen.localize.regions import Regions, RegionsConfig, calibrate, components, frame_score
from wherewhen.values import Event, Features, HeatMap, Prediction


def flooded(hot: np.ndarray) -> list[set[tuple[int, int]]]:
    """Connected regions of a mask, corners included, by walking."""
    left, found = {(int(y), int(x)) for y, x in np.argwhere(hot)}, []
    while left:
        region, todo = set(), [left.pop()]
        while todo:
            y, x = todo.pop()
            region.add((y, x))
            near = {(y + a, x + b) for a in (-1, 0, 1) for b in (-1, 0, 1)} & left
            left -= near
            todo += near
        found.append(region)
    return found


@given(st.integers(0, 500), st.floats(0.3, 0.9), st.integers(1, 6))
def test_regions_are_what_a_walk_finds(seed: int, level: float, most: int) -> None:
    heat = np.random.default_rng(seed).random((5, 8)).astype(np.float32)
    boxes, peaks = components(heat, level, most)
    regions = sorted(flooded(heat >= level), key=lambda r: -max(heat[p] for p in r))[:most]
    assert len(boxes) == len(peaks) == len(regions)
    for box, peak, region in zip(boxes, peaks, regions, strict=True):
        ys, xs = zip(*region, strict=True)
        assert peak == max(heat[p] for p in region)
        np.testing.assert_allclose(box, [min(xs) / 8, min(ys) / 5, (max(xs) + 1) / 8, (max(ys) + 1) / 5])


@given(st.floats(0, 1), st.lists(st.floats(0, 1), min_size=2, max_size=20))
def test_calibration_keeps_order_and_bends_the_threshold_to_a_half(threshold: float, values: list[float]) -> None:
    rows = np.sort(np.array(values))
    bent = calibrate(rows, threshold)
    assert bent.min() >= 0 and bent.max() <= 1 and (np.diff(bent) >= 0).all()
    assert ((bent > 0.5) <= (rows > threshold - 2e-6)).all()
    if 1e-3 < threshold < 1 - 1e-3:
        assert float(calibrate(np.array([threshold]), threshold)[0]) == pytest.approx(0.5)


def test_the_frame_score_is_the_mean_of_the_top() -> None:
    heat = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert frame_score(heat, 3) == 10
    assert frame_score(heat, 1) == 11
    assert frame_score(heat, 99) == 5.5


PLAIN = RegionsConfig(smooth_seconds=0, smooth_cells=0, sharpen=0, top=1, gap_seconds=1, shortest_seconds=0.5)


def run(values: Features, step: float = 0.25, **settings: Any) -> Prediction:
    config = RegionsConfig(**{**vars(PLAIN), **settings})
    return pipeline.together(Regions(config)([HeatMap(values, np.arange(len(values) + 1) * step)]))


def world(*squares: tuple[int, int, int, int, float], steps: int = 40) -> Features:
    """Hot 2 x 2 squares ``(from, to, y, x, score)`` on a cold 6 x 8 map."""
    values = np.full((steps, 6, 8), 0.05, np.float32)
    for first, last, y, x, score in squares:
        values[first:last, y : y + 2, x : x + 2] = score
    return values


def told(events: tuple[Event, ...]) -> list[tuple[float, float, float]]:
    return [(event.start, event.end, round(event.score, 3)) for event in events]


def test_an_event_lasts_as_long_as_its_alarm() -> None:
    found = run(world((8, 16, 2, 2, 0.9)))
    assert told(found.events) == [(2.0, 4.0, 0.9)]
    np.testing.assert_allclose(found.events[0].extents[:, 2:], np.tile([2 / 8, 2 / 6, 4 / 8, 4 / 6], (8, 1)))


def test_short_pauses_are_bridged_and_long_ones_are_not() -> None:
    assert told(run(world((8, 12, 2, 2, 0.9), (15, 20, 2, 2, 0.8))).events) == [(2.0, 5.0, 0.9)]
    found = told(run(world((8, 12, 2, 2, 0.9), (16, 20, 2, 2, 0.8))).events)
    assert found == [(2.0, 3.0, 0.9), (4.0, 5.0, 0.8)]


def test_short_alarms_are_dropped() -> None:
    assert run(world((8, 9, 2, 2, 0.9))).events == ()
    assert told(run(world((8, 9, 2, 2, 0.9)), shortest_seconds=0.2).events) == [(2.0, 2.25, 0.9)]


def test_an_alarm_opens_at_a_half_and_stays_open_for_less() -> None:
    assert run(world((8, 20, 2, 2, 0.45))).events == ()
    assert told(run(world((8, 12, 2, 2, 0.6), (12, 20, 2, 2, 0.45))).events) == [(2.0, 5.0, 0.6)]


def test_two_places_at_once_are_two_events() -> None:
    found = run(world((8, 20, 0, 0, 0.9), (10, 20, 4, 5, 0.8)))
    assert told(found.events) == [(2.0, 5.0, 0.9), (2.5, 5.0, 0.8)]


def test_an_event_that_the_end_cuts_is_told_at_the_end() -> None:
    assert told(run(world((30, 40, 2, 2, 0.7))).events) == [(7.5, 10.0, 0.7)]


def test_a_tube_follows_what_moves_and_not_what_jumps() -> None:
    walk = world(*((8 + k, 9 + k, 2, k // 2, 0.9) for k in range(10)))
    found = run(walk)
    assert found.boxes is not None
    hot = found.boxes.values > 0.5
    assert len(set(found.boxes.track[hot].tolist())) == 1
    jump = run(world((8, 12, 0, 0, 0.9), (12, 16, 4, 6, 0.9)))
    assert jump.boxes is not None
    assert len(set(jump.boxes.track[jump.boxes.values > 0.5].tolist())) == 2


def test_many_regions_are_cut_to_the_best() -> None:
    found = run(world((0, 40, 0, 0, 0.9), (0, 40, 0, 3, 0.8), (0, 40, 0, 6, 0.7), (0, 40, 4, 0, 0.6)), most=2)
    assert found.boxes is not None
    assert sorted(set(found.boxes.values.round(3).tolist())) == [0.8, 0.9]
