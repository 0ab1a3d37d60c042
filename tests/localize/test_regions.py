"""From maps to boxes, tubes and events: small worlds that can be worked out by hand."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherewhen.core import extents as ext
from wherewhen.core.calibration import calibrate
from wherewhen.core.errors import ConfigError
from wherewhen.core.values import Event, Features, HeatMap, Prediction
from wherewhen.inference import scoring
from wherewhen.inference.model_config import ModelConfig
from wherewhen.localize._events import apart
from wherewhen.localize.regions import Regions, RegionsConfig, components, frame_score


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
    return scoring.join_predictions(Regions(config)([HeatMap(values, np.arange(len(values) + 1) * step)]))


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


# --- from which score on, how long, how often, how many


def test_an_alarm_goes_off_from_the_level_that_was_chosen() -> None:
    warm = world((8, 12, 2, 2, 0.36), (12, 20, 2, 2, 0.26), (20, 28, 2, 2, 0.2))
    assert run(warm).events == ()
    assert told(run(warm, alarm=0.3).events) == [(2.0, 5.0, 0.36)]  # and lasts down to 0.3 * 0.4 / 0.5
    hot = world((8, 12, 2, 2, 0.95), (12, 20, 2, 2, 0.6))
    assert told(run(hot).events) == [(2.0, 5.0, 0.95)]
    assert told(run(hot, alarm=0.9).events) == [(2.0, 3.0, 0.95)]
    np.testing.assert_array_equal(run(hot, alarm=0.9).frames.values, run(hot).frames.values)  # type: ignore[union-attr]
    for level in (-0.1, 1.1):
        with pytest.raises(ConfigError, match="alarm"):
            RegionsConfig(alarm=level)


def test_an_event_is_as_sure_as_its_alarm_where_the_map_is_lowered() -> None:
    """Sharpened to what little moves, the region's values fall below the frame score that raised the alarm."""
    values = world((8, 16, 2, 2, 0.51))
    detail = np.zeros((40, 24, 32), np.float32)
    detail[:, 8:20, 6:20] = 0.2
    detail[:, 8:10, 6:8] = 1.0
    config = RegionsConfig(**{**vars(PLAIN), "sharpen": 0.6})
    found = scoring.join_predictions(Regions(config)([HeatMap(values, np.arange(41) / 4, detail)]))
    assert found.heat is not None and found.boxes is not None and found.frames is not None
    assert found.frames.values.max() == pytest.approx(0.51) and found.heat.values.max() < 0.5
    (event,) = found.events
    assert event.score == found.frames.values.max() and (event.start, event.end) == (2.0, 4.0)


def moving_world(motion: float, pieces: int) -> Prediction:
    """Equal scores at two places, of which the right one moves; the map comes in so many pieces."""
    values = world((0, 40, 2, 1, 0.8), (0, 40, 2, 5, 0.8))
    detail = np.zeros((40, 24, 32), np.float32)
    detail[:, 8:16, 20:28] = 0.5
    detail[:, 8:16, 4:12] = 0.1
    config = RegionsConfig(motion=motion)
    maps = [
        HeatMap(values[part], np.append(part, part[-1] + 1) / 4, detail[part])
        for part in np.array_split(np.arange(40), pieces)
    ]
    return scoring.join_predictions(Regions(config)(maps))


def test_the_map_points_at_what_moves_most_where_it_is_weighted_by_motion() -> None:
    plain, moved = moving_world(0.0, 1), moving_world(1.0, 1)
    for prediction, columns in ((plain, {True, False}), (moved, {True})):
        assert prediction.heat is not None
        maps = prediction.heat.values
        hot = maps >= 0.9 * maps.max((1, 2), keepdims=True)
        assert {bool(column >= 16) for column in np.nonzero(hot)[2].tolist()} == columns
    assert plain.frames is not None and moved.frames is not None
    np.testing.assert_array_equal(plain.frames.values, moved.frames.values)
    assert [(e.start, e.end) for e in moved.events] == [(0.0, 10.0)] and len(plain.events) == 2


