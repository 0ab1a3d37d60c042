from __future__ import annotations

import pickle
import subprocess
import sys
import wave
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from wherewhen.core.errors import VideoError
from wherewhen.core.values import Frame
from wherewhen.video.reader import edges, frames, probe
from wherewhen.video.wholeness import cut_short

Make = Callable[..., Path]


def noise(count: int) -> list[np.ndarray]:
    return list(np.random.default_rng(0).integers(0, 255, (count, 48, 64, 3), np.uint8))


def broken(path: Path | str) -> tuple[int, str]:
    """How many frames came and what the error says; one that names the file first."""
    count = 0
    with pytest.raises(VideoError) as caught:
        for _ in frames(path):
            count += 1
    assert str(caught.value) == f"{caught.value.path}: {caught.value.cause}"
    assert Path(path).name in caught.value.path and "Errno" not in caught.value.cause
    return count, caught.value.cause


def refused(path: Path | str) -> str:
    """The cause, the same from all that opens a video, without a frame."""
    count, cause = broken(path)
    for reader in (probe, edges):
        with pytest.raises(VideoError) as caught:
            reader(path)
        assert caught.value.cause == cause
    assert count == 0
    return cause


def test_missing(tmp_path: Path) -> None:
    assert refused(tmp_path / "no.mp4") == "there is no such file or folder"


def test_empty(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    assert refused(tmp_path / "a.mp4") == "the file is empty"


def test_text(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_text("path,label\nx.mp4,1\n" * 50)
    cause = refused(path)
    assert cause.startswith("this is no video, or it is damaged: expected a file such as .mp4")
    assert cause.endswith("it looks like text")


def test_pickle(tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    path.write_bytes(pickle.dumps({"features": np.zeros(2000)}))
    assert refused(path).endswith("it looks like a Python pickle, which is never opened")


def test_random_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(np.random.default_rng(3).bytes(5000))
    assert refused(path).endswith("expected a file such as .mp4, .avi or .mkv")


def test_only_sound(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    with wave.open(str(path), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(16000))
    assert refused(path) == "the file holds no video (only sound)"


def test_no_pictures_in_it(make: Make) -> None:
    path = make("a.avi", 5, codec="mpeg4")
    data = path.read_bytes()
    start = data.index(b"movi")
    size = int.from_bytes(data[start - 4 : start], "little")
    empty = data[: start - 4] + (4).to_bytes(4, "little") + b"movi"
    path.write_bytes(empty[:4] + (len(empty) - 8).to_bytes(4, "little") + empty[8:])
    assert size > 100 and refused(path) == "it holds no picture that can be decoded"


def test_no_permission(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    path, honest = make("a.mp4", 3), Path.open

    def refuse(self: Path, *given: object, **named: object) -> object:
        if self == path:
            raise PermissionError(13, "Permission denied")
        return honest(self, *given, **named)

    monkeypatch.setattr(Path, "open", refuse)
    assert refused(path) == "no permission to read this file"


@pytest.mark.parametrize(
    ("name", "codec", "least"), [("a.mkv", "libx264", 10), ("a.avi", "mpeg4", 10), ("f.mp4", "libx264", 10)]
)
def test_cut_short(make: Make, name: str, codec: str, least: int) -> None:
    path = make(name, 40, codec=codec, pictures=noise(40))
    if name == "f.mp4":
        path = with_index_first(path)
    whole = list(frames(path))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    count, cause = broken(path)
    assert least <= count < 40
    there, all_of_it = f"{len(data) * 2 // 3:,}", f"{len(data):,}"
    assert cause == f"the file is cut short: {there} of {all_of_it} bytes are there; it breaks off after {count} frames"
    with pytest.raises(VideoError, match="the file is cut short"):
        edges(path)
    seen: list[Frame] = []
    with pytest.raises(VideoError):
        seen.extend(frames(path))
    early = frames(path, span=(0.0, whole[5].start))
    assert [frame.index for frame in early] == list(range(5))


def with_index_first(path: Path) -> Path:
    moved = path.with_name("first.mp4")
    with av.open(str(path)) as source, av.open(str(moved), "w", options={"movflags": "+faststart"}) as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    return moved


def test_cut_short_before_the_index(make: Make) -> None:
    path = make("a.mp4", 30, pictures=noise(30))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    cause = refused(path)
    assert (
        cause
        == f"the file is cut short: {len(data) // 2:,} of {cut_end(data):,} bytes are there; not one frame can be read"
    )


def cut_end(data: bytes) -> int:
    """Where the box of the pictures ends."""
    at = data.index(b"mdat") - 4
    return at + int.from_bytes(data[at : at + 4])


def test_a_recording_never_finished(make: Make) -> None:
    path = make("a.mp4", 30)
    data = path.read_bytes()
    path.write_bytes(data[: cut_end(data)])
    assert refused(path) == "its index is missing: the recording was never finished; not one frame can be read"


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "libx264"), ("a.avi", "mpeg4"), ("m.avi", "mjpeg"), ("a.ts", "libx264")]
)
def test_damaged_in_the_middle(make: Make, name: str, codec: str) -> None:
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    path = make(name, 40, codec=codec, pictures=noise(40), pixels=pixels)
    data = bytearray(path.read_bytes())
    half = len(data) // 2
    data[half : half + 3000] = np.random.default_rng(1).bytes(3000)
    path.write_bytes(data)
    count, cause = broken(path)
    assert 5 <= count < 30
    assert cause.startswith(f"the video is damaged: it can't be decoded after {count} frames")


def test_absurd_size(make: Make) -> None:
    path = make("a.avi", 3, codec="ffv1")
    data = bytearray(path.read_bytes())
    at = data.index(b"strf") + 8
    assert int.from_bytes(data[at + 4 : at + 8], "little") == 64
    data[at + 4 : at + 12] = (15_000).to_bytes(4, "little") * 2
    path.write_bytes(data)
    assert refused(path).startswith("pictures of 15000x15000 are too large")


def test_a_folder_without_pictures(tmp_path: Path, make: Make) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/notes.txt").touch()
    assert refused(tmp_path / "a").startswith("expected a folder of pictures (.bmp, .jpeg, .jpg,")
    make("a/b.mp4", 3)
    assert refused(tmp_path / "a").endswith("It holds video files: name one of them.")


@pytest.fixture
def album(tmp_path: Path) -> Path:
    folder = tmp_path / "T1"
    folder.mkdir()
    for index, image in enumerate(noise(6)):
        cv2.imwrite(str(folder / f"{index:03}.tif"), image)
    return folder


def test_an_unreadable_picture_is_named(album: Path) -> None:
    (album / "003.tif").write_bytes(b"II*\x00 no picture at all")
    assert broken(album) == (3, "picture 003.tif is damaged, cut short or of an unknown kind")
    (album / "003.tif").write_bytes(b"")
    assert broken(album) == (3, "picture 003.tif is empty")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".bmp"])
