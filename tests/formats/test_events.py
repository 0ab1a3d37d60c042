from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wherewhen.core.errors import DataError
from wherewhen.core.values import Event
from wherewhen.formats import Annotated, Clock, events

CLOCK = Clock.steady(250, 25, 320, 240, "a.mp4")


def sample() -> dict[str, Any]:
    """The example of the module's own words."""
    event = {
        "start": 1.0, "end": 3.0, "start_frame": 25, "end_frame": 75, "score": 0.9, "category": None, "track": 0,
        "boxes": [{"time": 1.0, "end_time": 3.0, "frame": 25, "end_frame": 75, "box": [32, 24, 64, 48],
                   "fraction": [0.1, 0.1, 0.2, 0.2]}],
    }  # fmt: skip
    video = {"file": "a.mp4", "width": 320, "height": 240, "frames": 250, "start": 0.0, "duration": 10.0}
    return {"version": 1, "videos": {"a": video | {"events": [event]}}}


def read(path: Path, document: Any) -> Annotated:
    path.write_text(json.dumps(document))
    (found,) = events.read(path)
    return found


def test_the_example_is_what_is_written_and_what_is_read(tmp_path: Path) -> None:
    video = Annotated("a", CLOCK, events=(Event(np.array([[1, 3, 0.1, 0.1, 0.2, 0.2]]), 0.9),))
    assert events.as_json([video]) == sample()
    found = read(tmp_path / "a.json", sample())
    assert found.events[0].extents.tolist() == [[1, 3, 0.1, 0.1, 0.2, 0.2]]
    assert found.clock.name == "a.mp4"
    np.testing.assert_allclose(found.clock.edges, CLOCK.edges)


def test_a_path_names_its_mover(tmp_path: Path) -> None:
    rows = np.array([[1, 2, 0.1, 0.1, 0.2, 0.2], [2, 3, 0.2, 0.1, 0.3, 0.2]])
    told = (Event(rows, 0.9, track=7), Event(rows, 0.8), Event(rows, 0.7, track=0))
    written = events.as_json([Annotated("a", CLOCK, events=told)])
    assert [(e["track"], e.get("mover")) for e in written["videos"]["a"]["events"]] == [(0, 7), (1, None), (2, 0)]
    assert [event.track for event in read(tmp_path / "a.json", written).events] == [7, -1, 0]


def test_an_unsteady_clock_keeps_its_borders(tmp_path: Path) -> None:
    clock = Clock(np.array([0.5, 0.6, 1.0, 1.1]), 4, 4)
    events.write(tmp_path / "a.json", [Annotated("a", clock)])
    assert events.read(tmp_path / "a.json")[0].clock.edges.tolist() == [0.5, 0.6, 1.0, 1.1]
    assert "edges" not in events.as_json([Annotated("a", CLOCK)])["videos"]["a"]


def test_frames_are_those_whose_middle_lies_inside(tmp_path: Path) -> None:
    chain = np.array([[0.03, 0.05, 0, 0, 1, 1], [0.05, 0.131, 0, 0, 1, 1]])
    (event,) = events.as_json([Annotated("a", CLOCK, events=(Event(chain, 0.5),))])["videos"]["a"]["events"]
    assert (event["start_frame"], event["end_frame"]) == (1, 3)
    assert [(box["frame"], box["end_frame"]) for box in event["boxes"]] == [(1, 2), (1, 3)]


def test_pixels_stand_in_where_fractions_are_missing_and_the_picture_where_both_are(tmp_path: Path) -> None:
    document = sample()
    (event,) = document["videos"]["a"]["events"]
    del event["boxes"][0]["fraction"]
    assert read(tmp_path / "a.json", document).events[0].extents[0].tolist() == [1, 3, 0.1, 0.1, 0.2, 0.2]
    event["boxes"] = []
    assert read(tmp_path / "a.json", document).events[0].extents[0].tolist() == [1, 3, 0, 0, 1, 1]


@pytest.mark.parametrize(
    ("place", "change", "says"),
    [
        ("file", {"version": 2}, "version 2, but this release reads version 1"),
        ("video", {"frames": 10**9}, "expected 1 to 10000000"),
        ("video", {"frames": 0}, "expected 1 to"),
        ("video", {"duration": 0}, "rising times"),
        ("video", {"width": 0}, "at least one pixel"),
        ("video", {"edges": [0, 1]}, "expected 251 numbers"),
        ("video", {"file": "/home/me/a.mp4"}, "relative"),
        ("event", {"score": "high"}, "score: expected a number, got 'high'"),
        ("event", {"score": 10**400}, "sensible size|401 digits, too large"),
        ("box", {"time": 4.0}, "an end is before its start"),
        ("box", {"fraction": [0, 0, 2, 1]}, "fractions of the picture"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, place: str, change: dict[str, Any], says: str) -> None:
    document = sample()
    video = document["videos"]["a"]
    event = video["events"][0]
    {"file": document, "video": video, "event": event, "box": event["boxes"][0]}[place].update(change)
    with pytest.raises(DataError, match=says):
        read(tmp_path / "a.json", document)


def test_a_score_that_is_no_number_never_becomes_an_event() -> None:
    with pytest.raises(ValueError, match="score must be finite, got nan"):
        Event(np.array([[1, 3, 0, 0, 1, 1]]), float("nan"))
