from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherewhen.core.diagnostics import listening
from wherewhen.core.errors import DataError
from wherewhen.core.video_info import Measure
from wherewhen.datasets._truths import Draft, build, from_one, pairs, runs

MEASURE = Measure(20, 29.97, 64, 48)
spans = st.lists(st.tuples(st.integers(0, 25), st.integers(0, 25)), max_size=4)
boxes = st.lists(st.tuples(*[st.integers(-3, 25)] * 2, *[st.integers(-5, 70)] * 4), max_size=6)


def flags(spans, frames=20):
    return [any(a <= f < b for a, b in spans if a < b) for f in range(frames)]


@settings(deadline=None)
@given(spans)
def test_frames_come_back_as_frames_whatever_the_rate(drawn):
    with listening():
        truth = build("v", MEASURE, Draft(list(drawn)))
    assert truth.frames.tolist() == flags(drawn)
    assert (truth.spans <= truth.edges[-1]).all()


@settings(deadline=None)
@given(boxes)
def test_boxes_are_cut_or_left_out(drawn):
    with listening() as found:
        truth = build("v", MEASURE, Draft([(0, 20)], boxes=np.array(drawn, float).reshape(-1, 6)))
    expected = []
    for track, frame, x0, y0, x1, y1 in drawn:
        cut = max(x0, 0), max(y0, 0), min(x1, 64), min(y1, 48)
        if 0 <= frame < 20 and cut[0] < cut[2] and cut[1] < cut[3]:
            expected.append((track, frame, *cut))
    got = np.column_stack([truth.track, truth.boxes[:, 0] * 29.97, truth.boxes[:, 2:] * [64, 48, 64, 48]])
    assert got.round(6).reshape(-1, 6).tolist() == [list(map(float, row)) for row in expected]
    assert (len(expected) < len(drawn)) == bool({f.kind for f in found} & {"box-past-end", "box-empty"})


@settings(deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=12))
def test_runs_are_where_flags_are(on):
    found = runs(np.array(on))
    assert flags(found, len(on)) == on
    assert all(a < b for a, b in found) and all(b[0] > a[1] for a, b in pairwise(found))


def test_one_based_spans_with_included_ends():
    assert from_one([(1, 1), (3, 5)], "v") == [(0, 1), (2, 5)]
    with listening() as found:
        assert from_one([(0, 5)], "v") == [(0, 5)]
    assert [f.kind for f in found] == ["span-base"]


def test_pairs_need_an_even_count():
    assert pairs([1, 2, 3, 4], "v") == [(1, 2), (3, 4)]
    with pytest.raises(DataError, match="span-malformed"):
        pairs([1, 2, 3], "v")


def test_what_is_known_of_boxes():
    truth = build("v", MEASURE, Draft([(5, 10)], boxed_frames=[6, 8, 99]))
    assert np.flatnonzero(~truth.boxed).tolist() == [5, 7, 9]
    assert build("v", MEASURE, Draft([(5, 10)])).boxed is None


def test_categories_stay_with_their_spans():
    with listening():
        truth = build("v", MEASURE, Draft([(9, 12), (30, 40), (1, 3)], ["b", "x", "a"]))
    assert truth.categories == ("a", "b")
    assert (truth.spans * 29.97).round().tolist() == [[1, 3], [9, 12]]


def test_boxes_need_a_picture_size():
    with pytest.raises(DataError, match=r"picture's size is needed"):
        build("v", Measure(20, 25), Draft([(0, 9)], boxes=np.array([[0, 1, 0, 0, 9, 9]])))
