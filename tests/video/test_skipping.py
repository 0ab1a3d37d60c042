"""Pictures that no consumer takes are not decoded, where no other needs them; frames are the same to the last bit."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
import pytest

from wherewhen.core.values import Floats, Frame
from wherewhen.video import film
from wherewhen.video.packets import Packets
from wherewhen.video.reader import Reading, Spent, Want, frames, reading, several
from wherewhen.video.taking import Taking

COUNT = 130
RATES = (1.0, 2.0, 4.7, 6.0, 8.0, 12.5, 15.0, 25.0)
B3 = "bframes=3:b-adapt=0:keyint=30"
KINDS: dict[str, tuple[str, dict[str, str]]] = {
    "default.mp4": ("libx264", {}),
    "flat.mp4": ("libx264", {"x264-params": f"{B3}:b-pyramid=none"}),
    "pyramid.mkv": ("libx264", {"x264-params": f"{B3}:b-pyramid=normal:open-gop=1"}),
    "deep.mp4": ("libx264", {"x264-params": "bframes=8:b-adapt=2:keyint=47:scenecut=0"}),
    "stream.ts": ("libx264", {"x264-params": B3}),
    "raw.flv": ("libx264", {"x264-params": B3}),
    "fields.mp4": ("libx264", {"flags": "+ilme+ildct", "x264-params": "tff=1:bframes=3"}),
    "next.mp4": ("libx265", {"x265-params": "log-level=none:pools=1:bframes=4:b-adapt=0:keyint=40"}),
    "layers.mkv": ("libx265", {"x265-params": "log-level=none:pools=1:bframes=3:temporal-layers=3:keyint=40"}),
    "next.ts": ("libx265", {"x265-params": "log-level=none:pools=1:bframes=3:keyint=25:open-gop=1"}),
    "bare.h264": ("libx264", {"x264-params": B3}),
    "plain.mp4": ("libx264", {"bf": "0"}),
}


class Read(NamedTuple):
    frames: list[tuple[int, Frame]]
    edges: Floats
    damage: str | None
    pictures: int


def read(path: Path, wants: list[Want], span: tuple[float, float] | None, *, whole: bool) -> Read:
    """What consumers get, with all pictures decoded or not."""
    spent = Spent()
    with reading(path, whole=whole) as video:
        found = list(video.several(wants, span, spent))
        return Read(found, video.edges, video.damage, spent.pictures)


def check_equal(one: Read, other: Read) -> None:
    assert len(one.frames) == len(other.frames)
    for (taker, a), (number, b) in zip(one.frames, other.frames, strict=True):
        assert (taker, a.index, a.start, a.end) == (number, b.index, b.start, b.end)
        assert np.array_equal(a.image, b.image)
    assert np.array_equal(one.edges, other.edges) and one.damage == other.damage


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Small videos of each kind, in which two patches move; each is drawn once."""
    folder = tmp_path_factory.mktemp("films")

    def made(name: str) -> Path:
        path = folder / name
        if not path.exists():
            codec, options = KINDS[name]
            noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
            with av.open(str(path), "w") as file:
                stream: Any = file.add_stream(codec, rate=25, options={**options, "threads": "1"})
                stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
                for number in range(COUNT):
                    picture = noise.copy()
                    picture[8:20, number % 50 : number % 50 + 12] = 255
                    picture[30:40, -number % 40 : -number % 40 + 9] = (number * 37) % 256
                    file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
                file.mux(stream.encode(None))
        return path

    return made


