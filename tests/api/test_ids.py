"""What videos are called in results: never two alike, the same again in a later run, nothing absolute."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherewhen.api.ids import Place, base_of, places
from wherewhen.api.results import About
from wherewhen.core.addresses import Address
from wherewhen.core.store import content_hash
from wherewhen.core.values import Pictures
from wherewhen.video.sources import Camera, Source


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def told(*paths: str | Path, output: str = "out", base: str | None = None) -> list[tuple[str, str, str | None]]:
    made = places([Path(path) for path in paths], Path(output), Path(base) if base else None)
    return [(place.id, place.file, place.folder) for place in made]


def test_files_are_called_relative_to_the_folder_that_is_searched_or_worked_in(here: Path) -> None:
    both = [("a/cam", "a/cam.mp4", "../d"), ("b/cam", "b/cam.mp4", "../d")]
    assert told("d/a/cam.mp4", "d/b/cam.mp4", base="d") == both
    assert told("d/a/cam.mp4") == [("d/a/cam", "d/a/cam.mp4", "..")]
    assert told(here / "d" / "x.mp4", output="deep/out") == [("d/x", "d/x.mp4", "../..")]
    assert told("d", base="d") == [("d", "d", "..")]  # a folder of pictures


def test_files_elsewhere_are_called_by_as_many_folders_as_tell_them_apart(here: Path) -> None:
    root = here.parent
    assert told(root / "x" / "cam.mp4") == [("cam", "cam.mp4", "../../x")]
    assert [one[0] for one in told(root / "x/y/cam.mp4", root / "z/y/cam.mp4", root / "z/y/b.mp4")] == [
        "x/y/cam", "z/y/cam", "b"
    ]  # fmt: skip


def test_what_differs_by_the_suffix_alone_keeps_it(here: Path) -> None:
    assert [one[0] for one in told("a.mp4", "a.avi", "b.avi")] == ["a.mp4", "a.avi", "b"]


def test_streams_are_called_by_all_that_may_be_shown_of_their_address(here: Path) -> None:
    sources: list[Source] = [
        Address("rtsp://me:secret@10.0.0.5:554/live/1?key=2"), Address("rtsp://10.0.0.6:554/live/1"), Camera(0),
        Pictures(np.zeros((2, 8, 8, 3), np.uint8)), Address("rtsp://10.0.0.6:554/live/1?other"),
    ]  # fmt: skip
    made = places(sources, here / "out")
    assert [one.id for one in made] == [
        "10.0.0.5-554-live-1", "10.0.0.6-554-live-1", "camera-0", "pictures", "10.0.0.6-554-live-1-2"
    ]  # fmt: skip
    assert made[0].file == "rtsp://10.0.0.5:554/live/1" and {one.folder for one in made} == {None}


def test_names_that_are_no_text_become_text(here: Path) -> None:
    ((id, file, _),) = told("caf\udce9\n.mp4")
    assert (id, file) == (r"caf\xe9\x0a", r"caf\xe9\x0a.mp4")


def about(place: Place, sha256: str | None = None) -> About:
    return About(place.id, place.file, place.folder, sha256, "model", 8, 6)


def test_a_later_run_calls_the_same_file_the_same_from_wherever_it_is_named(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        (here / "d" / name).mkdir(parents=True)
        (here / "d" / name / "cam.mp4").write_text(name)
    output, known = here / "out", dict[str, About]()
    for name in ("a", "b"):  # a loop over cameras
        (place,) = places([Path("d") / name / "cam.mp4"], output, Path("d") / name, known)
        known[place.id] = about(place, content_hash(here / "d" / name / "cam.mp4"))
    assert list(known) == ["cam", "cam-2"] or list(known) == ["cam", "cam.mp4"]
    again = places([Path("d/b/cam.mp4"), Path("d/a/cam.mp4")], output, Path("d"), known)
    assert [one.id for one in again] == list(known)[::-1]
    monkeypatch.chdir(here / "d")
    assert [one.id for one in places([Path("a/cam.mp4")], output, None, known)] == ["cam"]
    shutil.move(here / "d", here.parent / "moved")  # the same file, elsewhere; not so another one of its name
    (here.parent / "moved" / "b" / "cam.mp4").write_text("c")
    moved = [here.parent / "moved" / name / "cam.mp4" for name in ("a", "b")]
    (first,) = places(moved[:1], output, moved[0].parent, known)
    (second,) = places(moved[1:], output, moved[1].parent, known)
    assert first.id == "cam" and second.id not in known


PATHS = ["a.mp4", "A.mp4", "a.avi", "a-2.mp4", "b/a.mp4", "c/a.avi", "c/a-2.mp4", "../d/a-3.mp4", "../e/b/a.mp4"]
PATHS += ["\u00e9", "e\u0301"]  # one letter in two ways


@given(
    st.lists(st.sampled_from(PATHS), unique=True),
    st.lists(st.sampled_from(PATHS), unique=True),
    st.sampled_from([None, ".", "b", ".."]),
)
def test_two_are_never_called_alike_and_whoever_has_a_name_keeps_it(
    first: list[str], second: list[str], base: str | None
) -> None:
    output, known = Path("out"), dict[str, About]()
    names: dict[Path, str] = {}
    for some in (first, second):
        made = places([Path(one) for one in some], output, Path(base) if base else None, known)
        assert [one.source for one in made] == [Path(one) for one in some]
        for one in made:
            assert names.setdefault(Path(one.source), one.id) == one.id  # type: ignore[arg-type]
            assert not Path(one.id).is_absolute() and ".." not in Path(one.id).parts
            assert (output / (one.folder or "") / one.file).resolve() == Path(one.source).resolve()  # type: ignore[arg-type]
            known[one.id] = about(one)
    assert len({id.casefold() for id in names.values()}) == len(names)


def test_what_a_user_names_says_what_ids_are_relative_to(here: Path) -> None:
    (here / "clips" / "a").mkdir(parents=True)
    (here / "frames").mkdir()
    (here / "frames" / "1.png").touch()
    (here / "x.mp4").touch()
    given = {
        "clips": Path("clips"),
        "clips/*/*.mp4": Path("clips"),
        "frames": None,
        "x.mp4": None,
        "rtsp://door/1": None,
    }
    assert {name: base_of(name) for name in given} == given
