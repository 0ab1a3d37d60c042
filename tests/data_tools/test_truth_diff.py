import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from wherewhen.core import extents as ext
from wherewhen.core.values import Truth
from wherewhen.data_tools.truth_diff import table, truth_diff

FRAMES, RATE = 12, 10
rows = st.lists(st.tuples(st.integers(0, FRAMES - 1), *[st.integers(0, 7)] * 2, *[st.integers(1, 8)] * 2), max_size=5)
spans = st.sets(st.integers(0, FRAMES - 1))


def make(frames, boxes):
    edges = np.arange(FRAMES + 1) / RATE
    kept = [(f / RATE, (f + 1) / RATE, x / 16, y / 16, (x + w) / 16, (y + h) / 16) for f, x, y, w, h in boxes]
    return Truth(edges, spans=[[f / RATE, (f + 1) / RATE] for f in sorted(frames)], boxes=np.array(kept).reshape(-1, 6))


@settings(deadline=None)
@given(spans, spans, rows, rows)
def test_the_numbers_are_those_of_a_frame_by_frame_reading(p, q, a, b):
    [row] = truth_diff({"v": make(p, a)}, {"v": make(q, b)})
    assert row.changed == len(p ^ q)
    assert np.isclose(row.agreement, len(p & q) / len(p | q) if p | q else 1)
    values = []
    for frame in range(FRAMES):
        hulls = []
        for drawn in (a, b):
            own = np.array([[0, 0, x, y, x + w, y + h] for f, x, y, w, h in drawn if f == frame]).reshape(-1, 6)
            hulls.append(ext.hull(own) if len(own) else None)
        if any(h is not None for h in hulls):
            values.append(float(ext.iou(*hulls)) if all(h is not None for h in hulls) else 0.0)
    assert (row.boxes is None) == (not values)
    assert row.boxes is None or np.isclose(row.boxes, np.mean(values))


def test_equal_truths_are_the_same_and_left_out():
    one = {"v": make({1, 2}, [(1, 0, 0, 4, 4)])}
    assert [row.same for row in truth_diff(one, one)] == [True]
    assert table(truth_diff(one, one)) == []
    assert len(table(truth_diff(one, one), all_rows=True)) == 1


def test_what_one_lacks_comes_first_and_lengths_count():
    longer = Truth(np.arange(20) / RATE)
    a = {"x": make({1}, []), "y": make(set(), []), "only a": make(set(), [])}
    b = {"x": make({1, 2}, []), "y": longer, "only b": make(set(), [])}
    found = truth_diff(a, b)
    assert [(row.video, row.only) for row in found[:2]] == [("only a", "a"), ("only b", "b")]
    assert [row.video for row in found[2:]] == ["x", "y"]
    assert (found[3].frames_a, found[3].frames_b, found[3].same) == (12, 19, False)
