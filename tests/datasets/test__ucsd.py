import json

import cv2
import numpy as np
import pytest

from wherewhen.core import registry
from wherewhen.core.diagnostics import listening
from wherewhen.core.errors import DataError
from wherewhen.datasets import _ucsd

PED1, PED2 = (registry.load("datasets", f"ucsd_ped{n}") for n in (1, 2))


def row(*spans):
    return f"TestVideoFile{{end+1}}.gt_frame = [{', '.join(spans)}];\n"


def paint(path, *boxes, size=(240, 360)):
    picture = np.zeros(size, np.uint8)
    for x0, y0, x1, y1 in boxes:
        picture[y0:y1, x0:x1] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), picture)


@pytest.fixture
def small(tmp_path):
    """Ped2 with pictures for the first test clip (4 frames) and its masks; the other clips in videos.json."""
    home = tmp_path / "UCSDped2"
    for number in range(1, 5):
        paint(home / f"Test/Test001/{number:03d}.tif", (0, 0, 9, 9))
        boxes = [(36, 24, 72, 48), (180, 120, 360, 240)] if number in (2, 3) else []
        paint(home / f"Test/Test001_gt/{number:03d}.bmp", *boxes)
    (home / "Test/UCSDped2.m").write_text("TestVideoFile = {};\n" + row("2:3") + row("1:180") * 11)
    lengths = {f"Test{n:03d}": {"frames": 180} for n in range(2, 13)} | {"Train001": {"frames": 120}}
    (tmp_path / "videos.json").write_text(json.dumps(lengths))
    return tmp_path


def test_frames_count_from_one_with_their_end_included(small):
    truths = PED2.truth(small)
    truth = truths["Test001"]
    assert truth.spans.tolist() == [[0.1, 0.3]]
    assert len(truth.edges) == 5, "the length is the number of pictures"
    assert truth.boxes[:2].tolist() == [[0.1, 0.2, 0.1, 0.1, 0.2, 0.2], [0.1, 0.2, 0.5, 0.5, 1, 1]]
    assert truth.masks().sum() == 2 * (36 * 24 + 180 * 120)
    assert truth.boxed.all()
    assert truths["Train001"].label == 0
    assert not truths["Test002"].boxed.any(), "a clip without masks has unknown boxes"


def test_the_root_may_be_the_folder_itself_and_videos_may_be_files(small):
    (small / "videos").mkdir()
    (small / "videos/Train001.mp4").touch()
    fold = PED2.load(small).folds[0]
    assert fold.train[0].path == small / "videos/Train001.mp4"
    assert fold.test[0].path == small / "UCSDped2/Test/Test001"
    assert PED2.matches(small / "UCSDped2") and not PED1.matches(small)
    assert len(PED2.load(small / "UCSDped2").videos) == 28


def test_odd_masks_and_rows_are_told(small):
    paint(small / "UCSDped2/Test/Test001_gt/002.bmp", size=(158, 238))
    with pytest.raises(DataError, match="mask-shape"):
        PED2.truth(small)
    (small / "UCSDped2/Test/UCSDped2.m").write_text(row("60:10") + row("x") + row("1:9"))
    with listening() as found:
        PED2.truth(small)
    assert {"mask-shape", "span-reversed", "row-malformed", "count-mismatch"} == {f.kind for f in found}


def test_ped1_knows_its_own_size_and_several_spans(tmp_path):
    home = tmp_path / "UCSDped1/Test"
    paint(home / "Test004_gt/005.bmp", (0, 0, 119, 79), size=(158, 238))
    (home / "UCSDped1.m").write_text(row("60:152") * 4 + row("5:90", "140:200") + row("7") + row("1:9") * 30)
    (tmp_path / "videos.json").write_text(json.dumps({f"Test{n:03d}": {"frames": 200} for n in range(1, 37)}))
    assert PED1.matches(tmp_path)
    with listening() as found:
        truths = PED1.truth(tmp_path)
    assert {f.kind for f in found} == {"box-outside-span"}
    assert truths["Test005"].spans.tolist() == [[0.4, 9.0], [13.9, 20.0]]
    assert truths["Test006"].spans.tolist() == [[0.6, 0.7]]
    assert truths["Test004"].boxes.tolist() == [[0.4, 0.5, 0, 0, 0.5, 0.5]]
    assert len(PED1.load(tmp_path).videos) == 70


def test_a_missing_annotation_is_named(tmp_path):
    with pytest.raises(DataError, match=r"UCSDped2.m not found"):
        PED2.load(tmp_path)


def test_the_real_spans_are_those_of_the_real_masks(link, probe, official):
    known = json.loads((official.parent / "data/ped2/gt.json").read_text())
    root = link({"UCSDped2/Test": "ucsd_ped/UCSDped2/Test"})
    assert PED2.matches(root)
    rows = _ucsd.spans(root / "UCSDped2/Test/UCSDped2.m")
    assert rows[0] == [(61, 180)] and len(rows) == 12
    probe({key: clip["frames"] for key, clip in known.items()})
    truths = PED2.truth(root)
    assert len(truths) == 28
    assert sum(int(t.frames.sum()) for t in truths.values()) == 1648
    for key, clip in known.items():
        spans = clip.get("segments_0based_halfopen", [])
        assert np.rint(truths[key].spans * 10).astype(int).tolist() == spans
    boxes = truths["Test001"].boxes
    assert np.rint(np.unique(boxes[:, 0]) * 10).tolist() == [60, 99], "061.bmp and 100.bmp; 060.bmp is empty"
    scaled = (boxes[0, 2:] * [360, 240, 360, 240]).round().astype(int).tolist()
    assert scaled in known["Test001"]["boxes"]["60"]
    assert truths["Test001"].boxed[[59, 60, 61, 99]].tolist() == [True, True, False, True]
