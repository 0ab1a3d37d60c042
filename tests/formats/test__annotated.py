from __future__ import annotations

import numpy as np
import pytest

from wherewhen.core import extents as ext
from wherewhen.core.errors import DataError
from wherewhen.core.values import Event, Prediction, Scores, Truth
from wherewhen.formats import Annotated, Clock, events_as_boxes, from_prediction, from_truth
from wherewhen.formats._annotated import FrameBoxes, from_frames, to_frames

CLOCK = Clock.steady(10, 10, 100, 50)


@pytest.mark.parametrize(
    ("edges", "width", "name", "says"),
    [
        ([0], 1, "", "at least two"),
        ([0, 0], 1, "", "rising"),
        ([0, float("nan")], 1, "", "finite"),
        ([0, 1], 0, "", "at least one pixel"),
        ([0, 1], 1, "/tmp/a.mp4", "relative"),
        ([0, 1], 1, "C:\\a.mp4", "relative"),
    ],
)
def test_a_clock_is_checked_at_birth(edges: list[float], width: int, name: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Clock(np.array(edges), width, 1, name)


def test_a_prediction_keeps_boxes_and_events() -> None:
    boxes = Scores(np.array([[0, 0.1, 0, 0, 1, 1]]), [0.5])
    event = Event(np.array([[0, 1, 0, 0, 1, 1]]), 0.5)
    found = from_prediction("a", Prediction(boxes=boxes, events=(event,)), CLOCK)
    assert found.boxes is boxes
    assert found.events == (event,)
    assert found.file == "a"


def test_truth_names_a_track_after_the_span_of_its_first_box() -> None:
    boxes = np.array([[0.5, 0.6, 0, 0, 1, 1], [0.1, 0.2, 0, 0, 1, 1], [0.6, 0.7, 0, 0, 1, 1], [0.9, 1, 0, 0, 1, 1]])
    truth = Truth(CLOCK.edges, [[0.1, 0.3], [0.5, 0.8]], boxes, [1, 0, 0, 2], ("fall", "fight"))
    found = from_truth("a", truth, 100, 50)
    assert found.names == {0: "fall", 1: "fight"}
    assert [(event.start, event.end, event.category) for event in found.events] == [
        (0.1, 0.3, "fall"),
        (0.5, 0.8, "fight"),
    ]
    assert found.boxes.values.tolist() == [1, 1, 1, 1]
    assert from_truth("a", Truth(CLOCK.edges, [[0.1, 0.3]], boxes), 100, 50).names == {}


def test_events_become_a_track_each_with_one_hull_per_frame() -> None:
    chain = np.array([[0, 0.2, 0.1, 0.2, 0.3, 0.4], [0.1, 0.3, 0.5, 0.0, 0.6, 0.2]])
    events = (Event(chain, 0.9, "fall"), Event(np.array([[0.8, 0.9, 0, 0, 1, 1]]), 0.2))
    found = events_as_boxes(Annotated("a", CLOCK, events=events))
    frames = ext.frames_of(found.boxes.extents, CLOCK.edges)[:, 0]
    assert list(zip(found.boxes.track.tolist(), frames.tolist(), strict=True)) == [(0, 0), (0, 1), (0, 2), (1, 8)]
    np.testing.assert_allclose(
        found.boxes.extents[:, 2:], [[0.1, 0.2, 0.3, 0.4], [0.1, 0, 0.6, 0.4], [0.5, 0, 0.6, 0.2], [0, 0, 1, 1]]
    )
    assert found.boxes.values.tolist() == [0.9, 0.9, 0.9, 0.2]
    assert found.names == {0: "fall"}
    assert len(events_as_boxes(Annotated("a", CLOCK)).boxes.values) == 0


def test_what_lies_far_outside_the_video_is_an_error_and_a_rounding_is_not() -> None:
    near = Annotated("a", CLOCK, Scores(np.array([[1.0, 1.02, 0, 0, 1, 1], [-0.05, 0, 0, 0, 1, 1]]), [1, 1]))
    assert to_frames(near).frame.tolist() == [9, 0]
    far = Annotated("a", CLOCK, Scores(np.array([[2, 3, 0, 0, 1, 1]]), [1.0]))
    with pytest.raises(DataError, match=r"a: an annotation at 2.5 s is outside the video.*is this its clock"):
        to_frames(far)


def test_boxes_are_cut_to_the_picture() -> None:
    rows = FrameBoxes(np.array([0]), np.array([[-5.0, 10, 200, 20]]), np.array([0]), np.array([1.0]))
    assert from_frames(rows, CLOCK, "x").extents[0, 2:].tolist() == [0, 0.2, 1, 0.4]


def test_a_row_at_the_end_of_a_long_frame_counts_for_that_frame() -> None:
    boxes = Scores(np.array([[0.09, 0.1, 0, 0, 1, 1], [0.1, 0.14, 0, 0, 1, 1]]), [1, 1])
    assert to_frames(Annotated("a", CLOCK, boxes)).frame.tolist() == [0, 1]
