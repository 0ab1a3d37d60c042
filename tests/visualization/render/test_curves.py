from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherewhen.core.values import Event, HeatMap, Prediction, Scores, Truth
from wherewhen.visualization.render.curves import clock, columns, curve, span, ticks

times = st.floats(0, 100, allow_nan=False).map(lambda t: round(t, 2))


@given(
    st.lists(st.floats(0, 1, width=32), min_size=1, max_size=12),
    st.floats(-3, 3),
    st.floats(0.1, 20),
    st.integers(1, 30),
)
def test_columns_are_the_highest_step_that_each_stretch_touches(
    values: list[float], start: float, length: float, count: int
) -> None:
    edges = np.arange(len(values) + 1) * 0.7
    got = columns(HeatMap(values, edges), start, start + length, count)
    borders = np.linspace(start, start + length, count + 1)
    for number, (low, high) in enumerate(pairwise(borders)):
        touched = [v for v, a, b in zip(values, edges[:-1], edges[1:], strict=True) if a < high and b > low]
        assert got[number] == max(touched) if touched else np.isnan(got[number])


def test_a_peak_of_one_frame_survives_a_narrow_drawing() -> None:
    values = np.zeros(100_000)
    values[54_321] = 0.875
    assert columns(HeatMap(values, np.arange(100_001) / 25), 0, 4000, 300).max() == 0.875


@given(st.lists(st.tuples(times, times, st.floats(0.1, 1)), min_size=1, max_size=15))
def test_a_curve_of_boxes_is_the_highest_box_at_each_moment(rows: list[tuple[float, float, float]]) -> None:
    rows = [(min(a, b), max(a, b) + 0.5, s) for a, b, s in rows]
    boxes = Scores([[a, b, 0, 0, 1, 1] for a, b, _ in rows], [s for _, _, s in rows])
    scores = curve(Prediction(boxes=boxes))
    assert scores is not None
    for low, high, value in zip(scores.edges[:-1], scores.edges[1:], scores.values.ravel(), strict=True):
        active = [s for a, b, s in rows if a <= low and high <= b]
        assert value == pytest.approx(max(active, default=0), abs=1e-6)


def test_the_curve_prefers_frames_then_heat_then_boxes_then_events() -> None:
    frames, heat = HeatMap([0.1], [0, 1]), HeatMap(np.array([[[0.2, 0.7]]]), [0, 1])
    boxes, events = Scores([[0, 1, 0, 0, 1, 1]], [0.3]), (Event([[0, 1, 0, 0, 1, 1]], 0.4),)
    found = [
        curve(Prediction(frames, heat, boxes, events)),
        curve(Prediction(None, heat, boxes, events)),
        curve(Prediction(None, None, boxes, events)),
        curve(Prediction(None, None, None, events)),
    ]
    assert [round(float(c.values[0, 0, 0]), 2) for c in found if c is not None] == [0.1, 0.7, 0.3, 0.4]
    assert curve(Prediction()) is None


def test_boxes_without_duration_give_no_curve() -> None:
    assert curve(Prediction(boxes=Scores([[1, 1, 0, 0, 1, 1]], [0.5]))) is None


@given(st.floats(0, 1e6), st.floats(0.05, 1e6), st.integers(2, 15))
def test_ticks_are_few_even_and_inside(start: float, length: float, most: int) -> None:
    moments = ticks(start, start + length, most)
    assert len(moments) <= most
    assert ((moments >= start - 1e-6 * (1 + start)) & (moments <= (start + length) * (1 + 1e-9))).all()
    if len(moments) > 2:
        assert np.ptp(np.diff(moments)) < 1e-6 * (1 + start)


@pytest.mark.parametrize(
    ("seconds", "decimals", "text"),
    [(0, 0, "0:00"), (9.96, 1, "0:10.0"), (3599.99, 0, "1:00:00"), (-1.5, 1, "-0:01.5"), (-0.01, 0, "0:00")],
)
def test_clock(seconds: float, decimals: int, text: str) -> None:
    assert clock(seconds, decimals) == text


def test_span_covers_scores_truth_and_events() -> None:
    assert span(None, None) == (0, 1)
    assert span(HeatMap([0.1], [2, 3]), Truth([1, 2]), (Event([[5, 9, 0, 0, 1, 1]], 0.5),)) == (1, 9)
    assert span(None, None, (Event([[5, 5, 0, 0, 1, 1]], 0.5),)) == (5, 6)
