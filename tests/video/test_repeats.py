"""Pictures that repeat the one before: recognized, and left out for consumers that measure change."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherewhen.core.values import Frame, Pictures, Pixels
from wherewhen.video import reader
from wherewhen.video.reader import Want
from wherewhen.video.repeats import LONGEST, Repeats, samples


def drawn(numbers: list[int], noise: int = 0, seed: int = 0) -> Pixels:
    """Pictures ``(T, 48, 64, 3)`` of a block that moves by 2 px per number, with noise of each picture."""
    rng = np.random.default_rng(seed)
    pictures = np.full((len(numbers), 48, 64, 3), 90, np.int16)
    pictures[:, ::3] += 40
    for picture, number in zip(pictures, numbers, strict=True):
        picture[10:30, (2 * number) % 44 : (2 * number) % 44 + 20] = 220
    pictures += rng.integers(-noise, noise + 1, pictures.shape, np.int16)
    return pictures.clip(0, 255).astype(np.uint8)


def frames_of(images: Pixels, rate: float, want: Want, span: tuple[float, float] | None = None) -> list[Frame]:
    return [frame for _, frame in reader.several(Pictures(images, rate), [want], span=span)]


@given(st.sampled_from([1, 2, 3, 5]), st.integers(0, 4), st.integers(0, 3), st.integers(0, 9))
@settings(max_examples=30, deadline=None)
def test_each_picture_is_kept_once_however_often_it_is_shown(times: int, first: int, noise: int, seed: int) -> None:
    numbers = [(k + first) // times for k in range(30)]
    new = [k for k in range(30) if k == 0 or numbers[k] != numbers[k - 1]]
    kept = frames_of(drawn(numbers, noise, seed), 25, Want(new=True))
    begun = next(k for k in new if k > 0)  # before the first change nothing shows that a picture repeats
    assert [frame.index for frame in kept if frame.index >= begun] == [k for k in new if k >= begun]
    assert [frame.start for frame in kept[1:]] == [frame.end for frame in kept[:-1]]
    assert kept[-1].end == pytest.approx(30 / 25)


@given(st.integers(0, 9), st.integers(0, 3))
@settings(max_examples=10, deadline=None)
def test_nothing_is_left_out_where_every_picture_is_new_or_nothing_moves(seed: int, noise: int) -> None:
    for numbers in (list(range(20)), [0] * 20):
        assert len(frames_of(drawn(numbers, noise, seed), 25, Want(new=True))) == 20


def test_pictures_after_a_motion_ends_are_left_out_for_a_quarter_of_a_second_only() -> None:
    numbers = [min(k, 10) for k in range(40)]
    starts = [frame.start for frame in frames_of(drawn(numbers), 25, Want(new=True))]
    assert max(np.diff(starts)) <= LONGEST + 2 / 25
    assert starts[-15:] == pytest.approx((np.arange(25, 40) / 25).tolist())


@given(st.lists(st.integers(0, 1), min_size=45, max_size=60), st.floats(0.1, 1.5), st.floats(0.3, 2))
@settings(max_examples=25, deadline=None)
def test_frames_of_a_span_are_those_of_the_whole(moves: list[int], start: float, length: float) -> None:
    images = drawn(np.cumsum(moves).tolist())
    for want in (Want(new=True), Want(12.5, new=True)):
        whole = frames_of(images, 25, want)
        part = frames_of(images, 25, want, (start, start + length))
        inside = [frame.index for frame in whole if start <= frame.start < start + length]
        indices = [frame.index for frame in part]
        assert not inside or indices[-len(inside) :] == inside
        assert len(indices) <= len(inside) + 1  # the picture that is shown when the span begins


def test_a_cut_leaves_nothing_out() -> None:
    images = drawn(list(range(20)))
    images[14:] //= 4
    assert len(frames_of(images, 25, Want(new=True))) == 20


def test_other_consumers_get_all_pictures() -> None:
    images = drawn([k // 2 for k in range(20)])
    taken = list(reader.several(Pictures(images, 25), [Want(), Want(new=True)]))
    assert [frame.index for number, frame in taken if number == 0] == list(range(20))
    assert sum(number == 1 for number, _ in taken) < 13


@pytest.mark.parametrize("pixels", ["yuv420p", "yuv444p", "yuv420p10le", "rgb24", "gray"])
def test_pixels_of_every_format_are_compared_in_gray(pixels: str) -> None:
    image = drawn([3])[0]
    frame = av.VideoFrame.from_ndarray(image, "rgb24").reformat(format=pixels)
    assert np.abs(samples(frame) - samples(image)).max() <= 24
    assert samples(frame).shape == samples(image).shape


def test_a_file_of_half_the_rate(tmp_path: Path) -> None:
    """H.264 leaves small differences between the two pictures of a pair."""
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=25, options={"crf": "30"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for image in drawn([k // 2 for k in range(40)], noise=2):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        file.mux(stream.encode())
    kept = [frame.index for _, frame in reader.several(path, [Want(12.5, new=True)])]
    assert kept[1:] == list(range(kept[1], 40, 2))


def test_pictures_of_another_size_are_new() -> None:
    repeats = Repeats(0.04)
    assert [repeats(np.zeros((side, 8, 3), np.uint8), side / 25) for side in (8, 8, 9, 9)] == [False] * 4