def test_a_picture_cut_short_is_named(album: Path, suffix: str) -> None:
    picture = album / f"003{suffix}"
    cv2.imwrite(str(picture), noise(1)[0])
    data = picture.read_bytes()
    picture.write_bytes(data[: len(data) // 2])
    if suffix != ".tif":
        (album / "003.tif").unlink()
    assert broken(album) == (3, f"picture 003{suffix} is damaged, cut short or of an unknown kind")


def test_pictures_of_two_sizes(album: Path) -> None:
    cv2.imwrite(str(album / "004.tif"), np.zeros((10, 20, 3), np.uint8))
    assert broken(album) == (4, "every picture must have one size: picture 004.tif is 20x10, those before are 64x48")


def test_a_video_that_changes_its_size(make: Make, tmp_path: Path) -> None:
    small, large = (make(f"{w}.mjpeg", 10, codec="mjpeg", pixels="yuvj420p", size=(w, 64)) for w in (64, 96))
    both = tmp_path / "both.mjpeg"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    assert broken(both) == (10, "every picture must have one size: frame 10 is 96x64, those before are 64x64")


def test_an_address_that_does_not_answer() -> None:
    with pytest.raises(VideoError, match=r"^rtsp://127\.0\.0\.1:9/x: this camera or address can't be opened") as caught:
        next(frames("rtsp://me:secret@127.0.0.1:9/x"))
    assert "secret" not in str(caught.value)


def test_a_camera_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(VideoError, match=r"^camera 97: this camera or address can't be opened"):
        next(frames("97"))


def test_nothing_is_printed_by_the_decoder(make: Make) -> None:
    path = make("a.mp4", 40, pictures=noise(40))
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 3000] = bytes(3000)
    path.write_bytes(data)
    code = (
        "import sys; from wherewhen.video.reader import frames; from wherewhen.core.errors import VideoError\n"
        "try: list(frames(sys.argv[1]))\nexcept VideoError as error: print(error.cause)"
    )
    run = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    assert run.stdout.startswith("the video is damaged") and run.stderr == ""


def test_whole_files_are_whole(make: Make) -> None:
    for name, codec in (
        ("a.mp4", "libx264"),
        ("a.avi", "mpeg4"),
        ("a.mkv", "ffv1"),
        ("a.webm", "libvpx"),
        ("a.ts", "libx264"),
    ):
        assert cut_short(make(name, 5, codec=codec)) is None