@pytest.mark.parametrize(
    ("method", "power"), [("pooled", 1.0), ("urdmu", 0.25), ("cuboid_mil", 0.0), ("wherewhen", 0.0), ("gclnc", 0.0)]
)
def test_maps_of_methods_that_score_whole_steps_point_at_motion_unless_told_otherwise(
    method: str, power: float
) -> None:
    config = ModelConfig.of({"method": method}).settings["regions"]
    assert (config.sharpen, config.motion) == (0.8, power) and RegionsConfig().sharpen == 0.8
    heat = moving_world(config.motion, 1).heat
    assert heat is not None
    hot = heat.values >= 0.9 * heat.values.max((1, 2), keepdims=True)
    assert {bool(column >= 16) for column in np.nonzero(hot)[2].tolist()} == ({True} if power else {True, False})
    chosen = ModelConfig.of({"method": method, "regions": {"motion": 0.5, "sharpen": 0.2}}).settings["regions"]
    assert (chosen.sharpen, chosen.motion) == (0.2, 0.5)


@pytest.mark.parametrize("motion", [0.0, 1.0])
def test_weighted_maps_are_the_same_live_and_from_files(motion: float) -> None:
    whole, live = moving_world(motion, 1), moving_world(motion, 40)
    assert whole.heat is not None and live.heat is not None and whole.boxes is not None and live.boxes is not None
    np.testing.assert_array_equal(whole.heat.values, live.heat.values)
    np.testing.assert_array_equal(whole.boxes.extents, live.boxes.extents)


def test_a_second_place_has_its_share_of_the_frame_score() -> None:
    found = run(world((8, 20, 0, 0, 0.9), (10, 20, 4, 5, 0.72)))
    assert [round(event.score, 3) for event in found.events] == [0.9, 0.72]
    found = run(world((8, 20, 0, 0, 0.9), (10, 20, 4, 5, 0.48)))
    assert [round(event.score, 3) for event in found.events] == [0.9]


def test_what_is_close_is_one_event() -> None:
    close = world((8, 20, 2, 1, 0.9), (10, 18, 2, 4, 0.8))  # a column of eight lies between
    assert len(run(close, merge=0.1).events) == 2
    (event,) = run(close, merge=0.13).events
    assert (event.start, event.end, round(event.score, 3)) == (2.0, 5.0, 0.9)
    alone, both = [1 / 8, 2 / 6, 3 / 8, 4 / 6], [1 / 8, 2 / 6, 6 / 8, 4 / 6]
    np.testing.assert_allclose(event.extents[:, 2:], [alone] * 2 + [both] * 8 + [alone] * 2)
    later = world((8, 14, 2, 1, 0.9), (14, 20, 2, 4, 0.8))
    assert len(run(later, merge=0.13).events) == 2, "one after the other is not at once"


def test_after_an_alarm_there_is_a_pause() -> None:
    thrice = world((0, 4, 2, 2, 0.9), (12, 16, 2, 2, 0.9), (24, 28, 2, 2, 0.9))
    assert [e.start for e in run(thrice).events] == [0, 3, 6]
    assert [e.start for e in run(thrice, cooldown_seconds=2).events] == [0, 3, 6]
    assert [e.start for e in run(thrice, cooldown_seconds=3).events] == [0, 6]
    assert [(e.start, e.end) for e in run(thrice, cooldown_seconds=2.5).events] == [(0, 1), (3.5, 4), (6.5, 7)]
    short = world((0, 1, 2, 2, 0.9), (12, 16, 2, 2, 0.9))
    assert [e.start for e in run(short, cooldown_seconds=9).events] == [3], "an alarm that is not told has no pause"
    assert [e.start for e in run(world((0, 40, 2, 2, 0.9)), longest_seconds=3, cooldown_seconds=9).events] == [
        0,
        3,
        6,
        9,
    ]


