from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from wherewhen.core.addresses import Address
from wherewhen.core.errors import VideoError
from wherewhen.video import sources
from wherewhen.video.sources import Camera, expand, is_frames_folder


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    files = "b10.mp4 b2.AVI note.txt .hidden.mp4 sub/c.mkv sub/thumb.jpg ucsd/T1/001.tif ucsd/T1/002.tif .git/x.mp4"
    for name in files.split():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "empty").mkdir()
    return tmp_path


def names(found: list[sources.Source], root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in found if isinstance(path, Path)]


def test_a_folder_gives_videos_and_frame_folders_in_natural_order(tree: Path) -> None:
    assert names(expand(tree), tree) == ["b2.AVI", "b10.mp4", "sub/c.mkv", "ucsd/T1"]
    assert names(expand(str(tree / "ucsd")), tree) == ["ucsd/T1"]


def test_a_frame_folder_is_one_video(tree: Path) -> None:
    assert is_frames_folder(tree / "ucsd/T1") and expand(tree / "ucsd/T1") == [tree / "ucsd/T1"]
    assert not is_frames_folder(tree / "sub") and not is_frames_folder(tree / "b10.mp4")
    assert not is_frames_folder(tree / "empty") and not is_frames_folder("rtsp://door/1")


def test_a_glob_takes_videos_and_folders(tree: Path) -> None:
    assert names(expand(f"{tree}/b*"), tree) == ["b2.AVI", "b10.mp4"]
    assert names(expand(f"{tree}/**/*.mkv"), tree) == ["sub/c.mkv"]
    assert names(expand(f"{tree}/ucsd/T*"), tree) == ["ucsd/T1"]


def test_a_file_is_itself_even_with_odd_name_or_suffix(tree: Path) -> None:
    odd = tree / "clip[1].data"
    odd.touch()
    assert expand(odd) == [odd] and expand(str(tree / "note.txt")) == [tree / "note.txt"]


@pytest.mark.parametrize("url", ["rtsp://me:pw@door/1", "http://x.org/a.mp4", "udp://@:1234", "xyz://x"])
def test_addresses_and_cameras_pass(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert expand(url) == expand(Address(url)) == [Address(url)]
    assert expand("0") == [Camera(0)] and sources.is_live("0") and sources.is_live(Camera(0))


def test_text_is_understood_once(tmp_path: Path) -> None:
    """A path stays a path, however it reads."""
    assert sources.parsed(Path("0")) == Path("0") and sources.parsed(Path("a.mp4")) == Path("a.mp4")
    assert sources.parsed(f"file://{tmp_path}/a%20b.mp4") == tmp_path / "a b.mp4"
    with pytest.raises(VideoError, match="an address is given as text") as told:
        expand(Path("rtsp://me:secret@door/1"))
    assert "secret" not in str(told.value) and "door" in str(told.value)
    with pytest.raises(VideoError, match="begins like rtsp://") as told:
        expand("me:secret@door:554/1")
    assert "secret" not in str(told.value) and "door" in str(told.value)
    with pytest.raises(VideoError, match="no file can have this name"):
        expand("a\0b")
    with pytest.raises(VideoError, match="no such file") as told:
        expand("x" * 5000)
    assert len(str(told.value)) < 500
    with pytest.raises(VideoError, match="no such file"):
        expand("~nobody-of-this-name/x.mp4")


def test_a_file_may_be_called_as_a_home_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("~x.mp4").touch()
    assert expand("~x.mp4") == [Path("~x.mp4")]


def test_a_file_called_zero_is_no_camera(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("0").touch()
    assert expand("0") == [Path("0")] and not sources.is_live("0")


@pytest.mark.parametrize(
    ("source", "words"),
    [("no.mp4", "there is no such file or folder"), ("x*.mp4", "matches no video"), ("empty", "found none")],
)
def test_nothing_found_is_said(tree: Path, source: str, words: str) -> None:
    with pytest.raises(VideoError, match=words):
        expand(tree / source)


def test_a_folder_that_may_not_be_listed(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest, closed = os.listdir, [tree / "sub", tree / "ucsd/T1"]

    def refuse(path: Path) -> list[str]:
        if path in closed:
            raise PermissionError(13, "Permission denied")
        return honest(path)

    monkeypatch.setattr("wherewhen.core.recordings.os.listdir", refuse)
    assert names(expand(tree), tree) == ["b2.AVI", "b10.mp4"]
    closed.append(tree)
    with pytest.raises(VideoError, match="no permission to look into this folder"):
        expand(tree)


def test_what_is_passed_over_is_told_with_the_reason(tree: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tree / "gone.mp4").symlink_to("nowhere.mp4")
    (tree / "around").symlink_to(tree)
    os.mkfifo(tree / "pipe.mp4")
    assert names(expand(tree), tree) == ["b2.AVI", "b10.mp4", "sub/c.mkv", "ucsd/T1"]
    (told,) = caplog.messages
    assert told == (
        f"skipped in {tree}: 1 no video by the suffix (.txt: note.txt), 1 picture beside videos (thumb.jpg), "
        "2 hidden (.git, .hidden.mp4), 1 broken link (gone.mp4), "
        "1 link to a folder that is searched anyway (around), 1 pipe, socket or device (pipe.mp4), "
        "1 empty folder (empty)"
    )
    caplog.clear()
    assert names(expand(f"{tree}/*.*"), tree) == ["b2.AVI", "b10.mp4"]
    assert len(caplog.messages) == 1 and all(name in caplog.text for name in ("note.txt", "gone.mp4", "pipe.mp4"))
    caplog.clear()
    expand(tree / "ucsd")
    expand(tree / "b10.mp4")
    assert not caplog.messages


def test_nothing_but_what_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    os.mkfifo(tmp_path / "b.mp4")
    with pytest.raises(VideoError, match=r"found none; skipped: 1 no video .*a\.txt.*1 pipe.*b\.mp4"):
        expand(tmp_path)
    with pytest.raises(VideoError, match=r"matches no video.*skipped: .*a\.txt"):
        expand(f"{tmp_path}/*.t*")


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "gone.mp4").symlink_to("nowhere.mp4")
    (tmp_path / "loop.mp4").symlink_to("loop.mp4")
    nowhere = "a broken link"
    with socket.socket(socket.AF_UNIX) as there:
        there.bind(str(tmp_path / "s.mp4"))
        for name, told in (("pipe", "a pipe"), ("gone", nowhere), ("loop", nowhere), ("s", "a socket")):
            with pytest.raises(VideoError, match=f"this is {told}; expected a file, a folder"):
                expand(tmp_path / f"{name}.mp4")
    with pytest.raises(VideoError, match="this is a device"):
        expand("/dev/null")
    with pytest.raises(VideoError, match="no file can have this name"):
        expand(" ")


def test_secrets_are_not_shown() -> None:
    assert sources.shown("rtsp://me:pw@door:554/1?token=3") == "rtsp://door:554/1"
    assert sources.shown(Path("a/b.mp4")) == "a/b.mp4" and sources.shown(Path("a\nb.mp4")) == "a\\x0ab.mp4"
