"""Known movers: scores along their ways, who is told, and events that are ways."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherewhen.core import extents as ext
from wherewhen.core.values import Boxes, Event, HeatMap, Prediction, Scores
from wherewhen.inference import scoring
from wherewhen.localize._movers import along, apart, free, inside, paths
from wherewhen.localize.regions import Regions, RegionsConfig

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


def test_nothing_is_left_out_and_nothing_smoothed_where_so_requested() -> None:
    """Equation 9 of Wu et al. scores every part, also one inside another."""
    boxes = at(0, {1: (A, 0.5), 2: (BOTH, 0.8), 3: (B, 0.1)})
    assert apart(boxes, None).track.tolist() == [2, 1, 3]
    assert free(boxes.extents, boxes.extents, None).all()
    steps = [at(k, {1: (A, 0.6), 2: (BOTH, 0.8)}) for k in range(6)]
    assert [e.track for e in paths(Scores.chained(steps), 0.5, 0.4, 1.0, 0.3, None)] == [2, 1]
    values = [0.1, 0.9, 0.2, 0.6]
    pieces = [
        HeatMap(np.full((1, 2, 2), value), np.array([k, k + 1.0]), boxes=(at(k, {1: (A, value), 2: (BOTH, value)}),))
        for k, value in enumerate(values)
    ]
    found = scoring.join_predictions(Regions(RegionsConfig(smooth_seconds=0.0, within=None))(pieces))
    assert found.boxes is not None
    np.testing.assert_allclose(found.boxes.values, np.repeat(values, 2), rtol=1e-6)


def test_events_are_ways() -> None:
    steps = [at(k, {7: (A, 0.9 if 2 <= k < 5 or 9 <= k < 12 else 0.1), 8: (B, 0.45)}) for k in range(12)]
    steps += [at(20, {9: (B, 0.95)})]
    events = paths(Scores.chained(steps), 0.5, keep=0.4, gap=1.0, shortest=1.5, within=0.7)
    assert [(e.start, e.end, e.track, e.score) for e in events] == [(2, 5, 7, 0.9), (9, 12, 7, 0.9)]


def test_a_union_is_no_second_event() -> None:
    steps = [at(k, {1: (A, 0.6), 2: (BOTH, 0.8 if k < 4 else 0.7)}) for k in range(6)]
    assert [e.track for e in paths(Scores.chained(steps), 0.5, 0.4, 1.0, 0.3, 0.7)] == [2]
    steps = [at(k, {1: (A, 0.6)} | ({2: (BOTH, 0.8)} if k < 2 else {})) for k in range(6)]
    assert sorted(e.track for e in paths(Scores.chained(steps), 0.5, 0.4, 1.0, 0.3, 0.7)) == [1, 2]


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
    found = scoring.join_predictions(Regions(RegionsConfig(smooth_seconds=0.2), threshold=0.4)(walked()))
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
    one, other = (scoring.join_predictions(Regions(RegionsConfig(), 0.4)(some)) for some in (pieces, [whole]))
    same(one, other)


def same(one: Prediction, other: Prediction) -> None:
    assert one.frames and other.frames and one.boxes and other.boxes
    np.testing.assert_array_equal(one.frames.values, other.frames.values)
    np.testing.assert_array_equal(one.boxes.extents, other.boxes.extents)
    np.testing.assert_array_equal(one.boxes.values, other.boxes.values)

    def plain(event: Event) -> tuple[object, ...]:
        return event.extents.tolist(), event.score, event.track

    assert list(map(plain, one.events)) == list(map(plain, other.events))


@given(st.integers(0, 500), st.sampled_from([0.0, 0.3, 0.5, 0.9, 1.0]))
def test_what_a_map_says_inside_a_box_is_what_its_points_say(seed: int, share: float) -> None:
    """Boxes on a raster of 40 x 40 points, whose cells are counted one by one."""
    rng = np.random.default_rng(seed)
    heat = rng.permutation(20).reshape(4, 5).astype(np.float32)
    x0, y0 = rng.integers(0, 39, 2)
    x1, y1 = rng.integers([x0 + 1, y0 + 1], 41)
    points = sorted(float(heat[y // 10, x // 8]) for y in range(y0, y1) for x in range(x0, x1))
    place = max(int(np.ceil(share * len(points) - 1e-6)), 1) - 1
    box = np.array([[0, 1, x0 / 40, y0 / 40, x1 / 40, y1 / 40]])
    assert inside(heat, box, share).tolist() == [points[place]]


def test_a_box_without_area_has_the_value_where_it_lies() -> None:
    heat = np.float32([[1, 2], [3, 4]])
    boxes = np.array([[0, 1, 0.7, 0.2, 0.7, 0.2], [0, 1, 1, 1, 1, 1], [0, 1, 0.2, 0.6, 0.2, 0.9], [0, 1, 0, 0, 0, 0]])
    assert inside(heat, boxes, 0.9).tolist() == [2, 4, 3, 1]
    assert inside(heat, boxes[:0], 0.9).tolist() == []


def test_a_region_is_free_where_nobody_shares_its_place() -> None:
    regions = at(0, {1: ((0, 0, 0.5, 0.5), 0.9), 2: ((0.5, 0.5, 1, 1), 0.9), 3: (B, 0.9)}).extents
    movers = at(0, {1: (A, 0.1), 2: ((0.3, 0.3, 0.6, 0.6), 0.1)}).extents  # 2: by 4/9 in the first, 1/9 in the second
    assert free(regions, movers, 0.7).tolist() == [False, True, True]
    assert free(regions[1:], movers, 0.1).tolist() == [False, True]
    assert free(regions, movers[:0], 0.7).all() and not len(free(regions[:0], movers, 0.7))


PLAIN = RegionsConfig(smooth_seconds=0, smooth_cells=0, sharpen=0, top=1, shortest_seconds=0.5)


def cut(box: Scores, start: float, end: float) -> Scores:
    rows = box.extents.copy()
    rows[:, :2] = start, end
    return Scores(rows, box.values, box.track)


def accompanied(movers: bool = True, count: int = 40) -> list[HeatMap]:
    """Steps of half a second, two frames in each: mover 7 crosses under two hot cells, 8 stands in cold ones.

    From step 20 to 28 something is hot where nobody is.
    """
    pieces = []
    for k in range(count):
        picture = np.full((4, 8), 0.05, np.float32)
        frames = []
        for half in (0, 1):
            x = min(0.01 * (2 * k + half), 0.85)
            boxes = at(0, {7: ((x, 0.3, x + 0.1, 0.7), 1.0), 8: ((0.5, 0.8, 0.6, 0.95), 1.0)})
            frames.append(cut(boxes, (2 * k + half) / 4, (2 * k + half + 1) / 4))
            if 4 <= k < 12:
                columns = slice(int(x * 8), int(np.ceil((x + 0.1) * 8)))
                picture[1:3, columns] = 0.9
        if 20 <= k < 28:
            picture[0:1, 6:8] = 0.8
        beside = (Scores.chained(frames),) if movers else None
        pieces.append(HeatMap(picture[None], np.array([k, k + 1]) / 2, movers=beside))
    return pieces


def test_a_map_says_where_and_a_mover_who() -> None:
    found, bare = (scoring.join_predictions(Regions(PLAIN)(accompanied(movers))) for movers in (True, False))
    who, where = found.events
    assert (who.start, who.end, where.start, where.end) == (2.0, 6.0, 10.0, 14.0)
    assert who.track == 14 and who.score == pytest.approx(0.9)  # even numbers are movers'
    x = 0.01 * np.arange(8, 24)
    np.testing.assert_allclose(who.extents, np.stack([x * 25, x * 25 + 0.25, x, x * 0 + 0.3, x + 0.1, x * 0 + 0.7], 1))
    assert where.track == -1 and (where.extents[:, 2:] == [6 / 8, 0, 1, 1 / 4]).all()
    assert [(e.start, e.end) for e in bare.events] == [(2.0, 6.0), (10.0, 14.0)]
    assert found.boxes and bare.boxes and found.frames and bare.frames and found.heat and bare.heat
    np.testing.assert_array_equal(found.frames.values, bare.frames.values)
    np.testing.assert_array_equal(found.heat.values, bare.heat.values)
    start = found.boxes.extents[:, 0]
    assert set(found.boxes.track[(start >= 2) & (start < 6)].tolist()) == {14}
    numbers = found.boxes.track[(start >= 10) & (start < 14)]
    assert len(numbers) == 8 and (numbers % 2 == 1).all()


def test_an_event_stays_where_no_mover_is_sure_enough() -> None:
    """A mover as large as the picture is in the region, and holds too little of it to be sure."""
    heat = np.full((8, 4, 4), 0.41, np.float32)
    heat[:, 1, 1] = 0.8
    one = at(0, {1: ((0, 0, 1, 1), 1.0)})
    movers = tuple(cut(one, k / 4, (k + 1) / 4) for k in range(8))
    (event,) = scoring.join_predictions(Regions(PLAIN)([HeatMap(heat, np.arange(9) / 4, movers=movers)])).events
    assert event.track == -1 and event.score == pytest.approx(0.8) and (event.start, event.end) == (0, 2)
    sure = RegionsConfig(**{**vars(PLAIN), "inside": 1.0})
    (event,) = scoring.join_predictions(Regions(sure)([HeatMap(heat, np.arange(9) / 4, movers=movers)])).events
    assert event.track == 2 and (event.extents[:, 2:] == [0, 0, 1, 1]).all()


@pytest.mark.parametrize("cuts", [{7}, set(range(2, 40, 3))])
def test_movers_beside_maps_are_the_same_however_maps_are_cut(cuts: set[int]) -> None:
    pieces = accompanied()
    borders = [0, *sorted(cuts), 40]

    def whole(a: int, b: int) -> HeatMap:
        values = np.concatenate([p.values for p in pieces[a:b]])
        return HeatMap(values, np.arange(a, b + 1) / 2, movers=tuple(p.movers[0] for p in pieces[a:b] if p.movers))

    one = scoring.join_predictions(Regions(RegionsConfig(), 0.4)(pieces))
    same(one, scoring.join_predictions(Regions(RegionsConfig(), 0.4)(whole(a, b) for a, b in pairwise(borders))))


def test_frames_that_reach_beyond_a_step_are_cut_at_its_end() -> None:
    """Frames of a third of a second beside steps of a half: no moment is told twice, none is left out."""
    frames = [Boxes(k / 3, (k + 1) / 3, [[k / 3, (k + 1) / 3, *A]], [1.0], track=[4]) for k in range(12)]
    maps = (HeatMap(np.full((1, 2, 2), 0.9, np.float32), np.array([k, k + 1]) / 2) for k in range(8))
    found = scoring.join_predictions(Regions(PLAIN)(scoring.beside(maps, frames))).boxes
    assert found is not None and set(found.track.tolist()) == {8}
    borders = sorted({k / 3 for k in range(13)} | {k / 2 for k in range(9)})
    np.testing.assert_allclose(found.extents[:, 0], borders[:-1])
    np.testing.assert_allclose(found.extents[:, 1], borders[1:])
