from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherewhen.core.errors import DataError
from wherewhen.core.values import Floats, Prediction, Scores, Truth
from wherewhen.metrics import path, wsstad

FRAMES = 7


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=12))
def test_the_stretch_is_the_best_of_all(values: list[int]) -> None:
    first, end, total = path.standing_out(np.array(values, float))
    every = {(a, b): sum(values[a:b]) for a, b in combinations(range(len(values) + 1), 2)}
    assert total == every[first, end] == max(every.values())
    best = [stretch for stretch, found in every.items() if found == total]
    last = max(b for _, b in best)
    assert (first, end) == (min(a for a, b in best if b == last), last)


def rows(rng: np.random.Generator, count: int) -> Floats:
    times = np.sort(np.array([rng.choice(FRAMES + 1, 2, replace=False) for _ in range(count)]).reshape(-1, 2), 1)
    corners = rng.integers(0, 7, (count, 2)) / 12
    return np.c_[times, corners, corners + rng.integers(1, 6, (count, 2)) / 12]


def overlap(a: Floats, b: Floats) -> float:
    wide, tall = (min(a[k + 2], b[k + 2]) - max(a[k], b[k]) for k in (0, 1))
    both = max(wide, 0) * max(tall, 0)
    return float(both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both))


def brute(found: Scores, truth: Truth) -> tuple[float, float]:
    """Twin: every stretch of every path, frame by frame; S of the one that stands out most, and the best fitting."""
    there = {f for f in range(FRAMES) for r in truth.boxes if r[0] <= f < r[1]}
    middle = (found.values.min() + found.values.max()) / 2 if len(found.values) else 0.0
    told: list[tuple[float, float]] = []
    fits = []
    for number in range(len(found.values)):  # each row is a path by itself
        own = [f for f in range(FRAMES) if found.extents[number, 0] <= f < found.extents[number, 1]]

        def s(frames: list[int], box: Floats = found.extents[number, 2:]) -> float:
            shares = [
                max((overlap(box, r[2:]) for r in truth.boxes if r[0] <= f < r[1]), default=0.0) if f in frames else 0.0
                for f in sorted(there | set(frames))
            ]
            return float(np.mean(shares))

        gain = found.values[number] - middle  # the same in all frames: the whole path, or its last frame
        frames = own if gain >= 0 else own[-1:]
        told.append((gain * len(frames), s(frames)))
        fits.append(s([f for f in own if min(there) <= f <= max(there)]))
    if not told:
        return 0.0, 0.0
    most = max(gain for gain, _ in told)
    one = float(np.mean([value for gain, value in told if gain >= most - 1e-9]))
    return one, max([one, *fits])


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1))
def test_equals_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    predictions, truths, expected = {}, {}, []
    for number in range(3):
        truths[str(number)] = Truth(np.arange(FRAMES + 1.0), [[0, FRAMES]], rows(rng, 1 + number))
        found = Scores(rows(rng, 5 * (number > 0)), rng.integers(0, 3, 5 * (number > 0)) / 2)
        predictions[str(number)] = Prediction(boxes=found)
        expected.append(brute(found, truths[str(number)]))
    numbers = path.compute(predictions, truths)
    one, best = np.array(expected).T
    assert numbers["path_miou"] == pytest.approx(one.mean())
    assert numbers["path_miou_oracle"] == pytest.approx(best.mean())
    assert numbers["path_iou@0.1"] == pytest.approx(np.mean(one > 0.1))


def steps(boxes: list[list[float]], values: list[float], track: int = 0) -> Scores:
    return Scores([[f, f + 1, *box] for f, box in enumerate(boxes)], values, np.full(len(boxes), track))


def test_what_stands_out_for_long_is_told_and_its_quiet_start_is_not() -> None:
    box = [0.0, 0.0, 0.5, 0.5]
    truth = Truth(np.arange(7.0), [[2, 6]], [[2, 6, *box]])
    long = steps([box] * 6, [0.1, 0.1, 0.8, 0.8, 0.8, 0.8])
    short = steps([[0.6, 0.6, 0.9, 0.9]], [0.95], 1)
    both = Prediction(boxes=Scores.chained([long, short]))
    assert path.compute({"a": both}, {"a": truth})["path_miou"] == pytest.approx(1.0)
    assert wsstad.compute({"a": both}, {"a": truth})["s_loc_miou"] == 0.0  # the mean of a moment is higher


def test_one_of_several_movers_is_enough() -> None:
    left, right = [0.0, 0.0, 0.2, 0.2], [0.8, 0.8, 1.0, 1.0]
    truth = Truth(np.arange(5.0), [[0, 4]], [[0, 4, *left], [0, 4, *right]])
    one = Prediction(boxes=steps([left] * 4, [0.9] * 4))
    numbers = path.compute({"a": one}, {"a": truth})
    assert numbers["path_miou"] == numbers["path_miou_oracle"] == pytest.approx(1.0)
    assert wsstad.compute({"a": one}, {"a": truth})["s_loc_miou"] == pytest.approx(0.04)


def test_scores_count_by_their_order_and_distance_alone() -> None:
    rng = np.random.default_rng(3)
    truth = Truth(np.arange(FRAMES + 1.0), [[0, FRAMES]], rows(rng, 2))
    found = Scores(rows(rng, 8), rng.normal(size=8), rng.integers(0, 3, 8))
    moved = Scores(found.extents, 5 * found.values - 40, found.track)
    one, other = (path.compute({"a": Prediction(boxes=p)}, {"a": truth}) for p in (found, moved))
    assert one == pytest.approx(other)


def test_without_truth_or_anomaly_nothing_can_be_judged() -> None:
    normal = Truth(np.arange(3.0))
    nobody = Prediction(boxes=Scores(np.empty((0, 6)), np.empty(0)))
    with pytest.raises(DataError, match="no anomalous video"):
        path.compute({"a": nobody}, {"a": normal})
    with pytest.raises(DataError, match="a: an anomalous video without a ground-truth box"):
        path.compute({"a": nobody}, {"a": Truth(np.arange(3.0), [[0, 1]])})
