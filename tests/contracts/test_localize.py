"""What every localizer keeps to: a file is a stream that ends, however it is cut into pieces."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherewhen.core import registry
from wherewhen.core.config import build
from wherewhen.core.errors import ConfigError
from wherewhen.core.store import plain
from wherewhen.core.values import Event, HeatMap, Prediction
from wherewhen.inference import scoring

pytestmark = pytest.mark.parametrize("name", registry.names("localize"))
QUICK = settings(max_examples=15, deadline=None)


def made(name: str, threshold: float = 0.5) -> Any:
    cls = registry.load("localize", name)
    return cls(build(cls.Config, None, name), threshold)


def world(seed: int, steps: int = 60, step: float = 0.25) -> HeatMap:
    """Quiet maps with a few hot places that come, move and go; steps of uneven length."""
    rng = np.random.default_rng(seed)
    values = rng.random((steps, 6, 8), np.float32) * 0.3
    for _ in range(3):
        start, y, x = int(rng.integers(0, steps - 8)), int(rng.integers(0, 5)), int(rng.integers(0, 6))
        for k in range(int(rng.integers(4, 16))):
            values[min(start + k, steps - 1), y : y + 2, min(x + k // 6, 7) : x + 2 + k // 6] = 0.9
    edges = np.concatenate([[0], np.cumsum(step * rng.uniform(0.8, 1.2, steps))])
    return HeatMap(values, edges)


def piece(whole: HeatMap, first: int, last: int) -> HeatMap:
    return HeatMap(whole.values[first:last], whole.edges[first : last + 1])


def same(one: Prediction, other: Prediction) -> None:
    assert one.frames and other.frames and one.heat and other.heat and one.boxes and other.boxes
    for a, b in ((one.frames, other.frames), (one.heat, other.heat)):
        np.testing.assert_array_equal(a.edges, b.edges)
        np.testing.assert_array_equal(a.values, b.values)
    np.testing.assert_array_equal(one.boxes.extents, other.boxes.extents)
    np.testing.assert_array_equal(one.boxes.values, other.boxes.values)
    np.testing.assert_array_equal(one.boxes.track, other.boxes.track)
    assert list(map(told, one.events)) == list(map(told, other.events))


def told(event: Event) -> tuple[Any, ...]:
    return (event.extents.tolist(), event.score, event.category)


@QUICK
@given(seed=st.integers(0, 1000), cuts=st.sets(st.integers(1, 59)), data=st.data())
def test_pieces_change_nothing(name: str, seed: int, cuts: set[int], data: st.DataObject) -> None:
    whole = world(seed)
    offline = scoring.join_predictions(made(name)([whole]))
    borders = [0, *sorted(cuts), 60]
    same(scoring.join_predictions(made(name)(piece(whole, a, b) for a, b in pairwise(borders))), offline)
    same(scoring.join_predictions(made(name)(piece(whole, k, k + 1) for k in range(60))), offline)
    back = [max(0, a - data.draw(st.integers(0, 6))) for a in borders[:-1]]
    starts = list(np.maximum.accumulate(back))
    overlapping = (piece(whole, a, b) for a, b in zip(starts, borders[1:], strict=True))
    same(scoring.join_predictions(made(name)(overlapping)), offline)


@QUICK
@given(seed=st.integers(0, 1000))
def test_answers_come_soon(name: str, seed: int) -> None:
    """A step's answer waits for little of the future, and events for no more than the pause that ends an alarm."""
    whole, eaten, alarmed = world(seed), 0.0, 0.0

    def eating() -> Iterator[HeatMap]:
        nonlocal eaten
        for k in range(60):
            eaten = float(whole.edges[k + 1])
            yield piece(whole, k, k + 1)

    waits, pauses = [], []
    for answer in made(name)(eating()):
        if answer.frames is not None and eaten < whole.edges[-1]:
            waits.append(eaten - float(answer.frames.edges[-1]))
            pauses += [eaten - alarmed] * len(answer.events)
            if answer.frames.values.max() >= 0.4:
                alarmed = float(answer.frames.edges[-1])
    assert waits and max(waits) < 3
    assert max(pauses, default=0) < 6


@QUICK
@given(seed=st.integers(0, 1000), threshold=st.floats(0.05, 0.95))
def test_what_comes_out_is_whole(name: str, seed: int, threshold: float) -> None:
    whole = world(seed)
    found = scoring.join_predictions(made(name, threshold)([whole]))
    assert found.frames and found.heat and found.boxes
    assert found.frames.edges[0] == 0 and found.frames.edges[-1] == whole.edges[-1]
    assert found.heat.values.shape[1:] == (6, 8)
    for values in (found.frames.values, found.heat.values, found.boxes.values):
        assert values.min() >= 0 and values.max() <= 1
    for event in found.events:
        assert 0 <= event.start < event.end <= whole.edges[-1]
        assert 0.5 <= event.score <= 1
        assert (np.diff(event.extents[:, 0]) > 0).all()
        inside = (found.frames.edges[:-1] < event.end) & (found.frames.edges[1:] > event.start)
        assert found.frames.values[inside].max() >= event.score


def test_raw_scores_are_those_that_are_calibrated(name: str) -> None:
    """The order of raw scores is the order of frame scores, and the threshold becomes 0.5."""
    whole = world(4)
    raw = np.array([score for _, score in made(name).raw([whole])])
    for threshold in (0.3, 0.5, 0.8):
        frames = scoring.join_predictions(made(name, threshold)([whole])).frames
        assert frames is not None
        values = frames.values[:, 0, 0]
        np.testing.assert_array_equal(values >= 0.5, raw.astype(np.float32) >= np.float32(threshold))
        order = np.argsort(raw, kind="stable")
        assert (np.diff(values[order]) >= -1e-6).all()


def test_calm_videos_have_no_event_and_hot_ones_have(name: str) -> None:
    calm = HeatMap(np.full((40, 6, 8), 0.1, np.float32), np.arange(41) / 4)
    assert scoring.join_predictions(made(name)([calm])).events == ()
    hot = np.array(calm.values)
    hot[12:28, 2:4, 2:4] = 0.95
    (event,) = scoring.join_predictions(made(name)([HeatMap(hot, calm.edges)])).events
    assert abs(event.start - 3) <= 1 and abs(event.end - 7) <= 1
    middle = event.extents[len(event.extents) // 2]
    np.testing.assert_allclose(middle[2:], [2 / 8, 2 / 6, 4 / 8, 4 / 6], atol=0.2)


def test_one_step_is_enough(name: str) -> None:
    found = scoring.join_predictions(made(name)([HeatMap(np.ones((1, 1, 1), np.float32), np.array([0, 0.04]))]))
    assert found.frames is not None and found.frames.values.tolist() == [[[1.0]]]


def test_nothing_in_nothing_out(name: str) -> None:
    assert list(made(name)([])) == []


def test_settings_make_the_round_trip(name: str) -> None:
    config = registry.load("localize", name).Config
    assert build(config, plain(config()), name) == config()
    for setting, value in plain(config()).items():
        if isinstance(value, float | int) and not isinstance(value, bool):
            with pytest.raises(ConfigError, match=setting):
                build(config, {setting: -1}, name)
