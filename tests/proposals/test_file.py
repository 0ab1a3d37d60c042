from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wherewhen.errors import ConfigError, DataError
from wherewhen.formats import Annotated, Clock, coco, cvat, mot
from wherewhen.proposals.file import File, FileConfig
from wherewhen.values import Frame, Scores

CLOCK = Clock.steady(12, 10, 80, 60)
BOXES = Scores(
    [[k / 10, (k + 1) / 10, 0.1 + k / 40, 0.25, 0.4 + k / 40, 0.75] for k in range(2, 9)],
    np.full(7, 0.75),
    np.full(7, 4),
)
VIDEO = Annotated("clip", CLOCK, BOXES, names={4: "cart"})


def frames(count: int = 12, index: int = 0) -> list[Frame]:
    return [Frame(np.zeros((60, 80, 3), np.uint8), k, k / 10 + 5, (k + 1) / 10 + 5) for k in range(index, count)]


@pytest.mark.parametrize(
    ("form", "name", "module", "called"),
    [("mot", "m", mot, ""), ("coco", "c.json", coco, "cart"), ("cvat", "c.xml", cvat, "cart")],
)
def test_what_was_written_comes_back_frame_by_frame(
    form: str, name: str, module: Any, called: str, tmp_path: Path
) -> None:
    module.PLUGIN.write(tmp_path / name, [VIDEO])
    source = File(FileConfig(path=str(tmp_path / name), format=form))
    found = list(source(frames()))
    assert [len(boxes.values) for boxes in found] == [0, 0] + [1] * 7 + [0] * 3
    for k in range(2, 9):
        boxes = found[k]
        np.testing.assert_allclose(boxes.extents[0, 2:], BOXES.extents[k - 2, 2:], atol=1e-6)
        assert boxes.extents[0, :2].tolist() == [boxes.start, boxes.end] == [k / 10 + 5, (k + 1) / 10 + 5]
        assert boxes.values.tolist() == [0.75] and boxes.names == ((called,) if called else ())
    assert source.tracks and {int(t) for boxes in found for t in boxes.track} == {4}
    again = File(FileConfig(path=str(tmp_path / name), format=form, relink=True, confidence=0.5))
    found = list(again(frames(index=3)))
    assert not again.tracks and {int(t) for boxes in found for t in boxes.track} == {-1}
    assert found[0].values.tolist() == [0.5]


def test_a_file_that_does_not_fit_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="say which file"):
        File(FileConfig())
    with pytest.raises(ConfigError, match="did you mean 'coco'"):
        FileConfig(format="cocoo")
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "a.txt").write_text("1,1,1,1,20,20,57,-1,-1,-1\n")
    with pytest.raises(DataError, match="confidence from 57 to 57; expected numbers in"):
        list(File(FileConfig(path=str(tmp_path / "m")))(frames()))
    (tmp_path / "m" / "b.txt").write_text("1,1,1,1,20,20,0.5,-1,-1,-1\n")
    with pytest.raises(ConfigError, match="holds 2 videos; say which"):
        list(File(FileConfig(path=str(tmp_path / "m")))(frames()))
    with pytest.raises(ConfigError, match="unknown video"):
        list(File(FileConfig(path=str(tmp_path / "m"), video="c"))(frames()))
    assert len(next(iter(File(FileConfig(path=str(tmp_path / "m"), video="b"))(frames()))).values) == 1
    (tmp_path / "m" / "b.txt").write_text("1,1,300,1,20,20,0.5,-1,-1,-1\n")
    with pytest.raises(DataError, match="outside the picture"):
        list(File(FileConfig(path=str(tmp_path / "m"), video="b"))(frames()))


def test_score_and_classes_choose(tmp_path: Path) -> None:
    coco.PLUGIN.write(tmp_path / "c.json", [VIDEO])
    for settings, count in (({"score": 0.8}, 0), ({"classes": ("cart",)}, 7), ({"classes": ("bike",)}, 0)):
        source = File(FileConfig(path=str(tmp_path / "c.json"), format="coco", **settings))
        assert sum(len(boxes.values) for boxes in source(frames())) == count
