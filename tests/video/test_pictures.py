"""Pictures in memory are a source like any other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from wherewhen.core.errors import ConfigError
from wherewhen.core.values import Pictures
from wherewhen.video import reader


def noise(count: int = 7, size: tuple[int, int] = (24, 32)) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, *size, 3), np.uint8)


def test_they_come_as_they_are_at_their_times() -> None:
    images = noise()
    frames = list(reader.frames(Pictures(images, 10)))
    assert np.array_equal(np.stack([frame.image for frame in frames]), images)
    assert [frame.start for frame in frames] == [k / 10 for k in range(7)]
    assert frames[-1].end == pytest.approx(0.7)
    assert reader.probe(Pictures(images, 10)).frames == 7
    assert reader.edges(Pictures(images, 10)).tolist() == pytest.approx([k / 10 for k in range(8)])


def test_rate_span_and_width_do_as_for_a_file() -> None:
    got = list(reader.frames(Pictures(noise(20), 10), span=(0.5, 1.5), rate=5, width=16))
    assert [frame.index for frame in got] == [6, 8, 10, 12, 14]
    assert got[0].image.shape == (12, 16, 3)


def test_they_are_seen_as_a_lossless_file_is(tmp_path: Path) -> None:
    images = noise()
    folder = tmp_path / "album"
    folder.mkdir()
    for number, image in enumerate(images):
        picture = av.VideoFrame.from_ndarray(image, "rgb24").to_image()
        picture.save(folder / f"{number}.png")
    for one, other in zip(reader.frames(folder, width=16), reader.frames(Pictures(images), width=16), strict=True):
        assert np.array_equal(one.image, other.image)


def test_lists_and_gray_pictures_do_as_well() -> None:
    gray = noise()[..., 0]
    assert np.array_equal(Pictures(list(gray)).images, np.repeat(gray[..., None], 3, -1))
    assert repr(Pictures(list(noise()), 12.5)) == "Pictures(7 of 32x24, 12.5 per second)"


@pytest.mark.parametrize(
    ("images", "got"),
    [
        (noise() / 255, r"float64 \(7, 24, 32, 3\)"),
        (np.zeros((0, 4, 4, 3), np.uint8), r"\(0, 4, 4, 3\)"),
        (np.zeros((2, 4, 4, 4), np.uint8), r"\(2, 4, 4, 4\)"),
        ([noise()[0], noise(1, (8, 8))[0]], r"\(24, 32, 3\), \(8, 8, 3\)"),
        (5, "int 5"),
        ([], "list"),
        (["a.mp4"], "<U5"),
    ],
)
def test_what_is_no_picture_is_told(images: Any, got: str) -> None:
    with pytest.raises(ConfigError, match=f"expected uint8 RGB pictures .*{got}"):
        Pictures(images)


@pytest.mark.parametrize("rate", [0, -1, float("inf"), float("nan"), "25"])
def test_a_rate_is_a_number_above_0(rate: Any) -> None:
    with pytest.raises(ConfigError, match="rate: expected pictures per second above 0"):
        Pictures(noise(), rate)
