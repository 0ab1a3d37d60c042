"""Cutting, crops, batches and the gate, each against a plain second way to do it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wherewhen.core.contracts import BackboneAbilities, ClipSpec
from wherewhen.core.values import Clip, Features, Frame
from wherewhen.extraction import assembly, sampling
from wherewhen.inference.model_config import ModelConfig
from wherewhen.video import reader
from wherewhen.video.writer import Writer


def stream(count: int, step: float = 0.1) -> Iterator[Frame]:
    """Tiny frames that carry their number as their color."""
    for number in range(count):
        yield Frame(np.full((2, 2, 3), number, np.uint8), number, number * step, (number + 1) * step)


def windows(count: int, frames: int, stride: int) -> list[list[int]]:
    """The frame numbers of each clip, as the docstring of `clips` says it."""
    if count <= frames:
        return [list(range(count))] if count else []
    ends = list(range(frames, count + 1, stride))
    return [list(range(end - frames, end)) for end in ends + [count] * (ends[-1] < count)]


@given(st.integers(0, 60), st.integers(1, 12), st.integers(1, 15))
def test_clips_are_the_windows_that_they_should_be(count: int, frames: int, stride: int) -> None:
    found = list(sampling.clips(stream(count), ClipSpec(frames, stride)))
    expected = windows(count, frames, stride)
    assert [clip.images[:, 0, 0, 0].tolist() for clip in found] == expected
    for clip, numbers in zip(found, expected, strict=True):
        np.testing.assert_allclose(clip.edges, np.arange(numbers[0], numbers[-1] + 2) * 0.1)
    if stride <= frames:
        assert {number for numbers in expected for number in numbers} == set(range(count))


@pytest.mark.parametrize(("stride", "tail", "later"), [(5, "back", 0), (7, "back", 0), (4, "back", 1), (2, "drop", 2)])
def test_a_clip_comes_with_its_last_frame(stride: int, tail: Literal["back", "drop"], later: int) -> None:
    """Or, where it shares its time with the next one, as soon as it is known not to be the last."""
    eaten: list[int] = []

    def eating() -> Iterator[Frame]:
        for frame in stream(30):
            eaten.append(frame.index)
            yield frame

    for number, clip in enumerate(sampling.clips(eating(), ClipSpec(5, stride, tail=tail))):
        if eaten[-1] < 29:
            assert clip.images[-1, 0, 0, 0] == 4 + stride * number
            assert eaten[-1] == 4 + stride * number + later


@given(
    st.lists(st.floats(0.01, 3), max_size=60), st.integers(1, 12), st.integers(1, 15), st.sampled_from(["back", "drop"])
)
@example([1.0] * 6, 3, 2, "drop")
def test_every_moment_is_answered_for_once(
    steps: list[float], frames: int, stride: int, tail: Literal["back", "drop"]
) -> None:
    """By the nearest clip, where clips overlap by their stride; whenever pictures come; and live as in the end."""
    edges = np.concatenate([[5.0], 5 + np.cumsum(steps)])
    image = np.zeros((2, 2, 3), np.uint8)
    pictures = [Frame(image, k, float(a), float(b)) for k, (a, b) in enumerate(pairwise(edges))]
    spec = ClipSpec(frames, stride, tail=tail)
    found = list(sampling.clips(pictures, spec))
    if not pictures:
        assert not found
        return
    spans = [clip.span for clip in found]
    assert spans[0][0] == edges[0]
    assert all(one[1] == other[0] for one, other in pairwise(spans))
    left_out = (len(steps) - frames) % stride if tail == "drop" and len(steps) > frames else 0
    assert spans[-1][1] == edges[len(edges) - 1 - left_out]
    for number, (clip, (start, end)) in enumerate(zip(found, spans, strict=True)):
        assert start < end and clip.edges[0] < end <= clip.edges[-1]
        regular = number * stride + frames < len(steps) - left_out
        if regular and number and stride <= frames:  # as far before its first own moment as after its last
            first, last = np.searchsorted(edges, [start, end]) - number * stride
            assert first + last in (frames - 1, frames) and last - first == stride
    for count in {1, len(pictures) // 2, len(pictures) - 1}:
        live = list(sampling.clips(pictures[:count], spec))[:-1]
        assert [clip.span for clip in live] == spans[: len(live)]


@given(st.lists(st.floats(0.01, 3), min_size=1, max_size=20), st.integers(1, 9), st.booleans())
def test_time_steps_share_the_pictures_of_a_clip(steps: list[float], count: int, changes: bool) -> None:
    edges = np.concatenate([[0.0], np.cumsum(steps)])
    clip = Clip(np.zeros((len(steps), 2, 2, 3), np.uint8), edges)
    found = sampling.steps(clip, count, changes)
    assert (found[0], found[-1]) == (edges[0], edges[-1]) and (np.diff(found) > 0).all()
    told = len(steps) - 1 if changes and len(steps) > 1 else len(steps)
    if count == told:
        np.testing.assert_array_equal(found[:-1], edges[:told])


class Middle:
    """A backbone that gives the mean color of each quarter, and counts what it is asked."""

    def __init__(self, size: tuple[int, int] | None = None) -> None:
        self.clip, self.abilities = ClipSpec(4, 4, size=size), BackboneAbilities()
        self.batches: list[int] = []

    def __call__(self, clips: np.ndarray) -> Features:
        self.batches.append(len(clips))
        b, _, h, w, _ = clips.shape
        halves = clips[..., : h // 2 * 2, : w // 2 * 2, :].reshape(b, -1, 2, h // 2, 2, w // 2, 3)
        return halves.mean((1, 3, 5), dtype=np.float32)[:, None]


def pictures(count: int = 12, flat: tuple[int, ...] = ()) -> Iterator[Frame]:
    """Noise in 16 x 32; from the numbers ``flat`` on nothing changes for 4 frames."""
    rng = np.random.default_rng(3)
    image = rng.integers(0, 256, (16, 32, 3), np.uint8)
    for k in range(count):
        image = image if k - k % 4 in flat and k % 4 else rng.integers(0, 256, (16, 32, 3), np.uint8)
        yield Frame(image, k, k * 0.1, (k + 1) * 0.1)


def test_crops_are_corners_and_middle_and_lie_where_they_are() -> None:
    spec = ClipSpec(4, 4)
    for crops in (5, 10):
        found = list(sampling.grids(sampling.clips(pictures(), spec), Middle(), crops=crops))
        assert len(found) == 3 * crops
        whole = np.stack([f.image for f in pictures()]).astype(float)
        for number, grid in enumerate(found):
            clip = whole[number // crops * 4 :][:4]
            x0, y0, x1, y1 = grid.extent[2:] * [32, 16, 32, 16]
            assert (x1 - x0, y1 - y0) == (28, 14)
            part = clip[:, round(y0) : round(y1), round(x0) : round(x1)]
            own = part.reshape(4, 2, 7, 2, 14, 3).mean((0, 2, 4))
            np.testing.assert_allclose(grid.features[0], own, rtol=1e-5)  # mirrored ones as well
            assert grid.detail is None
        corners = {tuple(grid.extent[2:4]) for grid in found}
        assert corners == {(0, 0), (0.125, 0), (0, 0.125), (0.125, 0.125), (0.0625, 0.0625)}


def test_crops_have_the_size_that_a_backbone_wants() -> None:
    spec = ClipSpec(4, 4, size=(14, 28))
    assert sampling.sizes(spec, 5) == (None, (16, 32)) and sampling.sizes(spec) == (None, (14, 28))
    assert sampling.sizes(ClipSpec(4, 4, width=280), 10) == (320, None)
    seen: list[tuple[int, ...]] = []

    class Wants(Middle):
        def __call__(self, clips: np.ndarray) -> Features:
            seen.append(clips.shape)
            return super().__call__(clips)

    list(sampling.grids(sampling.clips(pictures(), spec), Wants((14, 28)), crops=5))
    assert set(seen) == {(1, 4, 14, 28, 3)}


@pytest.mark.parametrize("crops", [1, 5])
@pytest.mark.parametrize("batch", [1, 2, 7, 50])
def test_batches_change_nothing(batch: int, crops: int) -> None:
    spec = ClipSpec(4, 3)
    one, many = Middle(), Middle()
    alone = list(sampling.grids(sampling.clips(pictures(21), spec), one, crops=crops))
    found = list(sampling.grids(sampling.clips(pictures(21), spec), many, crops=crops, batch=batch))
    assert max(many.batches) <= batch and sum(many.batches) == sum(one.batches) == len(alone)
    for a, b in zip(alone, found, strict=True):
        np.testing.assert_array_equal(a.features, b.features)
        np.testing.assert_array_equal(a.extent, b.extent)


def test_the_crops_of_a_clip_come_together_when_they_are_there() -> None:
    eaten = 0

    def eating() -> Iterator[Frame]:
        nonlocal eaten
        for frame in pictures():
            eaten += 1
            yield frame

    config = ModelConfig.of()
    grids = sampling.grids(sampling.clips(eating(), ClipSpec(4, 4)), Middle(), crops=5)
    for number, part_ in enumerate(assembly.built(grids, config.make("instances"), 5)):
        assert part_.shape is None and len(part_.features) == 5 * 4
        assert eaten == 4 * (number + 1)


@pytest.mark.parametrize("batch", [1, 3])
def test_the_gate_looks_at_nothing_that_holds_nothing(batch: int) -> None:
    spec = ClipSpec(4, 4)
    plain, gated, still = Middle(), Middle(), list[tuple[float, float]]()
    flat = (4, 12)
    found = list(sampling.grids(sampling.clips(pictures(20, flat), spec), plain, gate=0))
    shut = list(sampling.grids(sampling.clips(pictures(20, flat), spec), gated, gate=2, batch=batch, still=still))
    assert sum(plain.batches) == 5 and sum(gated.batches) == 3
    np.testing.assert_allclose(still, [(0.4, 0.8), (1.2, 1.6)])
    for number, (a, b) in enumerate(zip(found, shut, strict=True)):
        np.testing.assert_array_equal(b.features, np.zeros_like(a.features) if number in (1, 3) else a.features)
        np.testing.assert_array_equal(a.extent, b.extent)
        np.testing.assert_array_equal(a.detail, b.detail)
    gray = (Frame(np.full((16, 32, 3), 128 + k % 2, np.uint8), k, k * 0.1, k * 0.1 + 0.1) for k in range(8))
    looker, still = Middle(), []
    list(sampling.grids(sampling.clips(gray, spec), looker, gate=0.5, still=still))
    assert len(still) == 2 and looker.batches == [1], "once, to know what its zeros look like"


@given(st.integers(0, 60), st.integers(1, 12), st.integers(1, 15))
def test_a_dropped_tail_is_all_that_differs(count: int, frames: int, stride: int) -> None:
    whole = [clip.images[:, 0, 0, 0].tolist() for clip in sampling.clips(stream(count), ClipSpec(frames, stride))]
    cut = [c.images[:, 0, 0, 0].tolist() for c in sampling.clips(stream(count), ClipSpec(frames, stride, tail="drop"))]
    reaches_back = count > frames and (count - frames) % stride
    assert cut == (whole[:-1] if reaches_back else whole)


@pytest.mark.parametrize("frames", [1, 2, 3, 5, 6, 9])
@pytest.mark.parametrize("size", [(240, 320), (108, 192), (61, 83), (1, 1), (5, 400)])
def test_what_moves_is_the_mean_change_of_gray_on_a_raster(frames: int, size: tuple[int, int]) -> None:
    images = np.random.default_rng(frames).integers(0, 256, (frames, *size, 3), dtype=np.uint8)
    gray = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in images]
    changes = [cv2.absdiff(a, b) for a, b in pairwise(gray)] or [np.zeros_like(gray[0])]
    columns = min(96, size[1])
    raster = columns, max(1, round(columns * size[0] / size[1]))
    small = np.stack([cv2.resize(change, raster, interpolation=cv2.INTER_AREA) for change in changes])
    each = sampling.moving(Clip(images, np.arange(frames + 1.0)), len(small))
    np.testing.assert_array_equal(each, (small / np.float32(255)).astype(np.float16).astype(np.float32))
    whole = sampling.moving(Clip(images, np.arange(frames + 1.0)), 1)
    np.testing.assert_allclose(whole[0], small.mean(0) / 255, atol=5e-4)


def test_pictures_for_two_come_from_one_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film = tmp_path / "film.mp4"
    with Writer(film, 12.5) as writer:
        for index in range(44):
            writer.write(np.full((48, 64, 3), 5 * index, np.uint8))
    specs, opened = [ClipSpec(1, 1, 5.0, 32), ClipSpec(1, 1, None, None, (24, 20))], 0
    expected = [list(sampling.frames(film, spec)) for spec in specs]
    real = reader._opened

    def counted(*arguments: Any) -> object:
        nonlocal opened
        opened += 1
        return real(*arguments)

    monkeypatch.setattr(reader, "_opened", counted)
    one, other = sampling.shared(film, specs)
    seen: list[list[Frame]] = [[next(one)], [next(other)]]
    seen[0] += list(one)
    seen[1] += list(other)
    assert opened == 1
    for found, wanted in zip(seen, expected, strict=True):
        assert [(f.index, f.start, f.end) for f in found] == [(f.index, f.start, f.end) for f in wanted]
        for a, b in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(a.image, b.image)


@given(st.integers(2, 40), st.integers(2, 40))
def test_the_middle_of_a_picture_is_where_its_cells_say(height: int, width: int) -> None:
    rng = np.random.default_rng(height * 41 + width)
    image = rng.integers(0, 256, (height, width, 3), np.uint8)
    spec = ClipSpec(1, 1, size=(12, 20), middle=True)
    ((pixels, place),) = sampling.cropped(image[None], spec)
    x0, y0, x1, y1 = np.rint(np.array(place) * [width, height, width, height]).astype(int)
    assert np.array_equal(pixels[0], image[y0:y1, x0:x1])
    assert (y1 - y0, x1 - x0) == (min(12, height), min(20, width))
    assert abs(y0 - (height - y1)) <= 1 and abs(x0 - (width - x1)) <= 1
    assert sampling.sizes(spec) == (None, None)


class Mean:
    """The mean color of each quarter of what it gets."""

    abilities, clip = BackboneAbilities(), ClipSpec(1, 1, size=(4, 4), middle=True)

    def __call__(self, clips: np.ndarray) -> Features:
        means: Features = clips.reshape(len(clips), 1, 2, 2, 2, 2, 3).mean((3, 5), dtype=np.float32)
        return means


def test_features_of_the_middle_have_its_place_and_no_motion() -> None:
    image = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    frames = [Frame(image, number, number, number + 1.0) for number in range(2)]
    grids = list(sampling.grids(sampling.clips(frames, Mean.clip), Mean()))  # type: ignore[arg-type]
    assert [grid.extent[2:].tolist() for grid in grids] == [[0.25, 1 / 6, 0.75, 5 / 6]] * 2
    assert all(grid.detail is None for grid in grids)
    np.testing.assert_allclose(grids[0].features[0, 0, 0], image[1:3, 2:4].mean((0, 1)), rtol=1e-6)
