from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wherewhen.core import extents as ext
from wherewhen.core.errors import DataError
from wherewhen.core.values import Event, Scores
from wherewhen.formats import Annotated, Clock, fiftyone

CLOCK = Clock.steady(9, 30, 200, 100, "clips/a.avi")
# The frame of the ETA guide, in short.
OBJECT = {
    "label": "car",
    "bounding_box": {"bottom_right": {"y": 1.0, "x": 1.0}, "top_left": {"y": 0.0, "x": 0.5}},
    "confidence": 0.9,
    "index": 1,
}
FRAME = {"frame_number": 1, "objects": {"objects": [OBJECT]}}


def folder(root: Path, labels: Any = None, events: Any = None, file: str = "labels/a.json") -> Path:
    (root / "labels").mkdir(exist_ok=True)
    if labels is not None:
        index = [{"data": "data/a.mp4", "labels": file}]
        manifest = {"type": "eta.core.datasets.LabeledVideoDataset", "description": "", "index": index}
        (root / "manifest.json").write_text(json.dumps(manifest))
        (root / "labels/a.json").write_text(json.dumps(labels))
    if events is not None:
        (root / "labels.json").write_text(json.dumps(events))
    return root


def read(root: Path) -> Annotated:
    (found,) = fiftyone.read(root, {"a": CLOCK})
    return found


def test_frames_count_from_one_and_corners_are_shares_of_the_picture(tmp_path: Path) -> None:
    found = read(folder(tmp_path, {"frames": {"1": FRAME, "2": {"attrs": {}}}}))
    assert ext.frames_of(found.boxes.extents, CLOCK.edges).tolist() == [[0, 1]]
    assert found.boxes.extents[0, 2:].tolist() == [0.5, 0, 1, 1]
    assert (found.boxes.values.tolist(), found.boxes.track.tolist()) == ([0.9], [1])
    assert found.names == {1: "car"}


def test_support_is_first_and_last_frame_and_timestamps_are_seconds(tmp_path: Path) -> None:
    listed = [{"label": 1, "support": [2, 5], "confidence": 0.95}, {"label": "b", "timestamps": [0.1, 0.2]}]
    found = read(folder(tmp_path, events={"classes": ["x", "meeting"], "labels": {"a": listed}}))
    first, second = found.events
    assert (first.start, first.end) == pytest.approx((1 / 30, 5 / 30))
    assert (first.category, first.score) == ("meeting", 0.95)
    assert (second.start, second.end, second.category) == (0.1, 0.2, "b")


def test_what_is_written(tmp_path: Path) -> None:
    boxes = Scores(ext.from_pixels([[20, 10, 60, 60]], [[1 / 30, 2 / 30]], 200, 100), [0.5], [0])
    event = Event(np.array([[1 / 30, 5 / 30, 0, 0, 1, 1]]), 0.9)
    fiftyone.write(tmp_path, [Annotated("a", CLOCK, boxes, (event,))])
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["index"] == [{"data": "data/a.avi", "labels": "labels/a.json"}]
    frames = json.loads((tmp_path / "labels/a.json").read_text())["frames"]
    assert list(frames) == ["2"]
    (found,) = frames["2"]["objects"]["objects"]
    assert found["bounding_box"] == {"top_left": {"x": 0.1, "y": 0.1}, "bottom_right": {"x": 0.3, "y": 0.6}}
    assert (found["frame_number"], found["index"]) == (2, 0)
    events = json.loads((tmp_path / "labels.json").read_text())["labels"]
    assert events == {"a": [{"label": "anomaly", "support": [2, 5], "confidence": 0.9}]}


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ({"frames": {"0": FRAME}}, "frames count from 1"),
        ({"frames": {"10": FRAME}}, "frame 9 .*has 9 frames"),
        ({"frames": {"x": FRAME}}, "expected a number, got 'x'"),
        ({"frames": []}, "expected an object"),
        ({"frames": {"1": {"objects": {"objects": [{"label": "a"}]}}}}, "'bounding_box' is missing"),
    ],
)
def test_bad_labels_are_named(tmp_path: Path, labels: Any, says: str) -> None:
    with pytest.raises(DataError, match=says):
        read(folder(tmp_path, labels))


@pytest.mark.parametrize(
    ("event", "says"),
    [
        ({"label": "a", "support": [0, 2]}, "frames -1 to 2"),
        ({"label": "a", "support": [5, 4]}, "frames 4 to 4"),
        ({"label": 3, "support": [1, 2]}, "class 3, but 0 classes"),
        ({"label": "a", "timestamps": [2, 1]}, "ends before it starts"),
        ({"label": "a"}, "'timestamps' is missing"),
    ],
)
def test_a_bad_event_is_named(tmp_path: Path, event: Any, says: str) -> None:
    with pytest.raises(DataError, match=says):
        read(folder(tmp_path, events={"labels": {"a": [event]}}))


def test_a_manifest_does_not_lead_out_of_its_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="leads out of the folder"):
        read(folder(tmp_path, {}, file="../../secret.json"))


def test_an_empty_folder_is_no_export(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is this a FiftyOne export"):
        fiftyone.read(tmp_path, {})
