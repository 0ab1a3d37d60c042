"""Motion is a speed: whatever lies between two pictures, it is told as motion of one step of the backbone's rate."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherewhen.backbones._pace import CLOSEST, paces_of
from wherewhen.backbones.motion import NAMES, Motion, MotionConfig
from wherewhen.core.values import Features, Floats, Frame, Pictures, Pixels
from wherewhen.extraction import sampling
from wherewhen.video.clock import Thinner

RATE = 12.5
GRAINS = ("flow_right", "speed", "speed_rms", "speed_peak", "foreground", "foreground_speed", "change", "edge_0")


@cache
def grain(height: int, width: int, seed: int) -> Pixels:
    """A soft random pattern."""
    noise = np.random.default_rng(seed).integers(0, 255, (height, width), np.uint8)
    return np.asarray(cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2), None, 40, 200, cv2.NORM_MINMAX), np.uint8)


def shown(times: Floats, speed: float) -> Pixels:
    """Pictures at some times of a band that moves to the right by so many px a second: ``(T, 96, 160, 3)``."""
    pictures = np.repeat(grain(96, 160, 0)[None], len(times), 0)
    for picture, time in zip(pictures, times, strict=True):
        shift = np.array([[1, 0, speed * time - 400], [0, 1, 0]], np.float32)
        picture[32:64] = cv2.warpAffine(grain(32, 800, 1), shift, (160, 32))
    return np.repeat(pictures[..., None], 3, 3)


def seen(times: Floats, speed: float) -> dict[str, float]:
    """What the cells in the middle of the band say of it."""
    clip = shown(times, speed)[None]
    cells = Motion(MotionConfig(steps=1))(clip, np.diff(times)[None])[0, 0, 3, 2:-2].mean(0)
    return dict(zip(NAMES, cells.tolist(), strict=True))


@given(st.sampled_from([25.0, 35.0, 50.0]), st.integers(0, 10**6))
@settings(max_examples=25)
def test_a_pattern_has_its_speed_whatever_the_times_of_its_pictures(speed: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    steps = rng.uniform(0.06, 0.2, 8) if seed % 2 else np.full(8, rng.uniform(0.06, 0.2))
    found, wanted = (seen(np.cumsum([0, *own]), speed) for own in (steps, np.full(8, 1 / RATE)))
    for name in GRAINS:
        assert found[name] == pytest.approx(wanted[name], rel=0.45), name
    for name in ("flow_right", "foreground_speed"):
        assert found[name] == pytest.approx(wanted[name], rel=0.3), name


def test_without_times_a_slow_source_seems_fast() -> None:
    """So the test above can fail."""
    clip = shown(np.arange(9) / 5, 25)[None]
    raw = Motion(MotionConfig(steps=1))(clip)[0, 0, 3, 2:-2].mean(0)
    wanted = seen(np.arange(9) / RATE, 25)
    assert raw[NAMES.index("foreground_speed")] > 2 * wanted["foreground_speed"]


def kept(rate: float, count: int = 9) -> Floats:
    """When the pictures begin that are kept of a source of this rate."""
    keeps = Thinner(RATE, 1 / rate, 1 / 90_000)
    starts = (k * 1001 / round(rate * 1001) for k in range(200))
    return np.array([start for start in starts if keeps(start)][:count])


@pytest.mark.parametrize("rate", [12.5, 25, 50, 100])
def test_at_the_rate_that_is_wanted_not_a_bit_changes(rate: float) -> None:
    backbone, times = Motion(MotionConfig()), kept(rate)
    clip = shown(times, 40)[None]
    np.testing.assert_array_equal(backbone(clip, np.diff(times)[None]), backbone(clip))
    rounded = times.round(3)  # as a container with whole milliseconds has them
    np.testing.assert_array_equal(backbone(clip, np.diff(rounded)[None]), backbone(clip))


@pytest.mark.parametrize("rate", [29.97, 30.0, 24.0, 15.0])
def test_pictures_that_are_picked_unevenly_have_an_even_speed(rate: float) -> None:
    times = kept(rate)
    uneven = np.ptp(np.diff(times))
    assert uneven > 0.02
    clip = shown(times, 60)[None]
    backbone = Motion(MotionConfig(steps=8))
    place = NAMES.index("foreground_speed")
    told, raw = (
        found[0, :, 3, 2:-2, place].mean(1) for found in (backbone(clip, np.diff(times)[None]), backbone(clip))
    )
    assert np.ptp(told) / told.mean() < 0.6 * np.ptp(raw) / raw.mean()


def test_a_pause_of_the_recording_is_no_motion() -> None:
    times = np.arange(9) / RATE
    clip = shown(times, 40)[None]
    late = times + 100 * (np.arange(9) > 4)
    fine = Motion(MotionConfig(steps=8))
    found, wanted = fine(clip, np.diff(late)[None])[0], fine(clip)[0]
    assert not found[4].any() and wanted[4].any()
    np.testing.assert_array_equal(np.delete(found, 4, 0), np.delete(wanted, 4, 0))


def test_paces() -> None:
    clips = np.zeros((2, 4, 8, 8, 3), np.uint8)
    seconds = np.array([[0.08, 0.16, 0.2], [0.0801, 0.04, 0.001]])
    np.testing.assert_allclose(paces_of(clips, seconds, RATE), [[1, 0.5, 0.4], [1, 2, 1 / CLOSEST]], rtol=1e-6)
    assert (paces_of(clips, None, RATE) == 1).all() and (paces_of(clips, seconds, None) == 1).all()
    with pytest.raises(ValueError, match=r"expected seconds \(2, 3\) between the pictures of clips"):
        paces_of(clips, seconds[:1], RATE)


@pytest.mark.parametrize("batch", [1, 3])
def test_clips_come_with_the_times_of_their_pictures(batch: int) -> None:
    """Of a slow source whose pictures come unevenly, with crops and a gate, whatever the batch."""
    steps = np.random.default_rng(1).uniform(0.1, 0.3, 40)
    edges = np.cumsum([0, *steps])
    pictures = shown(edges[:-1], 30)
    pictures[16:25] = pictures[16]  # the third clip
    frames = [Frame(image, k, edges[k], edges[k + 1]) for k, image in enumerate(pictures)]
    backbone = Motion(MotionConfig())
    clips = list(sampling.clips(frames, backbone.clip))
    found = list(sampling.grids(iter(clips), backbone, gate=1.0, batch=batch))
    seconds = np.diff(edges[:-1])
    for number, grid in enumerate(found):
        first = min(8 * number, len(frames) - 9)
        own = slice(first, first + 9)
        wanted: Features = backbone(pictures[None, own], seconds[None, first : first + 8])[0]
        np.testing.assert_array_equal(grid.features, wanted)
    crops = list(sampling.grids(iter(clips), backbone, crops=5, batch=batch))
    middle = pictures[:9, 6 : 6 + 84, 10 : 10 + 140]
    np.testing.assert_array_equal(crops[4].features, backbone(middle[None], seconds[None, :8])[0])


def speeds_of(images: Pixels, rate: float, *, skip_repeats: bool) -> Features:
    """Speeds ``(T,)`` in the middle of a band that moves, of pictures with so many a second."""
    backbone = Motion(MotionConfig(skip_repeats=skip_repeats))
    clips = sampling.clips(sampling.frames(Pictures(images, rate), backbone.clip), backbone.clip)
    place = NAMES.index("foreground_speed")
    speeds = [grid.features[:, 3, 2:-2, place].mean(1) for grid in sampling.grids(clips, backbone)]
    return np.concatenate(speeds)[1:-1]  # at the start nothing shows yet that pictures repeat


def test_motion_has_the_speed_of_the_recording_however_often_a_file_repeats_its_pictures() -> None:
    recorded = shown(np.arange(20) / 10, 60)
    expected = speeds_of(recorded, 10, skip_repeats=False).mean()
    repeated = np.repeat(recorded, 3, 0)
    for phase in range(4):
        images = repeated[phase:]
        skipped, kept = (speeds_of(images, 30, skip_repeats=skip) / expected - 1 for skip in (True, False))
        assert np.abs(skipped).max() < 0.05
        assert np.abs(kept).max() > 0.2
