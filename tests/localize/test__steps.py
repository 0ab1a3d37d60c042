"""Streams of maps, each against the whole thing computed at once."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherewhen.core.values import HeatMap
from wherewhen.localize._steps import Step, merge, reached, smooth, weighted

QUICK = settings(max_examples=40, deadline=None)


def pieces(borders: list[tuple[float, float]], seed: int = 0) -> list[HeatMap]:
    rng = np.random.default_rng(seed)
    return [HeatMap(rng.random((1, 2, 2)), np.array(span)) for span in borders]


@QUICK
@given(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 12)), min_size=1, max_size=12))
def test_where_maps_overlap_their_mean_holds(plan: list[tuple[int, int]]) -> None:
    """On a grid of tenths: every tenth has the mean of all maps over it, or the map that was there before.

    A map that touches the one before it is final: later ones that overlap it count from its end on.
    """
    start, borders = 0, []
    for gap, length in plan:
        borders.append((start / 10, (start + length) / 10))
        start += gap
    maps = pieces(borders)
    found = list(merge(iter(maps)))
    assert found[0].start == 0 and found[-1].end == max(end for _, end in borders)
    assert all(one.end == other.start for one, other in pairwise(found))
    since, final = [0.0] * min(2, len(maps)), 0.0
    for before, one in pairwise(borders):
        final = max(final, one[1]) if one[0] >= before[1] else final
        since.append(final)
    last = None
    for tenth in range(round(found[-1].end * 10)):
        middle = tenth / 10 + 0.05
        cover = [m.values[0] for m, final in zip(maps, since, strict=False)
                 if max(m.edges[0], final) < middle < m.edges[1]]  # fmt: skip
        last = np.mean(cover, 0) if cover else last
        (step,) = [s for s in found if s.start < middle < s.end]
        assert last is not None
        np.testing.assert_allclose(step.map, last, rtol=1e-6)


@pytest.mark.parametrize("tail", [0, 3])
def test_maps_that_touch_do_not_wait_for_the_next_one(tail: int) -> None:
    """Clips of eight pictures in two steps each; the last clip begins earlier to be complete."""
    starts = [0.0, 0.8, 1.6, 2.4, 3.2 - tail / 10]
    edges = [np.array([start, start + 0.4, start + 0.8]) for start in starts]
    maps, arrived = [HeatMap(np.full((2, 1, 1), k), at) for k, at in enumerate(edges)], [0]

    def arriving() -> Iterator[HeatMap]:
        for number, one in enumerate(maps):
            arrived[0] = number
            yield one

    steps = [(step.start, step.end, float(step.map[0, 0]), arrived[0]) for step in merge(arriving())]
    whole = [(start, start + 0.4, float(k), k) for k in range(4) for start in (0.8 * k, 0.8 * k + 0.4)]
    whole[1] = (0.4, 0.8, 0.0, 1)  # whether maps touch is known with the second one
    end = 4.0 - tail / 10
    rest = [(3.2, end - 0.4, 4.0, 4), (end - 0.4, end, 4.0, 4)]
    assert steps == [pytest.approx(row) for row in [*whole, *rest]]


@QUICK
@given(st.lists(st.floats(0.05, 1.5), min_size=1, max_size=25), st.floats(0.05, 1.2), st.integers(0, 99))
def test_smoothing_is_a_gaussian_mean_cut_at_three_sigma(lengths: list[float], sigma: float, seed: int) -> None:
    edges = np.concatenate([[0], np.cumsum(lengths)])
    maps = np.random.default_rng(seed).random((len(lengths), 2, 3)).astype(np.float32)
    steps = [Step(a, b, m) for a, b, m in zip(edges, edges[1:], maps, strict=False)]
    given_until, waited = [0.0], []

    def arriving() -> Iterator[Step]:
        for step in steps:
            given_until[0] = step.end
            yield step

    found = []
    for step in smooth(arriving(), sigma):
        found.append(step)
        waited.append(given_until[0])
    middles = (edges[1:] + edges[:-1]) / 2
    for middle, until in zip(middles, waited, strict=True):  # not one step longer than its future needs
        assert until == next((end for end in edges[1:] if end >= middle + 3 * sigma), edges[-1])
    for step, middle, before in zip(found, middles, steps, strict=True):
        away = np.abs(middles - middle)
        weights = np.where(away <= 3 * sigma, np.exp(-0.5 * (away / sigma) ** 2) * np.diff(edges), 0)
        assert (step.start, step.end) == (before.start, before.end)
        np.testing.assert_allclose(step.map, np.tensordot(weights / weights.sum(), maps, 1), rtol=1e-4, atol=1e-6)


@QUICK
@given(st.integers(1, 9), st.integers(1, 9), st.floats(0, 1.2), st.integers(0, 99))
def test_what_is_reached_is_the_highest_nearby(height: int, width: int, share: float, seed: int) -> None:
    heat = np.random.default_rng(seed).random((height, width)).astype(np.float32)
    up, left = round(share * height), round(share * width)
    found = reached(heat, share)
    for y in range(height):
        for x in range(width):
            assert found[y, x] == heat[max(0, y - up) : y + up + 1, max(0, x - left) : x + left + 1].max()


def test_a_mover_outlasts_a_flash_as_bright_when_time_is_smoothed() -> None:
    """Over ten steps a spot crosses the picture; at one moment another one flashes."""
    maps = np.zeros((11, 3, 20), np.float32)
    maps[np.arange(11), 0, 2 + np.arange(11)] = 1
    maps[5, 2, 15] = 1
    steps = [Step(0.1 * k, 0.1 * (k + 1), m) for k, m in enumerate(maps)]
    still, moved = (list(smooth(iter(steps), 0.3, speed))[5].map for speed in (0.0, 0.5))
    assert still[0, 7] == pytest.approx(still[2, 15])
    assert moved[0, 7] > 3 * moved[2, 15]
    assert moved[0].argmax() == 7


def test_without_sigma_steps_pass_as_they_are() -> None:
    steps = [Step(0, 1, np.zeros((1, 1), np.float32)), Step(1, 2, np.ones((1, 1), np.float32))]
    assert list(smooth(iter(steps), 0)) == steps


@pytest.mark.parametrize("sigma", [0.2, 1.0])
def test_a_step_waits_for_three_sigma_only(sigma: float) -> None:
    eaten = 0.0

    def eating():  # type: ignore[no-untyped-def]
        nonlocal eaten
        for k in range(80):
            eaten = k / 4 + 0.25
            yield Step(k / 4, k / 4 + 0.25, np.zeros((1, 1), np.float32))

    waits = [eaten - step.end for step in smooth(eating(), sigma)]
    assert max(waits) <= 3 * sigma + 0.25 + 1e-9


@QUICK
@given(st.lists(st.floats(0.05, 1.5), min_size=1, max_size=25), st.floats(0.05, 1.2), st.integers(0, 99))
def test_motion_is_smoothed_like_the_map_but_stays_at_its_place(lengths: list[float], sigma: float, seed: int) -> None:
    edges = np.concatenate([[0], np.cumsum(lengths)])
    rng = np.random.default_rng(seed)
    maps, motions = (rng.random((len(lengths), *size)).astype(np.float32) for size in ((2, 3), (4, 6)))
    steps = [Step(a, b, m, d) for a, b, m, d in zip(edges, edges[1:], maps, motions, strict=False)]
    fixed = [Step(a, b, d) for a, b, d in zip(edges, edges[1:], motions, strict=False)]
    smoothed = smooth(iter(steps), sigma, 0.3, motion=True)
    for step, expected in zip(smoothed, smooth(iter(fixed), sigma), strict=True):
        assert step.motion is not None
        np.testing.assert_allclose(step.motion, expected.map, rtol=1e-4, atol=1e-6)


def test_motion_is_smoothed_only_where_it_is_measured_and_requested() -> None:
    detail = np.ones((2, 2), np.float32)
    steps = [Step(0, 1, detail), Step(1, 2, detail, detail)]
    assert [step.motion is not None for step in smooth(iter(steps), 1.0, motion=True)] == [False, True]
    assert all(step.motion is None for step in smooth(iter(steps), 1.0))
    assert [step.motion is not None for step in smooth(iter(steps), 0.0, motion=True)] == [False, True]


@QUICK
@given(st.floats(0.1, 3), st.integers(0, 99))
def test_a_weighted_map_falls_with_a_power_of_the_motion(power: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    heat, motion = (rng.random((6, 8)).astype(np.float32) for _ in range(2))
    once, twice = weighted(heat, motion, power), weighted(heat, motion, 2 * power)
    place = np.unravel_index((once / heat).argmax(), heat.shape)
    assert once[place] == pytest.approx(heat[place], rel=1e-4), "where most moves the map keeps its value"
    assert (once <= heat * (1 + 1e-5)).all()
    np.testing.assert_allclose(twice / heat, (once / heat) ** 2, rtol=1e-3)
