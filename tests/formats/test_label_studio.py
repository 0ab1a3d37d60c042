from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wherewhen.core import extents as ext
from wherewhen.core.errors import DataError
from wherewhen.core.values import Event, Scores
from wherewhen.formats import Annotated, Clock, label_studio

CLOCK = Clock.steady(131, 24, 200, 100)


def key(frame: int, x: float, enabled: bool = True, **more: Any) -> dict[str, Any]:
    return {"frame": frame, "enabled": enabled, "rotation": 0, "x": x, "y": 10, "width": 20, "height": 50} | more


def task(*results: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"id": 1, "data": {"video": "/files/opossum_intro.webm"}, "annotations": [{"result": list(results)}]}]


def track(*keys: dict[str, Any], name: str = "RRxnu061g3") -> dict[str, Any]:
    value = {"framesCount": 131, "duration": 5.425, "sequence": list(keys), "labels": ["Label 1"]}
    return {"id": name, "type": "videorectangle", "from_name": "box", "to_name": "video", "value": value}


def read(path: Path, document: Any) -> Annotated:
    path.write_text(json.dumps(document))
    (found,) = label_studio.read(path, {"opossum_intro": CLOCK})
    return found


def test_frames_count_from_one_and_the_key_that_is_not_enabled_is_the_last_that_shows(tmp_path: Path) -> None:
    found = read(tmp_path / "a.json", task(track(key(1, 10, time=1 / 24), key(3, 20, enabled=False, time=0.125))))
    assert ext.frames_of(found.boxes.extents, CLOCK.edges).tolist() == [[0, 1], [1, 2], [2, 3]]
    np.testing.assert_allclose(
        ext.to_pixels(found.boxes.extents, 200, 100), [[20, 10, 60, 60], [30, 10, 70, 60], [40, 10, 80, 60]]
    )
    assert found.names == {0: "Label 1"}
    assert found.boxes.values.tolist() == [1, 1, 1]


def test_an_enabled_last_key_stays_to_the_end(tmp_path: Path) -> None:
    found = read(tmp_path / "a.json", task(track(key(130, 10))))
    assert ext.frames_of(found.boxes.extents, CLOCK.edges).tolist() == [[129, 130], [130, 131]]


def test_the_range_of_a_timeline_includes_its_end(tmp_path: Path) -> None:
    moving = {"type": "timelinelabels", "value": {"ranges": [{"start": 3, "end": 5}], "timelinelabels": ["Moving"]}}
    (event,) = read(tmp_path / "a.json", task(moving)).events
    assert (event.start, event.end) == (2 / 24, 5 / 24)
    assert event.category == "Moving"


def test_a_turned_box_is_read_as_the_upright_box_around_it(tmp_path: Path) -> None:
    found = read(tmp_path / "a.json", task(track(key(131, 50, rotation=90))))
    # 40 x 50 pixels turned a quarter clockwise about the corner at (100, 10) reach left and down.
    np.testing.assert_allclose(ext.to_pixels(found.boxes.extents, 200, 100), [[50, 10, 100, 50]], atol=1e-9)


def test_regions_of_others_get_numbers_that_are_free(tmp_path: Path) -> None:
    found = read(
        tmp_path / "a.json",
        task(track(key(131, 1), name="xyz"), track(key(131, 2), name="track4"), track(key(131, 3), name="box0")),
    )
    assert found.boxes.track.tolist() == [5, 4, -1]


def test_what_is_written(tmp_path: Path) -> None:
    boxes = Scores(
        ext.from_pixels([[20, 10, 60, 60]] * 2, [[0, 1 / 24], [1 / 24, 2 / 24]], 200, 100), [0.5, 0.75], [0, 0]
    )
    event = Event(np.array([[2 / 24, 5 / 24, 0, 0, 1, 1]]), 0.9, "Moving")
    label_studio.write(tmp_path / "a.json", [Annotated("a", CLOCK, boxes, (event,))])
    (written,) = json.loads((tmp_path / "a.json").read_text())
    (prediction,) = written["predictions"]
    assert prediction["score"] == 0.9
    first, second = prediction["result"]
    keys = first["value"]["sequence"]
    assert [(k["frame"], k["enabled"], k["score"]) for k in keys] == [(1, True, 0.5), (2, False, 0.75)]
    assert [k["time"] for k in keys] == [1 / 24, 2 / 24]
    assert (keys[0]["x"], keys[0]["y"], keys[0]["width"], keys[0]["height"]) == pytest.approx((10, 10, 20, 50))
    assert first["value"]["framesCount"] == 131
    assert second["value"] == {"ranges": [{"start": 3, "end": 5}], "timelinelabels": ["Moving"]}


def test_annotations_come_before_predictions_and_kind_chooses(tmp_path: Path) -> None:
    document = task(track(key(131, 1)))
    document[0]["predictions"] = [{"result": []}]
    assert len(read(tmp_path / "a.json", document).boxes.values) == 1
    (found,) = label_studio.read(tmp_path / "a.json", {"opossum_intro": CLOCK}, kind="predictions")
    assert len(found.boxes.values) == 0


@pytest.mark.parametrize(
    ("region", "says"),
    [
        (track(key(0, 1)), "frame 0, but the video has 131, counted from 1"),
        (track(key(132, 1)), "frame 132"),
        (track(key(1, 1), key(1, 2)), "frame 1 is repeated"),
        (track(key(1, 1, enabled=1)), "expected true or false, got 1"),  # type: ignore[arg-type]
        (track({"frame": 1}), "'x' is missing"),
        (track(key(1, 150)), "outside the picture"),
        ({"type": "timelinelabels", "value": {"ranges": [{"start": 5, "end": 4}]}}, "frames 4 to 4"),
        ({"type": "videorectangle", "value": {}}, "'sequence' is missing"),
        ({"value": {}}, "'type' is missing"),
    ],
)
def test_a_bad_region_is_named(tmp_path: Path, region: dict[str, Any], says: str) -> None:
    with pytest.raises(DataError, match=says):
        read(tmp_path / "a.json", task(region))
