from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from wherewhen.core import extents as ext
from wherewhen.core.errors import DataError
from wherewhen.core.values import Scores
from wherewhen.formats import Annotated, Clock, cvat

CLOCK = Clock.steady(20, 10, 640, 480)


def document(tracks: str, name: str = "interpolation") -> str:
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version><meta><task>'
        f"<name>{name}</name><size>20</size><mode>interpolation</mode></task></meta>{tracks}</annotations>"
    )


def box(frame: object, x: float, outside: int = 0, more: str = "") -> str:
    place = f'xtl="{x}" ytl="10.00" xbr="{x + 20}" ybr="40.00"'
    return f'<box frame="{frame}" {place} outside="{outside}" occluded="0" keyframe="1" {more}></box>'


def read(folder: Path, tracks: str) -> Annotated:
    (folder / "a.xml").write_text(document(tracks))
    (found,) = cvat.read(folder / "a.xml", {"interpolation": CLOCK})
    return found


def test_outside_is_the_first_frame_without_the_object_as_in_the_documentations_example(tmp_path: Path) -> None:
    keys = [(0, 0), (1, 1), (6, 0), (7, 1), (13, 0), (14, 1)]
    track = "".join(box(frame, 100, outside) for frame, outside in keys)
    found = read(tmp_path, f'<track id="0" label="car">{track}</track>')
    assert ext.frames_of(found.boxes.extents, CLOCK.edges).tolist() == [[0, 1], [6, 7], [13, 14]]
    assert ext.to_pixels(found.boxes.extents, 640, 480)[0].tolist() == [100, 10, 120, 40]
    assert found.names == {0: "car"}


def test_boxes_move_linearly_between_keys_and_stay_after_the_last(tmp_path: Path) -> None:
    found = read(tmp_path, f'<track id="4" label="anomaly">{box(15, 100)}{box(18, 130)}</track>')
    assert ext.frames_of(found.boxes.extents, CLOCK.edges)[:, 0].tolist() == [15, 16, 17, 18, 19]
    np.testing.assert_allclose(ext.to_pixels(found.boxes.extents, 640, 480)[:, 0], [100, 110, 120, 130, 130])
    assert set(found.boxes.track.tolist()) == {4}
    assert found.names == {}


def test_a_turned_box_is_read_as_the_upright_box_around_it(tmp_path: Path) -> None:
    turned = box(19, 100, more='rotation="90"')
    found = read(tmp_path, f'<track id="0" label="car">{turned}</track>')
    np.testing.assert_allclose(ext.to_pixels(found.boxes.extents, 640, 480), [[95, 15, 125, 35]], atol=1e-9)


def test_a_gap_is_written_as_outside_and_the_end_of_the_video_is_not(tmp_path: Path) -> None:
    frames = [3, 4, 18, 19]
    times = [[f / 10, (f + 1) / 10] for f in frames]
    boxes = Scores(ext.from_pixels([[1, 2, 30, 40]] * 4, times, 640, 480), [0.5] * 4, [7] * 4)
    cvat.write(tmp_path / "a.xml", [Annotated("a", CLOCK, boxes, names={7: "<fall> & é"})])
    root = ElementTree.parse(tmp_path / "a.xml").getroot()
    track = root.find("track")
    assert track is not None
    assert (track.get("id"), track.get("label")) == ("7", "<fall> & é")
    assert [(entry.get("frame"), entry.get("outside")) for entry in track] == [
        ("3", "0"), ("4", "0"), ("5", "1"), ("18", "0"), ("19", "0"),
    ]  # fmt: skip
    assert root.findtext("meta/task/size") == "20"
    assert root.findtext("meta/task/original_size/width") == "640"
    assert root.findtext("meta/task/labels/label/name") == "<fall> & é"


def test_of_two_boxes_of_a_track_in_a_frame_the_higher_score_stays(tmp_path: Path) -> None:
    boxes = ext.from_pixels([[1, 2, 30, 40], [5, 6, 7, 8]], [[0, 0.1]] * 2, 640, 480)
    cvat.write(tmp_path / "a.xml", [Annotated("a", CLOCK, Scores(boxes, [0.1, 0.9], [0, 0]))])
    (found,) = cvat.read(tmp_path / "a.xml", {"a": CLOCK})
    assert found.boxes.values.tolist() == [0.9]
    assert ext.to_pixels(found.boxes.extents, 640, 480).round(6).tolist() == [[5, 6, 7, 8]]


def test_one_file_holds_one_video(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds one video, got 2"):
        cvat.write(tmp_path / "a.xml", [Annotated("a", CLOCK), Annotated("b", CLOCK)])
    with pytest.raises(DataError, match="XML can't hold"):
        cvat.write(tmp_path / "a.xml", [Annotated("a\x00", CLOCK)])


LAUGHS = '<!DOCTYPE a [<!ENTITY b "ha">' + "".join(
    f'<!ENTITY b{k} "{"&b;" if not k else f"&b{k - 1};" * 10}">' for k in range(12)
)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f'<?xml version="1.0"?>{LAUGHS}]><annotations>&b11;</annotations>', "declares a document type or entities"),
        ('<!DOCTYPE a SYSTEM "file:///etc/passwd"><annotations/>', "declares a document type or entities"),
        ('<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]><annotations>&e;</annotations>', "declares a document"),
        ("<annotations>&e;</annotations>", "not XML"),
        ("<annotations>", "not XML"),
        ("", "not XML"),
        ("<a>" * 5000, "nested too deeply"),
        ("<html/>", "expected <annotations>"),
        ("<annotations><image/></annotations>", "CVAT for images"),
    ],
)
def test_hostile_or_other_xml_is_refused(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(DataError, match=says):
        cvat.read(tmp_path / "a.xml", {"a": CLOCK})


def test_a_document_type_does_not_hide_in_another_encoding(tmp_path: Path) -> None:
    text = '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE a [<!ENTITY e "x">]><annotations>&e;</annotations>'
    (tmp_path / "a.xml").write_bytes(text.encode("utf-16"))
    with pytest.raises(DataError, match="UTF-8"):
        cvat.read(tmp_path / "a.xml", {"a": CLOCK})


@pytest.mark.parametrize(
    ("tracks", "says"),
    [
        (f'<track id="0">{box(20, 1)}</track>', "frames 20 to 20, but the video has 20"),
        (f'<track id="0">{box(-1, 1)}</track>', "frames -1"),
        (f'<track id="0">{box(1, 1)}{box(1, 2)}</track>', "two boxes in frame 1"),
        (f'<track id="0">{box("x", 1)}</track>', "frame: expected a number, got 'x'"),
        (f'<track id="0">{box(1, float("nan"))}</track>', "xtl: expected a number of finite"),
        ('<track id="0"><box frame="1" xtl="1"/></track>', "'ytl' is missing"),
        ("<track><box/></track>", "'id' is missing"),
        ('<track id="0"/><track id="0"/>', "unique"),
        (f'<track id="0">{box(1, 700)}</track>', "outside the picture"),
    ],
)
def test_a_bad_track_is_named(tmp_path: Path, tracks: str, says: str) -> None:
    with pytest.raises(DataError, match=says):
        read(tmp_path, tracks)
