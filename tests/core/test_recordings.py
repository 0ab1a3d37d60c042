"""What in a folder is a video, and what is passed over."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherewhen.core.recordings import PICTURE_SUFFIXES, VIDEO_SUFFIXES, PassedOver, is_album, no_file, recordings
from wherewhen.video.reader import frames

MADE = {
    "264": "h264 libx264", "3g2": "3g2 mpeg4", "apng": "apng apng", "asf": "asf msmpeg4v3", "divx": "avi mpeg4",
    "f4v": "f4v libx264", "gif": "gif gif", "h261": "h261 h261", "h263": "h263 h263", "ivf": "ivf libvpx",
    "k3g": "3gp mpeg4", "m1v": "mpeg1video mpeg1video", "m2t": "mpegts mpeg2video", "m2v": "mpeg2video mpeg2video",
    "mj2": "mov mpeg4", "mjpeg": "mjpeg mjpeg", "mk3d": "matroska mpeg4", "mp4v": "m4v mpeg4",
    "mpe": "mpeg mpeg1video", "mpv": "mpeg2video mpeg2video", "mxf": "mxf mpeg2video", "nut": "nut mpeg4",
    "ogv": "ogg libvpx", "qt": "mov mpeg4", "rm": "rm rv10", "rmvb": "rm rv10",
    "tod": "mpeg mpeg2video", "trp": "mpegts mpeg2video", "vob": "vob mpeg2video", "vro": "vob mpeg2video",
    "wtv": "wtv mpeg2video", "y4m": "yuv4mpegpipe wrapped_avframe",
}  # fmt: skip
FORMATS = {"gif": "rgb8", "apng": "rgb24", "mjpeg": "yuvj420p"}


def write(path: Path, container: str, codec: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (144, 176, 3), np.uint8)
    with av.open(str(path), "w", format=container) as file:
        stream: Any = file.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 176, 144, FORMATS.get(codec, "yuv420p")
        for number in range(12):
            picture = av.VideoFrame.from_ndarray(np.roll(noise, 8 * number, axis=1), "rgb24")
            file.mux(stream.encode(picture.reformat(format=stream.pix_fmt)))
        file.mux(stream.encode(None))


@pytest.mark.parametrize("suffix", sorted(MADE))
def test_every_kind_of_video_is_found_and_read(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix.upper()}"
    try:
        write(path, *MADE[suffix].split())
    except (av.error.FFmpegError, ValueError) as error:  # another FFmpeg may lack an encoder
        pytest.skip(f"can't be written here: {error}")
    passed = PassedOver()
    assert list(recordings(tmp_path, passed)) == [path] and not str(passed)
    assert len(list(frames(path, damaged="keep"))) >= 10


def test_suffixes_are_videos_or_pictures_or_neither() -> None:
    assert not VIDEO_SUFFIXES & PICTURE_SUFFIXES
    assert {f".{suffix}" for suffix in MADE} | {".mp4", ".dav", ".dvr-ms"} <= VIDEO_SUFFIXES
    assert not VIDEO_SUFFIXES & {".dat", ".m3u8", ".sdp", ".ogg", ".mod", ".txt", ".py", ""}


ENTRIES = {
    "v.mp4": "video", "v.GIF": "video", "p.png": "picture", "p.txt": "suffix", "noend": "suffix", ".h.mp4": "hidden",
    "gone.mkv": "link", "pipe.ts": "special", "void": "empty", "back": "circle", "linked.avi": "video",
}  # fmt: skip


def grow(folder: Path, names: list[str], root: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        kind, path = ENTRIES[name], folder / name
        if kind == "link":
            path.symlink_to("nowhere")
        elif kind == "special":
            os.mkfifo(path)
        elif kind == "empty":
            path.mkdir()
        elif kind == "circle":
            path.symlink_to(root)
        elif name.startswith("linked"):
            path.symlink_to(__file__)
        else:
            path.touch()


FOLDERS = st.lists(st.sampled_from(sorted(ENTRIES)), unique=True, min_size=1)


@settings(max_examples=60, deadline=None)
@given(tree=st.dictionaries(st.sampled_from(["", "a", "a/b", "a/b/c", "d"]), FOLDERS, min_size=1))
def test_everything_in_a_folder_is_a_video_or_passed_over(tree: dict[str, list[str]], tmp_path_factory: Any) -> None:
    root = tmp_path_factory.mktemp("tree")
    videos, expected = set(), dict.fromkeys(["suffix", "pictures", "hidden", "link", "circle", "special", "empty"], 0)
    for where, names in tree.items():
        grow(root / where, names, root)
        kinds = [ENTRIES[name] for name in names]
        videos |= {root / where / name for name in names if ENTRIES[name] == "video"}
        if "picture" in kinds and "video" in kinds:
            expected["pictures"] += 1
        elif "picture" in kinds:
            videos.add(root / where)
        for kind in set(kinds) & set(expected):
            expected[kind] += kinds.count(kind)
    passed = PassedOver()
    found = list(recordings(root, passed))
    assert len(found) == len(set(found)) and set(found) == videos
    assert {reason: passed.count[reason] for reason in expected} == expected
    assert passed.count.total() == sum(expected.values())
    assert all(is_album(path) for path in found if path.is_dir())


def test_linked_folders_are_followed_once(tmp_path: Path) -> None:
    far = tmp_path / "far"
    grow(far / "sub", ["v.mp4"], far)
    clips = tmp_path / "clips"
    grow(clips / "real", ["v.mp4"], clips)
    for name, target in (
        ("one", far),
        ("two", far),
        ("three", far / "sub"),
        ("up", tmp_path),
        ("same", clips / "real"),
    ):
        (clips / name).symlink_to(target)
    passed = PassedOver()
    found = [path.relative_to(clips).as_posix() for path in recordings(clips, passed)]
    assert found == ["one/sub/v.mp4", "real/v.mp4"]
    assert passed.count == {"circle": 4}


def test_many_things_are_told_in_one_line() -> None:
    passed = PassedOver()
    for number in range(9):
        passed.add("suffix", Path(f"a{number}.{'abcdefghi'[number]}"))
    passed.add("hidden", Path(".x\ny"))
    assert str(passed) == ("9 no video by the suffix (.a, .b, .c, .d, ...: a0.a, a1.b, a2.c, ...), 1 hidden (.x\\x0ay)")


def test_what_is_there_but_no_file(tmp_path: Path) -> None:
    assert no_file(tmp_path) is None and no_file(tmp_path / "no") is None and no_file(Path("x" * 5000)) is None
    assert no_file(Path("/dev/null")) == "a device"