@pytest.mark.parametrize("name", KINDS)
def test_frames_are_those_of_a_reading_that_decodes_all(films: Callable[[str], Path], name: str) -> None:
    path, rng, fewer = films(name), random.Random(name), 0
    for _ in range(12):
        wants = [
            Want(rng.choice(RATES), rng.choice([None, 32]), delay=rng.choice([0, 0.7]))
            for _ in range(rng.choice([1, 1, 2, 3]))
        ]
        begin = rng.uniform(0, 4)
        span = rng.choice([None, None, (begin, begin + rng.uniform(0.1, 2)), (0.0, 3.3)])
        whole, other = read(path, wants, span, whole=True), read(path, wants, span, whole=False)
        check_equal(whole, other)
        fewer += whole.pictures - other.pictures
    assert (fewer > 100) == (name not in ("plain.mp4", "bare.h264"))  # the last one has no stamps


@pytest.mark.parametrize("name", ["stream.ts", "next.ts"])
def test_a_stream_is_read_alike(name: str, films: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(film, "is_live", lambda _: True)
    monkeypatch.setattr(film, "file_of", lambda _: None)
    wants = [Want(6.0), Want(2.0, 32, apart=True)]
    whole, other = (read(films(name), wants, None, whole=whole) for whole in (True, False))
    check_equal(whole, other)
    assert other.pictures < 0.8 * whole.pictures


def test_all_are_decoded_where_all_are_needed(films: Callable[[str], Path]) -> None:
    spent = Spent()
    list(several(films("flat.mp4"), [Want(2.0)], spent=spent, damaged="set-aside"))
    assert spent.pictures == COUNT
    for wants in ([Want()], [Want(2.0), Want()], [Want(2.0, new=True)], [Want(2.0), Want(1.0, new=True)]):
        assert read(films("flat.mp4"), wants, None, whole=False).pictures == COUNT


def test_a_frame_that_was_not_foreseen_is_replaced_by_the_next(
    films: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = films("flat.mp4")
    right = [frame.index for _, frame in read(path, [Want(6.0)], None, whole=True).frames]
    monkeypatch.setattr(Taking, "needless", lambda *_: True)
    found = read(path, [Want(6.0)], None, whole=False)
    numbers = [frame.index for _, frame in found.frames]
    assert found.pictures < COUNT / 2 and found.damage is None and len(found.edges) == COUNT + 1
    assert numbers != right and len(numbers) == len(right)
    assert all(number <= other < number + 4 for number, other in zip(right, numbers, strict=True))


def test_clips_have_the_pictures_that_were_not_decoded(films: Callable[[str], Path], tmp_path: Path) -> None:
    ring = Packets(10**7, 60.0)
    with Reading(films("stream.ts"), "keep", None, ring) as video:
        assert len(list(video.frames(rate=2.0))) < 12
    begin, end = ring.cut(tmp_path / "clip.mp4", 1.5, 3.0)
    whole = [frame for frame in frames(films("stream.ts")) if begin <= frame.start <= end]
    clip = list(frames(tmp_path / "clip.mp4"))
    assert len(clip) == len(whole) > 37
    assert all(np.array_equal(one.image, other.image) for one, other in zip(clip, whole, strict=True))


@pytest.mark.parametrize("seed", range(24))
def test_what_is_whole_of_a_damaged_file_is_read(seed: int, films: Callable[[str], Path], tmp_path: Path) -> None:
    """At each damaged place the decoder keeps one picture back, with fewer pictures in it another one."""
    rng = random.Random(seed)
    data = bytearray(films(rng.choice(["flat.mp4", "pyramid.mkv", "stream.ts", "next.mp4"])).read_bytes())
    flips = rng.choice([1, 4])
    for _ in range(flips):
        at = rng.randrange(len(data) // 4, len(data))
        data[at] ^= 1 << rng.randrange(8)
    path = tmp_path / "a"
    path.write_bytes(data)
    whole = read(path, [Want(25.0, 32)], None, whole=False)
    found = read(path, [Want(6.0, 32)], None, whole=False)
    assert len(set(whole.edges) - set(found.edges)) <= flips
    slots = [{int((frame.start + 0.016) * 6 + 1e-9) for _, frame in one.frames} for one in (whole, found)]
    assert len(slots[0] - slots[1]) <= flips
