"""Known movers: scores along their ways, who is told, and events that are ways."""

from __future__ import annotations

import numpy as np
import pytest

from wherewhen import extents as ext
from wherewhen import pipeline
from wherewhen.localize._movers import along, apart, told
from wherewhen.localize.regions import Regions, RegionsConfig
from wherewhen.values import Event, HeatMap, Prediction, Scores

A, B, BOTH = (0.1, 0.1, 0.2, 0.4), (0.6, 0.5, 0.7, 0.8), (0.1, 0.1, 0.3, 0.5)


def at(time: float, movers: dict[int, tuple[tuple[float, ...], float]]) -> Scores:
    rows = [[time, time + 1, *box] for box, _ in movers.values()]
    return Scores(np.array(rows).reshape(-1, 6), np.array([value for _, value in movers.values()]), np.array([*movers]))


def test_a_score_is_smoothed_along_its_own_way_alone() -> None:
    steps = [at(0, {3: (A, 0.0)}), at(1, {3: (A, 0.6), 5: (B, 0.9)}), at(2, {5: (B, 0.1)}), at(3, {})]
    weights = np.array([1.0, 2.0, 3.0, 4.0])
    found = along(steps[1], steps, weights)
    assert found.values.tolist() == pytest.approx([(0 + 2 * 0.6) / 3, (2 * 0.9 + 3 * 0.1) / 5])
    nobody = Scores([[1, 2, *A]], [0.7])
    assert along(nobody, [nobody, steps[0]], np.array([1.0, 9.0])).values.tolist() == [0.7]
    assert not len(along(steps[3], steps, weights).values)


def test_of_two_in_one_place_the_better_one_is_told() -> None:
    boxes = at(0, {1: (A, 0.5), 2: (BOTH, 0.8), 3: (B, 0.1), 4: (A, 0.5)})
    assert apart(boxes, 0.7).track.tolist() == [2, 3]
    assert apart(at(0, {1: (A, 0.9), 2: (BOTH, 0.8)}), 0.7).track.tolist() == [1]
    beside = at(0, {1: (A, 0.9), 2: ((0.15, 0.1, 0.25, 0.4), 0.8)})  # half of it
    assert apart(beside, 0.7).track.tolist() == [1, 2] and apart(beside, 0.4).track.tolist() == [1]


def test_events_are_ways() -> None:
    steps = [at(k, {7: (A, 0.9 if 2 <= k < 5 or 9 <= k < 12 else 0.1), 8: (B, 0.45)}) for k in range(12)]
    steps += [at(20, {9: (B, 0.95)})]
    events = told(pipeline.chained(steps), keep=0.4, gap=1.0, shortest=1.5, within=0.7)
    assert [(e.start, e.end, e.track, e.score) for e in events] == [(2, 5, 7, 0.9), (9, 12, 7, 0.9)]


def test_a_union_is_no_second_event() -> None:
    steps = [at(k, {1: (A, 0.6), 2: (BOTH, 0.8 if k < 4 else 0.7)}) for k in range(6)]
    assert [e.track for e in told(pipeline.chained(steps), 0.4, 1.0, 0.3, 0.7)] == [2]
    steps = [at(k, {1: (A, 0.6)} | ({2: (BOTH, 0.8)} if k < 2 else {})) for k in range(6)]
    assert sorted(e.track for e in told(pipeline.chained(steps), 0.4, 1.0, 0.3, 0.7)) == [1, 2]


def walked(count: int = 40) -> list[HeatMap]:
    """A mover that crosses the picture and counts from step 10 to 25, another that stands; nobody after step 32."""
    pieces = []
    for k in range(count):
        movers = {
            7: ((0.02 * k, 0.1, 0.02 * k + 0.1, 0.5), 0.8 if 10 <= k < 25 else 0.1),
            8: ((0.5, 0.6, 0.6, 0.9), 0.05),
        }
        boxes = at(0.25 * k, movers if k < 32 else {})
        rows = boxes.extents.copy()
        rows[:, 1] = rows[:, 0] + 0.25
        boxes = Scores(rows, boxes.values, boxes.track)
        picture = ext.painted(boxes.extents, boxes.values, (8, 10))[None]
        pieces.append(HeatMap(picture, np.array([k, k + 1]) / 4, boxes=(boxes,)))
    return pieces


def test_the_localizer_follows_movers_that_it_knows() -> None:
    found = pipeline.together(Regions(RegionsConfig(smooth_seconds=0.2), threshold=0.4)(walked()))
    assert found.boxes is not None and found.frames is not None and found.heat is not None
    (event,) = found.events
    assert event.track == 7
    assert event.start == pytest.approx(2.5, abs=0.26) and event.end == pytest.approx(6.25, abs=0.26)
    np.testing.assert_allclose(event.extents[:, 2], 0.02 * np.arange(40)[(event.extents[:, 0] * 4).astype(int)])
    scores = found.frames.values[:, 0, 0]
    assert (scores[12:23] > 0.8).all() and (scores[:8] < 0.2).all() and (scores[33:] == 0).all()
    assert set(found.boxes.track.tolist()) == {7, 8}
    assert found.heat.values[15].max() == pytest.approx(scores[15], abs=1e-6)


def test_how_maps_are_cut_into_pieces_changes_nothing() -> None:
    pieces = walked()
    whole = HeatMap(
        np.concatenate([p.values for p in pieces]),
        np.arange(41) / 4,
        boxes=tuple(p.boxes[0] for p in pieces if p.boxes),
    )
    one, other = (pipeline.together(Regions(RegionsConfig(), 0.4)(some)) for some in (pieces, [whole]))
    same(one, other)


def same(one: Prediction, other: Prediction) -> None:
    assert one.frames and other.frames and one.boxes and other.boxes
    np.testing.assert_array_equal(one.frames.values, other.frames.values)
    np.testing.assert_array_equal(one.boxes.extents, other.boxes.extents)
    np.testing.assert_array_equal(one.boxes.values, other.boxes.values)

    def plain(event: Event) -> tuple[object, ...]:
        return event.extents.tolist(), event.score, event.track

    assert list(map(plain, one.events)) == list(map(plain, other.events))
