"""Files of a head and plain pictures: whole ones are whole, and every cut is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from wherewhen.core.errors import VideoError
from wherewhen.video.reader import frames, reading
from wherewhen.video.wholeness import cut_short

Make = Callable[..., Path]
DEEP = {"mono10": 2, "mono16": 2, "444alpha": 4, "420p10": 3, "422p12": 4, "444p16": 6}  # with bytes of a pixel


@pytest.mark.parametrize("size", [(64, 48), (63, 47)])
@pytest.mark.parametrize("space", ["yuv420p", "yuv422p", "yuv444p", "yuv411p", "gray"])
def test_cuts_of_y4m_are_told(make: Make, space: str, size: tuple[int, int]) -> None:
    check(make("a.y4m", 5, codec="rawvideo", pixels=space, size=size), 5)


@pytest.mark.parametrize("space", DEEP)
def test_cuts_of_y4m_with_more_bits_are_told(tmp_path: Path, space: str) -> None:
    path = tmp_path / "a.y4m"
    picture = np.random.default_rng(0).integers(0, 4, 64 * 48 * DEEP[space], np.uint8).tobytes()
    path.write_bytes(f"YUV4MPEG2 W64 H48 F25:1 Ip A1:1 C{space}\n".encode() + (b"FRAME Ip\n" + picture) * 5)
    check(path, 5)


@pytest.mark.parametrize("codec", ["libvpx", "libvpx-vp9"])
def test_cuts_of_ivf_are_told(make: Make, codec: str) -> None:
    check(make("a.ivf", 20, codec=codec, deadline="realtime", **{"cpu-used": "8"}), 20)


def check(path: Path, count: int) -> None:
    data = path.read_bytes()
    assert cut_short(path) is None
    with reading(path) as one:
        assert len(list(one.frames())) == count and one.damage is None
    for cut in np.random.default_rng(0).integers(len(data) // 2, len(data), 6).tolist():
        path.write_bytes(data[:cut])
        assert (cut_short(path) or "").startswith("the file is cut short: "), cut
    with reading(path) as one:
        found = list(one.frames())
        assert 1 <= len(found) < count
        assert one.damage and one.damage.startswith("the file is cut short: ") and f"after {len(found)} f" in one.damage
    with pytest.raises(VideoError, match="cut short"):
        list(frames(path))


def test_an_ivf_that_ends_between_two_pictures_has_less_than_its_head_says(make: Make) -> None:
    path = make("a.ivf", 20, codec="libvpx")
    data, at = path.read_bytes(), 32
    for _ in range(12):
        at += 12 + int.from_bytes(data[at : at + 4], "little")
    path.write_bytes(data[:at])
    assert cut_short(path) == "the file is cut short: 12 of 20 pictures are there"
    path.write_bytes(data[:24] + bytes(4) + data[28:at])
    assert cut_short(path) is None, "the head says nothing"


def test_what_is_no_picture_of_a_y4m_is_told(make: Make) -> None:
    path = make("a.y4m", 5, codec="rawvideo")
    data = path.read_bytes()
    second = data.index(b"FRAME", data.index(b"FRAME") + 1)
    path.write_bytes(data[:second] + b"NOISE" + data[second + 5 :])
    assert cut_short(path) == f"the file is damaged: it can't be read from byte {second:,} of {len(data):,} on"
    path.write_bytes(b"YUV4MPEG2 W64 H48 F25:1 Cstrange\nFRAME\n" + bytes(9))
    assert cut_short(path) is None, "nobody knows"
