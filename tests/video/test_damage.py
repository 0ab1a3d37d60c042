"""Damaged recordings: read as far as they go and always told, never a foreign exception; whole ones are never told."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wherewhen.core.errors import VideoError
from wherewhen.core.values import Frame, Pixels
from wherewhen.video import decoding
from wherewhen.video.reader import edges, frames, probe, reading

Make = Callable[..., Path]
SHARED = Path(os.environ.get("WHEREWHEN_SHARED", Path(__file__).parents[2] / "../shared"))
CASES = sorted((SHARED / "cases/videos").glob("*"))
REAL = sorted((SHARED / "data").glob("*/videos/*"))


def noise(count: int) -> list[Pixels]:
    return list(np.random.default_rng(0).integers(0, 255, (count, 48, 64, 3), np.uint8))


def read(path: Path) -> tuple[list[Frame], str | None, list[float]]:
    with reading(path) as one:
        found = list(one.frames(width=32))
        return found, one.damage, one.edges.tolist()


KINDS = [
    ("a.mp4", "libx264", {"bf": "3"}),
    ("f.mp4", "libx264", {"movflags": "frag_keyframe+empty_moov"}),
    ("d.mp4", "libx264", {"movflags": "frag_every_frame+empty_moov+default_base_moof"}),
    ("a.mov", "mpeg4", {}),
    ("a.mkv", "libx264", {"bf": "3"}),
    ("l.mkv", "libx264", {"live": "1"}),
    ("a.webm", "libvpx", {"auto-alt-ref": "1", "lag-in-frames": "12"}),
    ("b.webm", "libvpx-vp9", {"deadline": "realtime", "cpu-used": "8"}),
    ("a.avi", "mpeg4", {"bf": "2"}),
    ("j.avi", "mjpeg", {}),
    ("a.ts", "libx264", {"bf": "3"}),
    ("m.ts", "mpeg2video", {"bf": "2"}),
    ("a.m2ts", "libx264", {}),
    ("a.mpg", "mpeg1video", {}),
    ("a.flv", "flv", {}),
    ("a.wmv", "wmv2", {}),
    ("a.gif", "gif", {}),
    ("a.h264", "libx264", {"bf": "3"}),
    ("a.hevc", "mjpeg", {}),
    ("a.mxf", "mpeg2video", {}),
    ("a.nut", "libx264", {}),
    ("o.ts", "libx264", {"x264-params": "open-gop=1:bframes=3:keyint=10"}),
    ("i.mp4", "libx264", {"flags": "+ilme+ildct", "x264-params": "tff=1"}),
]
MUXING = ("movflags", "live")


@pytest.fixture
def kind(make: Make) -> Callable[..., Path]:
    """Makes a file of one of `KINDS`."""

    def made(name: str, codec: str, options: dict[str, str], count: int = 40, **more: Any) -> Path:
        pixels = {"mjpeg": "yuvj420p", "gif": "rgb8"}.get(codec, "yuv420p")
        mux = {key: value for key, value in options.items() if key in MUXING}
        own = {key: value for key, value in options.items() if key not in MUXING}
        name = "a.mjpeg" if name == "a.hevc" else name
        size = (352, 288) if name.endswith("mxf") else (64, 48)
        return make(name, count, codec=codec, pixels=pixels, g="10", size=size, mux=mux, **own, **more)

    return made


@pytest.mark.parametrize(("name", "codec", "options"), KINDS)
def test_a_whole_file_is_whole(kind: Make, name: str, codec: str, options: dict[str, str]) -> None:
    for count in (1, 40):
        path = kind(name, codec, options, count)
        found, damage, borders = read(path)
        assert damage is None and len(found) == count
        assert borders == edges(path).tolist() and len(list(frames(path))) == count  # which raise where one is damaged


@pytest.mark.parametrize("name", ["v.mp4", "v.mkv", "v.ts"])
def test_uneven_times_and_pauses_are_no_damage(make: Make, name: str) -> None:
    stamps = [0, 9000, 12600, 13500, 45000, 48600, *(90_000 + 7000 * k for k in range(20)), 9_000_000, 9_003_600]
    path = make(name, len(stamps), stamps=stamps, g="10")
    found, damage, _ = read(path)
    assert damage is None and found[-1].start == pytest.approx(100.04, abs=2e-3) and len(found) == len(stamps)


def box(data: bytes, name: bytes) -> int:
    return data.index(name) + 4


def test_what_a_list_of_edits_leaves_out_is_no_damage(make: Make) -> None:
    path = make("a.mp4", 100, g="10", bf="0")
    data = bytearray(path.read_bytes())
    at = box(data, b"elst") + 8
    data[at : at + 8] = (1000).to_bytes(4) + (51 * 512).to_bytes(4)  # one second, from the second one on
    path.write_bytes(data)
    found, damage, borders = read(path)
    assert damage is None and 24 <= len(found) <= 26 and borders == edges(path).tolist()


def test_longer_sound_is_no_damage(tmp_path: Path) -> None:
    import av

    for name in ("a.mkv", "a.mp4", "a.ts"):
        with av.open(str(tmp_path / name), "w") as container:
            video: Any = container.add_stream("libx264", rate=25)
            video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
            sound: Any = container.add_stream("mp2", rate=44100)
            for index in range(25):
                frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 9 * index, np.uint8), "rgb24")
                frame.pts = index
                container.mux(video.encode(frame.reformat(format="yuv420p")))
            container.mux(video.encode(None))
            for index in range(100):
                piece = av.AudioFrame.from_ndarray(np.zeros((1, 1152), np.int16), "s16", "mono")
                piece.sample_rate, piece.pts = 44100, 1152 * index
                container.mux(sound.encode(piece))
            container.mux(sound.encode(None))
        found, damage, _ = read(tmp_path / name)
        assert len(found) == 25 and damage is None, name


@pytest.mark.skipif(not REAL, reason=f"needs the clips in {SHARED}/data")
def test_real_clips_are_whole() -> None:
    for path in REAL[::24]:
        found, damage, borders = read(path)
        assert damage is None and len(found) == len(borders) - 1 == len(edges(path)) - 1, path


@pytest.mark.skipif(not CASES, reason=f"needs the files in {SHARED}/cases")
@pytest.mark.parametrize("path", CASES, ids=lambda path: path.name)
def test_what_failed_once_is_told(path: Path) -> None:
    found, damage, borders = read(path)
    assert found and damage and len(borders) == len(found) + 1
    assert borders[-1] < 3  # these last two seconds
    with pytest.raises(VideoError) as caught:
        list(frames(path))
    assert caught.value.cause and path.name in caught.value.path
    probe(path)


CUTS = [
    ("a.mp4", "libx264", {"movflags": "+faststart"}),
    *(KINDS[k] for k in (1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15, 16, 19)),
]


@pytest.mark.parametrize(("name", "codec", "options"), CUTS)
@pytest.mark.parametrize("how", ["cut", "emptied"])
def test_a_lost_end_is_told(kind: Make, name: str, codec: str, options: dict[str, str], how: str) -> None:
    path = kind(name, codec, options, pictures=None if name.endswith("mxf") else noise(40))
    data = path.read_bytes()
    rest = len(data) * 2 // 3 + 5
    path.write_bytes(data[:rest] + (bytes(len(data) - rest) if how == "emptied" else b""))
    found, damage, borders = read(path)
    assert 5 <= len(found) < 40 and damage
    assert borders == [frame.start for frame in found] + [found[-1].end]


@pytest.fixture
def numbered(draw: Callable[..., Pixels]) -> list[Pixels]:
    """100 pictures that carry their number and much else."""
    rng = np.random.default_rng(2)
    size = (144, 192, 3)
    return [(draw(k, 192, 144) // 2 + rng.integers(0, 24, size) + 52).astype(np.uint8) for k in range(100)]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.avi", "a.mjpeg"])
def test_reading_goes_on_at_the_next_key_picture_and_time_goes_on_too(
    make: Make, number: Callable[[Pixels], int], numbered: list[Pixels], name: str
) -> None:
    codec = {"a.avi": "mpeg4", "a.mjpeg": "mjpeg"}.get(name, "libx264")
    more = {"mux": {"cluster_time_limit": "200"}} if name == "a.mkv" else {}
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    path = make(name, 100, codec=codec, g="10", size=(192, 144), pictures=numbered, pixels=pixels, **more)
    data = bytearray(path.read_bytes())
    half = len(data) // 2
    data[half : half + 3000] = np.random.default_rng(1).bytes(3000)
    path.write_bytes(data)
    with reading(path) as one:
        found = list(one.frames())
    assert one.damage and 70 <= len(found) < 100 and len(one.edges) == len(found) + 1
    numbers = [number(frame.image) for frame in found]
    assert numbers[0] == 0 and numbers[-1] == 99
    if name != "a.mjpeg":  # this one bears no times: what is not found is not counted
        assert [round(frame.start * 25) for frame in found] == numbers
    if name in ("a.mp4", "a.avi"):
        assert [frame.index for frame in found] == numbers
    with pytest.raises(VideoError, match=name):
        list(frames(path))


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_lost_beginning_leaves_its_time(
    make: Make, number: Callable[[Pixels], int], numbered: list[Pixels], name: str
) -> None:
    path = make(name, 60, g="10", size=(192, 144), pictures=numbered)
    data = bytearray(path.read_bytes())
    at = box(data, b"mdat") + 900 if name == "a.mp4" else 1500
    data[at : at + 2000] = np.random.default_rng(1).bytes(2000)
    path.write_bytes(data)
    with reading(path) as one:
        found = list(one.frames())
    assert one.damage and 40 <= len(found) < 60 and found[0].start > 0
    assert all(round(frame.start * 25) == number(frame.image) for frame in found)
    assert name == "a.mkv" or all(frame.index == number(frame.image) for frame in found)


@pytest.mark.parametrize("raised", [IndexError, ValueError, MemoryError, OSError, RuntimeError, UnicodeDecodeError])
@pytest.mark.parametrize("where", ["demux", "decode", "convert", "open", "stamps"])
def test_whatever_a_decoder_raises_is_an_error_of_ours(
    make: Make, monkeypatch: pytest.MonkeyPatch, where: str, raised: type[Exception]
) -> None:
    from wherewhen.video import convert, film, opening

    path = make("a.mp4", 20)
    arguments = ("utf-8", b"\xff", 0, 1, "no") if raised is UnicodeDecodeError else ("no",)

    def fails(*_: object, **__: object) -> Any:
        raise raised(*arguments)

    def some(self: decoding.Decoding) -> Iterator[Any]:
        for count, packet in enumerate(honest(self)):
            if count == 5:
                fails()
            yield packet

    honest = decoding.Decoding._packets
    if where == "demux":
        monkeypatch.setattr(decoding.Decoding, "_packets", some)
    elif where == "decode":
        monkeypatch.setattr(decoding.Decoding, "_decode", fails)
    elif where == "convert":
        monkeypatch.setattr(convert.Converter, "_rgb", fails)
    elif where == "open":
        monkeypatch.setattr(opening, "_stream_of", fails)
    else:
        monkeypatch.setattr(film, "stamps", fails)
    if where == "demux":
        found, damage, _ = read(path)
        assert found and damage
    elif where != "stamps":
        with pytest.raises(VideoError):
            read(path)
    with pytest.raises(VideoError, match=r"a\.mp4"):
        edges(path) if where == "stamps" else list(frames(path))


@pytest.mark.parametrize("seed", range(40))
def test_mutants_are_read_right_or_told(kind: Make, seed: int) -> None:
    """A few of those that a longer search tries: no foreign exception, no loss of many pictures without a word."""
    rng = random.Random(seed)
    path = kind(*rng.choice([one for one in KINDS if one[0] not in ("a.h264", "a.mpg", "a.nut")]))
    data = bytearray(path.read_bytes())
    for _ in range(rng.choice([1, 4, 40])):
        at = rng.randrange(len(data))
        data[at] ^= 1 << rng.randrange(8)
    path.write_bytes(data[: rng.randrange(len(data) // 2, len(data)) if rng.random() < 0.5 else None])
    try:
        found, damage, borders = read(path)
    except VideoError:
        return
    assert len(borders) == len(found) + 1 and all(a < b for a, b in pairwise(borders))
    assert damage or len(found) >= 36
