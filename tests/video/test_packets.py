"""Clips that are cut out of packets: the same pictures at the same times, without encoding them again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherewhen.core.errors import VideoError
from wherewhen.core.values import Frame
from wherewhen.video.packets import Packets
from wherewhen.video.reader import Reading

RATE, COUNT = 25, 100
CODECS = {
    "h264 with B-frames": ("libx264", "mp4", {"bf": "2", "g": "20", "sc_threshold": "0"}),
    "h264 with open groups": ("libx264", "mpegts", {"x264-params": "open-gop=1:keyint=20:bframes=3:b-adapt=0"}),
    "h264 without B-frames": ("libx264", "mpegts", {"bf": "0", "g": "20"}),
    "hevc": ("libx265", "mpegts", {"x265-params": "keyint=20:open-gop=1:log-level=none"}),
    "mjpeg": ("mjpeg", "avi", {}),
    "mpeg4": ("mpeg4", "avi", {"g": "20"}),
}


def drawn(path: Path, codec: str, container: str, options: dict[str, str], width: int = 96) -> Path:
    """A spot that moves over noise, so that no two pictures are alike."""
    rng = np.random.default_rng(0)
    with av.open(str(path), "w", format=container) as file:
        stream = file.add_stream(codec, rate=RATE, options=options)
        stream.width, stream.height = width, 64
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for index in range(COUNT):
            picture = rng.integers(60, 90, (64, width, 3), np.uint8)
            picture[10:30, (2 * index) % 60 : (2 * index) % 60 + 20] = 220
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        file.mux(stream.encode())
    return path


def read(path: Path, ring: Packets | None = None) -> list[Frame]:
    with Reading(path, "keep", None, ring) as video:
        return list(video.frames())


@pytest.mark.parametrize("codec", CODECS)
def test_a_clip_has_the_pictures_of_the_stream(codec: str, tmp_path: Path) -> None:
    ring = Packets(10**7, 60.0)
    frames = read(drawn(tmp_path / "source", *CODECS[codec]), ring)
    begin, end = ring.cut(tmp_path / "clip.mp4", 1.3, 2.5)
    clip = read(tmp_path / "clip.mp4")
    assert begin <= 1.3
    assert end == pytest.approx(2.5, abs=0.2)
    source = [frame for frame in frames if begin <= frame.start <= end + 1e-6]
    assert len(clip) == len(source)
    for ours, theirs in zip(clip, source, strict=True):
        np.testing.assert_array_equal(ours.image, theirs.image)
        assert ours.start == pytest.approx(theirs.start - begin, abs=1e-4)
    data = (tmp_path / "clip.mp4").read_bytes()
    assert (b"hvc1" in data) == (codec == "hevc")
    assert data.index(b"moov") < data.index(b"mdat")  # a player can begin before it has the whole file


@given(since=st.floats(0, 4), length=st.floats(0, 4))
def test_a_clip_begins_with_the_key_picture_before_its_time(
    since: float, length: float, film: Packets, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("cut") / "clip.mp4"
    begin, end = film.cut(path, since, since + length)
    assert begin == pytest.approx(min(since, 3.2) // 0.8 * 0.8, abs=1e-6)
    assert end >= min(since + length, 3.96) - 1 / RATE
    assert end <= since + length + 4 / RATE  # pictures that others are predicted from


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Packets:
    ring = Packets(10**7, 60.0)
    read(drawn(tmp_path_factory.mktemp("film") / "film.mp4", *CODECS["h264 with B-frames"]), ring)
    return ring


def test_what_is_released_is_gone_but_not_in_an_event(tmp_path: Path) -> None:
    path = drawn(tmp_path / "film.mp4", *CODECS["h264 with B-frames"])
    for event, begin in ((False, 1.6), (True, 0.0)):
        ring = Packets(10**7, 60.0)
        read(path, ring)
        before = ring.bytes
        ring.release(2.0, event=event)
        assert (ring.bytes < before) is not event
        assert ring.cut(tmp_path / "clip.mp4", 0.0, 4.0)[0] == pytest.approx(begin)
        ring.release(2.0, event=False)
        assert ring.bytes < before
        assert ring.cut(tmp_path / "clip.mp4", 0.0, 4.0)[0] == pytest.approx(1.6)


def test_an_event_is_kept_up_to_its_longest_time(tmp_path: Path) -> None:
    ring = Packets(10**7, 1.0)
    read(drawn(tmp_path / "film.mp4", *CODECS["h264 with B-frames"]), ring)
    whole = ring.bytes
    ring.release(3.5, event=True)
    begin, end = ring.cut(tmp_path / "clip.mp4", 0.0, 4.0)
    assert (begin, end) == (0.0, pytest.approx(1.0, abs=0.13))
    assert ring.bytes < whole


def test_memory_is_bounded_by_bytes(tmp_path: Path) -> None:
    path = drawn(tmp_path / "film.mp4", *CODECS["h264 with B-frames"])
    most = path.stat().st_size // 3
    ring, highest = Packets(most, 60.0), 0
    with Reading(path, "keep", None, ring) as video:
        for _ in video.frames():
            highest = max(highest, ring.bytes)
    assert most / 3 < highest <= most
    assert ring.cut(tmp_path / "clip.mp4", 0.0, 4.0)[0] > 1.0


def test_a_stream_whose_size_changes_ends_a_clip(tmp_path: Path) -> None:
    parts = [drawn(tmp_path / str(width), *CODECS["h264 with B-frames"][:1], "mpegts", {"g": "20"}, width)
             for width in (96, 128)]  # fmt: skip
    (tmp_path / "both.ts").write_bytes(parts[0].read_bytes() + parts[1].read_bytes())
    ring = Packets(10**7, 60.0)
    frames = read(tmp_path / "both.ts", ring)
    ring.cut(tmp_path / "clip.mp4", 0.0, 9.0)
    clip = read(tmp_path / "clip.mp4")
    assert {frame.image.shape for frame in clip} == {(64, 96, 3)}
    assert len(clip) == pytest.approx(len(frames), abs=3)


@dataclass
class Piece:
    data: bytes
    pts: int
    is_keyframe: bool

    @property
    def size(self) -> int:
        return len(self.data)

    def __bytes__(self) -> bytes:
        return self.data


class Halves(Packets):
    """Gets each slice of a picture as a packet of its own, as some cameras send them."""

    def add(self, packet: Any) -> None:
        data = bytes(packet)
        middle = data.rfind(b"\0\0\1")
        for part in (data[:middle], data[middle:]):
            super().add(Piece(part, packet.pts, packet.is_keyframe))


def test_slices_that_come_apart_are_one_picture(tmp_path: Path) -> None:
    ring = Halves(10**7, 60.0)
    source = drawn(tmp_path / "source", "libx264", "mpegts", {"x264-params": "slices=2:keyint=20:bframes=2"})
    frames = read(source, ring)
    begin, end = ring.cut(tmp_path / "clip.mp4", 1.3, 2.5)
    clip = read(tmp_path / "clip.mp4")
    for ours, theirs in zip(clip, [frame for frame in frames if begin <= frame.start <= end + 1e-6], strict=True):
        np.testing.assert_array_equal(ours.image, theirs.image)


def test_without_packets_there_is_no_clip_and_the_reason_is_said(tmp_path: Path) -> None:
    for codec, container, reason in (("rawvideo", "avi", "can't hold rawvideo"), ("libvpx", "webm", "can't hold vp8")):
        ring = Packets(10**8, 60.0)
        read(drawn(tmp_path / "source", codec, container, {}), ring)
        assert ring.bytes == 0
        with pytest.raises(VideoError, match=reason):
            ring.cut(tmp_path / "clip.mp4", 0.0, 1.0)
    with pytest.raises(VideoError, match="not encoded"):
        Packets(10**8, 60.0).cut(tmp_path / "clip.mp4", 0.0, 1.0)
    assert not (tmp_path / "clip.mp4").exists()
