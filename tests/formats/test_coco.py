from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wherewhen.core import extents as ext
from wherewhen.core.errors import DataError
from wherewhen.core.values import Scores
from wherewhen.formats import Annotated, Clock, coco

CLOCK = Clock.steady(3, 25, 64, 48)


def foreign() -> dict[str, Any]:
    """A file with the fields of the TAO annotation format, and no times."""
    return {
        "info": {},
        "videos": [{"id": 7, "name": "v", "width": 64, "height": 48, "neg_category_ids": [], "metadata": {}}],
        "images": [{"id": 30, "video_id": 7, "file_name": "v/2.jpg", "width": 64, "height": 48, "frame_index": 2}],
        "tracks": [{"id": 11, "category_id": 5, "video_id": 7}],
        "annotations": [{"id": 1, "image_id": 30, "track_id": 11, "bbox": [0, 0, 32, 24], "area": 1, "category_id": 5}],
        "categories": [{"id": 5, "name": "car", "synset": "unknown"}],
    }


def read(path: Path, document: Any) -> list[Annotated]:
    path.write_text(json.dumps(document))
    return coco.read(path, {"v": CLOCK})


def test_frames_and_pixels_count_from_zero_and_a_box_is_corner_and_size(tmp_path: Path) -> None:
    (found,) = read(tmp_path / "a.json", foreign())
    assert found.id == "v"
    assert ext.frames_of(found.boxes.extents, CLOCK.edges).tolist() == [[2, 3]]
    assert found.boxes.extents[0, 2:].tolist() == [0, 0, 0.5, 0.5]
    assert found.boxes.track.tolist() == [11]
    assert found.boxes.values.tolist() == [1]
    assert found.names == {11: "car"}


def test_every_frame_is_an_image_and_ids_are_unique_over_videos(tmp_path: Path) -> None:
    boxes = Scores(ext.from_pixels([[2, 4, 10, 20]], [[0.04, 0.08]], 64, 48), [0.5], [0])
    videos = [Annotated(name, CLOCK, boxes, names={0: "fall"}) for name in ("a", "b")]
    coco.write(tmp_path / "a.json", videos)
    file = json.loads((tmp_path / "a.json").read_text())
    assert [image["frame_index"] for image in file["images"]] == [0, 1, 2, 0, 1, 2]
    for part in ("videos", "images", "tracks", "annotations", "categories"):
        numbers = [entry["id"] for entry in file[part]]
        assert len(set(numbers)) == len(numbers)
    second = file["annotations"][1]
    assert second["bbox"] == [2, 4, 8, 16]
    assert second["area"] == 128
    image = next(image for image in file["images"] if image["id"] == second["image_id"])
    assert (image["video_id"], image["frame_index"]) == (2, 1)
    assert {entry["name"] for entry in file["categories"]} == {"anomaly", "fall"}


@pytest.mark.parametrize(
    ("part", "change", "says"),
    [
        ("annotations", {"image_id": 31}, "there is nothing with id 31"),
        ("annotations", {"track_id": 12}, "there is nothing with id 12"),
        ("annotations", {"bbox": [0, 0, 32]}, "expected 4 numbers"),
        ("annotations", {"bbox": [0, 0, -1, 3]}, "ends before it starts"),
        ("annotations", {"bbox": ["0", 0, 1, 3]}, r"bbox\[0\]: expected a number, got '0'"),
        ("annotations", {"image_id": True}, "expected a number, got True"),
        ("images", {"frame_index": 3}, "frame 3 .*has 3 frames"),
        ("images", {"frame_index": -1}, "frame -1"),
        ("tracks", {"id": -11}, "there is nothing with id 11"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, part: str, change: dict[str, Any], says: str) -> None:
    document = foreign()
    document[part][0] |= change
    with pytest.raises(DataError, match=says):
        read(tmp_path / "a.json", document)


def test_an_id_that_stands_twice_is_refused(tmp_path: Path) -> None:
    document = foreign()
    document["images"] *= 2
    with pytest.raises(DataError, match="30 is repeated"):
        read(tmp_path / "a.json", document)


def test_a_clock_that_falls_is_refused(tmp_path: Path) -> None:
    document = foreign()
    document["videos"][0]["metadata"] = {"edges": [0, 2, 1]}
    (tmp_path / "a.json").write_text(json.dumps(document))
    with pytest.raises(DataError, match="rising times"):
        coco.read(tmp_path / "a.json")


def test_scores_that_are_no_numbers_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="finite"):
        Scores(np.zeros((1, 6)), [float("nan")])