def alarms(frames: HeatMap, config: RegionsConfig, events: tuple[Event, ...]) -> list[tuple[float, float]]:
    """When alarms go off and end, by looking at one frame score after the other; only those with an event count."""
    spans: list[tuple[float, float]] = []
    start, last, quiet = None, 0.0, -np.inf

    def over() -> float:
        if start is None or not any(start <= e.start and e.end <= last for e in events):
            return quiet
        spans.append((start, last))
        return last + config.cooldown_seconds

    for score, a, b in zip(frames.values[:, 0, 0].tolist(), frames.edges, frames.edges[1:], strict=False):
        if start is not None and a - last >= config.gap_seconds:
            quiet, start = over(), None
        if (start is None and score >= config.alarm and a >= quiet) or (start is not None and score >= config.low):
            start, last = (a if start is None else start), b
    over()
    return spans


SETTINGS = st.fixed_dictionaries(
    {
        "alarm": st.floats(0.05, 0.95),
        "keep": st.floats(0, 1),
        "gap_seconds": st.sampled_from([0.3, 1.0, 2.5]),
        "cooldown_seconds": st.sampled_from([0.0, 0.0, 1.0, 4.0]),
        "shortest_seconds": st.floats(0, 1.5),
        "merge": st.sampled_from([0.0, 0.1, 0.3]),
        "top": st.integers(1, 5),
    }
)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2000), SETTINGS, st.integers(1, 6), st.floats(0.1, 0.9))
def test_events_agree_with_the_alarms(seed: int, given: dict[str, Any], piece: int, threshold: float) -> None:
    rng = np.random.default_rng(seed)
    values = rng.random((48, 6, 8), np.float32) * 0.3
    for _ in range(5):
        first, y, x = int(rng.integers(0, 44)), int(rng.integers(0, 5)), int(rng.integers(0, 7))
        values[first : first + int(rng.integers(1, 14)), y : y + 2, x : x + 2] = rng.random() ** 0.5
    edges = np.concatenate([[0], np.cumsum(rng.uniform(0.1, 0.4, 48))])
    detail = rng.random((48, 12, 16), np.float32) if seed % 2 else None
    config = RegionsConfig(**given)
    found = scoring.join_predictions(Regions(config, threshold)([HeatMap(values, edges, detail)]))
    frames = found.frames
    assert frames is not None and found.threshold == threshold
    spans = alarms(frames, config, found.events)
    level = config.alarm
    for event in found.events:
        assert level <= event.score <= 1
        during = frames.values[(frames.edges[:-1] < event.end) & (frames.edges[1:] > event.start)]
        assert event.score <= during.max()
        assert event.end - event.start >= config.shortest_seconds - 1e-6
        assert sum(a <= event.start and event.end <= b for a, b in spans) == 1
    assert [e.start for e in found.events] == sorted(e.start for e in found.events)
    for (_, end), (start, _) in pairwise(spans):
        assert start - end >= config.cooldown_seconds
    for number, one in enumerate(found.events):
        for other in found.events[number + 1 :]:
            _, own, its = np.intersect1d(one.extents[:, 0], other.extents[:, 0], return_indices=True)
            if len(own):
                assert np.median(apart(one.extents[own], other.extents[its])) > config.merge
    pieces = [
        HeatMap(values[k : k + piece], edges[k : k + piece + 1], None if detail is None else detail[k : k + piece])
        for k in range(0, 48, piece)
    ]
    live = scoring.join_predictions(Regions(config, threshold)(iter(pieces)))
    assert [(e.extents.tolist(), e.score) for e in live.events] == [(e.extents.tolist(), e.score) for e in found.events]


@given(st.integers(0, 300))
def test_the_gap_between_boxes_is_what_shifting_closes(seed: int) -> None:
    low, high = np.sort(np.random.default_rng(seed).random((2, 2, 2)), axis=1).swapaxes(0, 1)
    one, other = (np.array([[0, 1, *low[k], *high[k]]]) for k in (0, 1))
    gap = float(apart(one, other)[0])
    assert gap == float(apart(other, one)[0]) >= 0
    if gap == 0:
        assert (low[0] <= high[1]).all() and (low[1] <= high[0]).all()
    else:
        grown = one + gap * np.array([0, 0, -1, -1, 1, 1]) * (1 + 1e-9)
        assert float(apart(grown, other)[0]) == 0
        assert float(ext.intersection(one, other)[0]) == 0
