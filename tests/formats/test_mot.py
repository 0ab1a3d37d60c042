from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from wherewhen.core import extents as ext
from wherewhen.core.errors import DataError
from wherewhen.core.values import Scores
from wherewhen.formats import Annotated, Clock, mot

CLOCK = Clock.steady(5, 25, 1920, 1080)


def test_the_example_of_the_instructions_counts_frames_ids_and_pixels_from_one(tmp_path: Path) -> None:
    (tmp_path / "S.txt").write_text("1, 3, 794.27, 247.59, 71.245, 174.88, -1, -1, -1, -1\n")
    (found,) = mot.read(tmp_path, {"S": CLOCK})
    assert found.boxes.track.tolist() == [2]
    assert found.boxes.values.tolist() == [-1]
    np.testing.assert_allclose(found.boxes.extents[0, :2], [0, 0.04])
    pixels = ext.to_pixels(found.boxes.extents, 1920, 1080)[0]
    np.testing.assert_allclose(pixels, [793.27, 246.59, 793.27 + 71.245, 246.59 + 174.88])


def test_the_example_line_of_cvats_ground_truth_with_its_class(tmp_path: Path) -> None:
    folder = tmp_path / "S/gt"
    folder.mkdir(parents=True)
    (folder / "gt.txt").write_text("1,1,1363,569,103,241,1,1,0.86014\n2,2,1,1,9,9,0,1,1\n")
    (folder / "labels.txt").write_text("cat\ndog\nperson\n")
    (found,) = mot.read(tmp_path, {"S": CLOCK}, kind="gt")
    assert ext.to_pixels(found.boxes.extents, 1920, 1080).round(9).tolist() == [[1362, 568, 1465, 809]]
    assert found.names == {0: "cat"}


def test_what_is_written_is_one_based(tmp_path: Path) -> None:
    boxes = Scores(ext.from_pixels([[0, 0, 10, 20]], [[0.04, 0.08]], 1920, 1080), [0.5], [0])
    video = Annotated("a", CLOCK, boxes)
    for kind, file, line in (
        ("results", "a.txt", "2,1,1,1,10,20,0.5,-1,-1,-1\n"),
        ("det", "a/det/det.txt", "2,-1,1,1,10,20,0.5,-1,-1,-1\n"),
        ("gt", "a/gt/gt.txt", "2,1,1,1,10,20,1,1,1\n"),
    ):
        mot.write(tmp_path, [video], kind=kind)
        assert (tmp_path / file).read_text() == line
    assert "seqLength=5\nimWidth=1920\nimHeight=1080\n" in (tmp_path / "a/seqinfo.ini").read_text()


def test_seqinfo_is_the_clock_where_the_caller_has_none(tmp_path: Path) -> None:
    mot.write(tmp_path, [Annotated("a", CLOCK)], kind="gt")
    (found,) = mot.read(tmp_path, kind="gt")
    np.testing.assert_allclose(found.clock.edges, CLOCK.edges)
    assert (found.clock.width, found.clock.height) == (1920, 1080)


@pytest.mark.parametrize(
    ("info", "says"),
    [
        ("", "'Sequence' is missing"),
        ("[Sequence]\nseqLength=3\n", "'imwidth' is missing|'imWidth' is missing"),
        ("[Sequence]\nseqLength=9e15\nimWidth=1\nimHeight=1\nframeRate=1", "can't be"),
        ("[Sequence]\nseqLength=3\nimWidth=1\nimHeight=1\nframeRate=0", "can't be"),
        ("[Sequence]\nseqLength=3\nimWidth=0\nimHeight=1\nframeRate=1", "at least one pixel"),
        ("[Sequence]\nseqLength=x\nimWidth=1\nimHeight=1\nframeRate=1", "seqLength: expected a number"),
        ("no section", "seqinfo.ini"),
    ],
)
def test_a_bad_seqinfo_is_refused(tmp_path: Path, info: str, says: str) -> None:
    mot.write(tmp_path, [Annotated("a", CLOCK)], kind="gt")
    (tmp_path / "a/seqinfo.ini").write_text(info)
    with pytest.raises(DataError, match=says):
        mot.read(tmp_path, kind="gt")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("0,1,1,1,2,2,1,-1,-1,-1", "frames count from 1"),
        ("1,0,1,1,2,2,1,-1,-1,-1", "ids count from 1"),
        ("6,1,1,1,2,2,1,-1,-1,-1", "frame 5 .*has 5 frames"),
        ("1,1,1,1,-2,2,1,-1,-1,-1", "ends before it starts"),
        ("1,1,1,1,2,2", "expected 7 to 10 numbers"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, says: str) -> None:
    (tmp_path / "a.txt").write_text(line)
    with pytest.raises(DataError, match=says):
        mot.read(tmp_path, {"a": CLOCK})


def test_a_class_that_labels_do_not_name_is_refused(tmp_path: Path) -> None:
    boxes = Scores(np.array([[0, 0.04, 0, 0, 1, 1]]), [1.0], [0])
    mot.write(tmp_path, [Annotated("a", CLOCK, boxes)], kind="gt")
    (tmp_path / "a/gt/labels.txt").write_text("")
    assert mot.read(tmp_path, kind="gt")[0].names == {}
    (tmp_path / "a/gt/gt.txt").write_text("1,1,1,1,9,9,1,3,1")
    (tmp_path / "a/gt/labels.txt").write_text("cat\n")
    with pytest.raises(DataError, match=r"class 3, but labels\.txt names 1"):
        mot.read(tmp_path, kind="gt")


def test_ground_truth_wants_tracks(tmp_path: Path) -> None:
    boxes = Scores(np.array([[0, 0.04, 0, 0, 1, 1]]), [1.0])
    with pytest.raises(DataError, match="track number for every box"):
        mot.write(tmp_path, [Annotated("a", CLOCK, boxes)], kind="gt")
