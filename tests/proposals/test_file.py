from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wherewhen.core.errors import ConfigError, DataError, VideoError
from wherewhen.core.values import Frame, Scores, Video
from wherewhen.formats import Annotated, Clock, coco, cvat, mot
from wherewhen.proposals import file
from wherewhen.proposals.file import File, FileConfig, names_of

CLOCK = Clock.steady(12, 10, 80, 60)
BOXES = Scores(
    [[k / 10, (k + 1) / 10, 0.1 + k / 40, 0.25, 0.4 + k / 40, 0.75] for k in range(2, 9)],
    np.full(7, 0.75),
    np.full(7, 4),
)
VIDEO = Annotated("clip", CLOCK, BOXES, names={4: "cart"})


def frames(count: int = 12, index: int = 0, size: tuple[int, int] = (60, 80)) -> list[Frame]:
    return [Frame(np.zeros((*size, 3), np.uint8), k, k / 10 + 5, (k + 1) / 10 + 5) for k in range(index, count)]


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
    with pytest.raises(ConfigError, match="expected the file or folder"):
        File(FileConfig())
    with pytest.raises(ConfigError, match="did you mean 'coco'"):
        FileConfig(format="cocoo")
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "a.txt").write_text("1,1,1,1,20,20,57,-1,-1,-1\n")
    with pytest.raises(DataError, match="confidence from 57 to 57; expected numbers in"):
        list(File(FileConfig(path=str(tmp_path / "m")))(frames()))
    (tmp_path / "m" / "b.txt").write_text("1,1,1,1,20,20,0.5,-1,-1,-1\n")
    with pytest.raises(ConfigError, match="holds 2 videos; set video to one of"):
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


CLIP = Video("Abuse/a 1", Path("/videos/Abuse/a 1.mp4"))


def moved(name: str, by: float, size: tuple[int, int] = (80, 60)) -> Annotated:
    """The same mover, farther to the right, in pictures of another size."""
    rows = np.add(BOXES.extents, [0, 0, by, 0, by, 0])
    return Annotated(name, Clock.steady(12, 10, *size), Scores(rows, BOXES.values, BOXES.track), names={4: "cart"})


def first_x(source: File, size: tuple[int, int] = (60, 80)) -> float:
    return float(list(source(frames(size=size)))[2].extents[0, 2])


@pytest.mark.parametrize(
    ("form", "kind", "place"),
    [
        ("mot", "results", "{}.txt"), ("mot", "gt", "{}/gt/gt.txt"), ("mot", "det", "{}/det/det.txt"),
        ("coco", None, "{}.json"), ("cvat", None, "{}.xml"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["Abuse/a 1", "Abuse%2Fa 1"])
def test_each_video_finds_its_own_file(form: str, kind: str | None, place: str, name: str, tmp_path: Path) -> None:
    """By its id as folders or as one name; what others hold is left alone, and nothing need be said of the format."""
    module = {"mot": mot, "coco": coco, "cvat": cvat}[form]
    for number, own in enumerate((name, "Abuse/a 2", "a 1")):
        made = tmp_path / "made" / "x.json" if form == "coco" else tmp_path / "made"
        (tmp_path / "made").mkdir(exist_ok=True)
        module.PLUGIN.write(made, [moved("x", 0.1 * (number + 1))], **({"kind": kind} if kind else {}))
        target = tmp_path / "boxes" / place.format(own)
        target.parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "made" / place.format("x")).rename(target)
    for settings in ({}, {"format": form, "kind": kind}):
        config = FileConfig(path=str(tmp_path / "boxes"), **settings)  # type: ignore[arg-type]
        assert File.file_of(config, CLIP) == tmp_path / "boxes" / place.format(name)
        source = File(config, CLIP)
        assert first_x(source) == pytest.approx(0.25, abs=1e-6)
        assert source.tracks == (kind != "det")


def test_what_is_missing_or_twice_there_is_told(tmp_path: Path) -> None:
    (tmp_path / "Abuse").mkdir()
    (tmp_path / "a 1.txt").write_text("1,1,1,1,20,20,0.5,-1,-1,-1\n")
    config = FileConfig(path=str(tmp_path))
    with pytest.raises(VideoError) as told:
        File(config, CLIP)
    for place in ("Abuse/a 1.txt", "Abuse/a 1/gt/gt.txt", "Abuse/a 1/det/det.txt", ".json", ".xml", "Abuse%2Fa 1"):
        assert place in str(told.value)
    with pytest.raises(VideoError, match=r"expected one of Abuse/a 1\.xml; or"):
        File(FileConfig(path=str(tmp_path), format="cvat"), CLIP)
    for kind in ("gt", "det"):
        (tmp_path / "Abuse" / "a 1" / kind).mkdir(parents=True)
        (tmp_path / "Abuse" / "a 1" / kind / f"{kind}.txt").write_text("1,1,1,1,20,20,0.5,-1,-1,-1\n")
    with pytest.raises(ConfigError, match=r"gt\.txt and .*det\.txt; choose one"):
        File(config, CLIP)
    assert File(FileConfig(path=str(tmp_path), kind="det"), CLIP).path.name == "det.txt"
    assert File(FileConfig(path=str(tmp_path), video="a 1"), CLIP).path == tmp_path / "a 1.txt"
    with pytest.raises(ConfigError, match="ends in none of"):
        list(File(FileConfig(path=str(__file__)), CLIP)(frames()))


@pytest.mark.parametrize("video", [Video("../../x", Path("/v/x.mp4")), Video("/etc/x", Path("/v/x.mp4"))])
def test_no_id_leads_out_of_the_folder(video: Video, tmp_path: Path) -> None:
    (tmp_path / "boxes" / "deep").mkdir(parents=True)
    (tmp_path / "x.txt").write_text("1,1,1,1,20,20,0.5,-1,-1,-1\n")
    assert video.id not in names_of(video) and names_of(video)[-2:] == ("v/x", "v%2Fx")
    with pytest.raises(VideoError, match="there are no boxes"):
        File(FileConfig(path=str(tmp_path / "boxes" / "deep")), video)


def test_one_file_of_several_videos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is found by its id, with the pixels of its own pictures; who is not there is told."""
    path, said = tmp_path / "all.json", list[str]()
    monkeypatch.setattr(file.log, "warning", lambda text, *what: said.append(text % what))
    coco.PLUGIN.write(path, [moved("b.mp4", 0.1, (800, 600)), moved("Abuse/a 1", 0.2), moved("c", 0.3)])
    config = FileConfig(path=str(path))
    assert first_x(File(config, CLIP)) == pytest.approx(0.35, abs=1e-6)
    other = File(config, Video("b", Path("b.mp4")))
    assert first_x(other, (600, 800)) == pytest.approx(0.25, abs=1e-6)
    with pytest.raises(DataError, match=r"is outside the picture; is its size 80x60\?"):
        first_x(File(config, Video("b", Path("b.mp4"))))
    with pytest.raises(VideoError, match=r"no boxes of 'd' in .*but of b\.mp4, Abuse/a 1, c"):
        first_x(File(config, Video("d", Path("d.mp4"))))
    assert first_x(File(FileConfig(path=str(path), video="c"), CLIP)) == pytest.approx(0.45, abs=1e-6)
    assert not said
    coco.PLUGIN.write(path, [moved("c", 0.3)])
    assert first_x(File(config, CLIP)) == pytest.approx(0.45, abs=1e-6), "read again, as it changed"
    assert len(said) == 1 and "boxes of c are used for Abuse/a 1" in said[0]
