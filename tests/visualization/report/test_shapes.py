from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from wherewhen.core.values import Event, HeatMap, Prediction, Truth
from wherewhen.visualization.report import Curve, VideoResult
from wherewhen.visualization.report.shapes import polyline, stairs, timeline

points = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=30)


def distance(point: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
    way = b - a
    share = 0.0 if not way.any() else float(np.clip((point - a) @ way / (way @ way), 0, 1))
    return float(np.linalg.norm(point - a - share * way))


@given(points)
def test_every_point_of_a_curve_lies_on_its_path(way: list[tuple[float, float]]) -> None:
    d = polyline(Curve("", *np.array(way).T))
    drawn = np.array([[float(n) for n in pair.split()] for pair in d[1:].split("L")])
    for x, y in way:
        spot = np.array([300 * x, 300 * (1 - y)])
        ends = pairwise(drawn) if len(drawn) > 1 else [(drawn[0], drawn[0])]
        assert min(distance(spot, a, b) for a, b in ends) <= 0.8


def test_a_long_curve_becomes_a_short_path() -> None:
    x = np.linspace(0, 1, 100_000)
    assert len(polyline(Curve("", x, x**0.2))) < 4000


def heights(line: str, at: float) -> float | None:
    """The y of a stepped path at an x, by walking along it."""
    x = y = 0
    for command, number, other in re.findall(r"([MHV])(\d+)(?: (\d+))?", line):
        if command == "M":
            x, y = int(number), int(other)
        elif command == "V":
            y = int(number)
        else:
            if x < at < int(number):
                return y
            x = int(number)
    return None


@given(arrays(np.float64, st.integers(1, 60), elements=st.one_of(st.just(np.nan), st.floats(0, 1))))
def test_stairs_have_each_value_at_its_place(values: np.ndarray) -> None:
    line, area = stairs(values)
    for number, value in enumerate(values):
        height = heights(line, 600 * (number + 0.5) / len(values))
        assert height is None if np.isnan(value) else height == round(100 * (1 - value))
    assert area.count("Z") == line.count("M") == area.count("M")


def test_a_timeline_says_in_words_what_it_shows() -> None:
    event = Event([[2, 4, 0, 0, 1, 1]], 0.9)
    prediction = Prediction(HeatMap([0.1, 0.9], [0, 5, 10]), events=(event,))
    shape = timeline(VideoResult("a.mp4", prediction, Truth([0, 5, 10], [[5, 10]])))
    assert shape.words == (
        "Score of a.mp4 from 0:00 to 0:10; highest score 0.90; truth: 0:05.0 to 0:10.0; found: 0:02.0 to 0:04.0"
    )
    assert shape.true == ((300, 300),) and shape.predicted == ((120, 120),)
    assert (shape.label, shape.peak, shape.end) == ("anomalous", "0.90", "0:10")


def test_a_timeline_without_anything_is_empty_but_whole() -> None:
    shape = timeline(VideoResult("a.mp4", Prediction(), Truth([0, 1])))
    assert (shape.line, shape.area, shape.peak, shape.label) == ("", "", "", "normal")
    assert shape.words == "Score of a.mp4 from 0:00 to 0:01; no score; truth: nothing happens"


def test_many_spans_are_counted_not_listed() -> None:
    spans = [[t, t + 0.5] for t in range(9)]
    assert timeline(VideoResult("a", Prediction(), Truth([0, 10], spans))).words.endswith(" and 4 more")
