from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from wherewhen.core import extents as ext
from wherewhen.core.errors import DataError, OutputError
from wherewhen.core.outputs import MANIFEST
from wherewhen.core.values import Scores
from wherewhen.formats import Annotated, Clock, rbdc

SHARED = Path(os.environ.get("WHEREWHEN_SHARED", Path(__file__).parents[2] / "../shared"))
CASES = SHARED / "golden/metric_rbdc_tbdc"
CLOCK = Clock.steady(300, 10, 856, 480)


def numbers(file: Path) -> list[list[float]]:
    return [[float(cell) for cell in line.split(",")] for line in file.read_text().splitlines()]


def test_frames_count_from_zero_and_the_last_pixel_belongs_to_the_box(tmp_path: Path) -> None:
    (tmp_path / "01.txt").write_text("0,10,20,50,90,0.5\n1,11,20,855,90,0.51\n")
    (found,) = rbdc.read(tmp_path, {"01": CLOCK})
    assert ext.frames_of(found.boxes.extents, CLOCK.edges).tolist() == [[0, 1], [1, 2]]
    assert ext.to_pixels(found.boxes.extents, 856, 480).round(9).tolist() == [[10, 20, 51, 91], [11, 20, 856, 91]]
    assert found.boxes.values.tolist() == [0.5, 0.51]


def test_tracks_are_written_track_by_track(tmp_path: Path) -> None:
    boxes = ext.from_pixels([[1, 2, 3, 4.5]] * 3, [[0.1, 0.2], [0, 0.1], [0, 0.1]], 856, 480)
    rbdc.write(tmp_path, [Annotated("a", CLOCK, Scores(boxes, [1, 1, 1], [5, 0, 5]))], kind="tracks")
    assert (tmp_path / "a.txt").read_text() == "0,0,1,2,2,3.5\n5,0,1,2,2,3.5\n5,1,1,2,2,3.5\n"


def test_a_box_without_a_track_is_no_line_of_a_track_file(tmp_path: Path) -> None:
    boxes = Scores(np.array([[0, 0.1, 0, 0, 1, 1]]), [1.0])
    with pytest.raises(DataError, match="track number for every box"):
        rbdc.write(tmp_path, [Annotated("a", CLOCK, boxes)], kind="tracks")


def test_a_video_without_boxes_has_no_file_not_even_an_old_one(tmp_path: Path) -> None:
    boxes = Scores(np.array([[0, 0.1, 0, 0, 1, 1]]), [1.0])
    rbdc.write(tmp_path, [Annotated("a", CLOCK, boxes)])
    rbdc.write(tmp_path, [Annotated("a", CLOCK)])
    assert [path.name for path in tmp_path.iterdir()] == [MANIFEST]
    (tmp_path / "a.txt").write_text("somebody's")
    with pytest.raises(OutputError, match=r"a\.txt: is to be removed, but this toolkit did not write it"):
        rbdc.write(tmp_path, [Annotated("a", CLOCK)])
    (tmp_path / "a.txt").unlink()
    (found,) = rbdc.read(tmp_path, {"a": CLOCK})
    assert len(found.boxes.values) == 0


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("1,2,3,4,5", "line 1: expected 6 numbers between commas, got 5"),
        ("1,2,3,4,5,nan", "line 1: expected a number of finite"),
        ("1,2,3,4,5,x", "line 1: expected a number, got 'x'"),
        ("1.5,2,3,4,5,1", "line 1: expected a whole number"),
        ("300,2,3,4,5,1", "frame 300 .*has 300 frames"),
        ("-1,2,3,4,5,1", "frame -1"),
        ("1,9,3,4,5,1", "ends before it starts"),
        ("1,900,3,901,5,1", "is its size 856x480"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, says: str) -> None:
    (tmp_path / "a.txt").write_text(line)
    with pytest.raises(DataError, match=says):
        rbdc.read(tmp_path, {"a": CLOCK})


@pytest.mark.skipif(not CASES.is_dir(), reason="needs golden/metric_rbdc_tbdc in the shared material")
@pytest.mark.parametrize("kind", rbdc.KINDS)
@pytest.mark.parametrize("case", ["case1_perfect", "case3_random", "case4_overlaps_ties_duplicates"])
def test_the_evaluators_own_files_come_back_line_for_line(tmp_path: Path, case: str, kind: str) -> None:
    source = CASES / case / kind
    clocks = {file.stem: CLOCK for file in source.glob("*.txt")}
    rbdc.write(tmp_path, rbdc.read(source, clocks, kind=kind), kind=kind)
    for file in source.glob("*.txt"):
        assert numbers(tmp_path / file.name) == numbers(file)


TRACKS = SHARED / "annotations/shanghaitech/tracks"


@pytest.mark.skipif(not TRACKS.is_dir(), reason="needs annotations/shanghaitech in the shared material")
def test_the_published_tracks_start_and_end_with_the_published_frame_masks(tmp_path: Path) -> None:
    masks = {file.stem: np.load(file) for file in (TRACKS.parent / "test_frame_mask").glob("*.npy")}
    for file in TRACKS.glob("*_*.txt"):
        (tmp_path / file.name).symlink_to(file.resolve())
    clocks = {name: Clock.steady(len(mask), 24, 856, 480) for name, mask in masks.items()}
    tracked = same = 0
    for video in rbdc.read(tmp_path, clocks, kind="tracks"):
        if len(video.boxes.values):
            frames = ext.frames_of(video.boxes.extents, video.clock.edges)
            on = np.flatnonzero(masks[video.id])
            tracked += 1
            same += (frames[:, 0].min(), frames[:, 1].max()) == (on[0], on[-1] + 1)
    assert tracked == len(list(tmp_path.iterdir()))
    assert same > tracked / 2
