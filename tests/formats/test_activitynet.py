from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wherewhen.core.errors import DataError
from wherewhen.core.values import Event
from wherewhen.formats import Annotated, Clock, activitynet

CLOCK = Clock.steady(250, 25, 320, 240)
# Entries in the form of the download page and of the guidelines.
DATABASE = {
    "5n7NCViB5TU": {"annotations": [{"label": "Discus throw", "segment": [24.25, 38.08]}], "subset": "training"}
}
RESULTS = {"5n7NCViB5TU": [{"label": "Discus throw", "score": 0.25, "segment": [24.25, 38.08]}]}


@pytest.mark.parametrize(("kind", "value", "score"), [("database", DATABASE, 1.0), ("results", RESULTS, 0.25)])
def test_a_segment_is_seconds_over_the_whole_picture(tmp_path: Path, kind: str, value: Any, score: float) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"version": "VERSION 1.3", kind: value}))
    (found,) = activitynet.read(tmp_path / "a.json", {"5n7NCViB5TU": CLOCK})
    (event,) = found.events
    assert event.extents.tolist() == [[24.25, 38.08, 0, 0, 1, 1]]
    assert (event.category, event.score) == ("Discus throw", score)


def test_what_is_written(tmp_path: Path) -> None:
    video = Annotated("a", CLOCK, events=(Event(np.array([[1, 2.5, 0, 0, 0.5, 1]]), 0.5, "fall"),))
    activitynet.write(tmp_path / "r.json", [video])
    results = json.loads((tmp_path / "r.json").read_text())
    assert results["results"] == {"a": [{"label": "fall", "segment": [1, 2.5], "score": 0.5}]}
    assert results["external_data"]["used"] is False
    activitynet.write(tmp_path / "d.json", [video], kind="database", subset="testing")
    database = json.loads((tmp_path / "d.json").read_text())
    entry = database["database"]["a"]
    assert (entry["duration"], entry["resolution"], entry["subset"]) == (10, "320x240", "testing")
    assert [node["nodeName"] for node in database["taxonomy"]] == ["Root", "fall"]


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"version": "1"}, "expected 'results' or 'database'"),
        ({"results": {"a": [{"label": "x", "segment": [2, 2], "score": 1}]}}, "ends before it starts"),
        ({"results": {"a": [{"label": "x", "segment": [2], "score": 1}]}}, "expected 2 numbers"),
        ({"results": {"a": [{"label": 5, "segment": [1, 2], "score": 1}]}}, "expected a string"),
        ({"results": {"a": [{"segment": [1, 2], "score": 1}]}}, "'label' is missing"),
        ({"results": {"a": [{"label": "x", "segment": [1, 2], "score": "1"}]}}, "expected a number"),
        ({"results": {"a": {"label": "x"}}}, "expected a list"),
        ({"database": {"a": {}}}, "'annotations' is missing"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, document: Any, says: str) -> None:
    (tmp_path / "a.json").write_text(json.dumps(document))
    with pytest.raises(DataError, match=says):
        activitynet.read(tmp_path / "a.json", {"a": CLOCK})
