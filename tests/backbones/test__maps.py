"""What is computed in a faster way than its formula, against the formula."""

from __future__ import annotations

import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from wherewhen.backbones._maps import (
    CHANNELS,
    EDGES,
    SCALES,
    SPEEDS,
    SPREAD,
    fill_change,
    fill_channels,
    steadied,
    subtract_camera,
)
from wherewhen.core.values import Pixels


def gray(rng: np.random.Generator, height: int, width: int) -> Pixels:
    return np.asarray(cv2.GaussianBlur(rng.integers(0, 256, (height, width), np.uint8), (0, 0), 1), np.uint8)


@given(st.integers(32, 90), st.integers(32, 90), st.integers(0, 2**32 - 1))
def test_a_steadied_picture_is_the_one_that_moved_as_bytes(height: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    picture = gray(rng, height, width)
    model = rng.normal(0, [[0.02, 0.02, 4]], (2, 3)).astype(np.float32)
    matrix, flags = model + np.eye(2, 3, dtype=np.float32), cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    wanted = cv2.warpAffine(picture, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    apart = cv2.absdiff(steadied(picture, model), wanted)
    # the same in OpenCV 5; before, bytes move by 1/32 px and in integers
    assert apart.max() <= (0 if int(cv2.__version__.split(".")[0]) >= 5 else 8)


@given(st.integers(1, 50), st.integers(1, 50), st.integers(0, 2**32 - 1))
def test_the_flow_of_the_camera_is_subtracted_at_every_second_pixel(rows: int, columns: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    fields = rng.normal(0, 3, (2, rows, columns)).astype(np.float32)
    model = rng.normal(0, [[0.02, 0.02, 4]], (2, 3)).astype(np.float32)
    x, y = (np.arange(0, 2 * length, 2, dtype=np.float32) for length in (columns, rows))
    wanted = [field - (a * x + (b * y + c)[:, None]) for field, (a, b, c) in zip(fields, model, strict=True)]
    subtract_camera(fields, model)
    np.testing.assert_array_equal(fields, wanted)


@given(st.integers(32, 70), st.integers(32, 70), st.sampled_from([-20, -1, 0, 0, 1, 9]), st.integers(0, 2**32 - 1))
def test_the_change_is_the_mean_of_nine_without_the_median(height: int, width: int, lamp: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    first = gray(rng, height, width)
    noisy = first.astype(int) + lamp + rng.integers(-1, 2, first.shape)
    second = noisy.clip(0, 255).astype(np.uint8)
    found = np.empty((-(-height // 2), -(-width // 2)), np.float32)
    fill_change(first, second, found)
    signed = second.astype(int) - first
    sample = np.sort(signed[::4, ::4].ravel())
    change = np.pad(np.abs(signed - sample[len(sample) // 2]), 1, "reflect")
    nine = sum(change[dy : dy + height, dx : dx + width] for dy in range(3) for dx in range(3))
    np.testing.assert_array_equal(found, (nine[::2, ::2] / np.float32(9)).astype(np.float32))


@given(st.integers(32, 70), st.integers(32, 70), st.booleans(), st.integers(0, 2**32 - 1))
def test_channels_are_what_their_formulas_say(height: int, width: int, part: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, size = gray(rng, height, width), (-(-height // 2), -(-width // 2))
    fields = np.concatenate([rng.normal(0, 3, (2, *size)), rng.random((1, *size)) * 50, rng.random((1, *size))])
    fields = fields.astype(np.float32)
    box = (slice(2, size[0] - 3), slice(1, size[1] - 2)) if part else (slice(0, size[0]), slice(0, size[1]))
    found = np.empty((CHANNELS, *fields[0][box].shape), np.float32)
    fill_channels(first, fields, box, found)
    u, v, change, share = fields.astype(float)[:, *box]
    u, v = u * share, v * share
    speed = np.hypot(u, v)
    wanted = [u.clip(0), (-u).clip(0), v.clip(0), (-v).clip(0), *(share * (speed > least) for least in SPEEDS)]
    wanted += directed(first[2 * box[0].start : 2 * box[0].stop, 2 * box[1].start : 2 * box[1].stop], share)
    shear = sum(np.abs(slope)[...] for field in (u, v) for slope in slopes(field)) / 8
    wanted += [speed, speed**2, speed**4, shear, share * change / 255]
    assert len(wanted) == CHANNELS and len(wanted) - 5 == SPREAD
    np.testing.assert_allclose(found * SCALES, wanted, rtol=2e-5, atol=1e-5)


def slopes(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slopes to the right and down, of Sobel; the picture is mirrored at its border."""
    wide = np.pad(values, 1, "reflect")
    down, across = wide[:-2] + 2 * wide[1:-1] + wide[2:], wide[:, :-2] + 2 * wide[:, 1:-1] + wide[:, 2:]
    return down[:, 2:] - down[:, :-2], across[2:] - across[:-2]


def directed(picture: Pixels, share: np.ndarray) -> list[np.ndarray]:
    """Lengths of gradients in each direction, at every second pixel."""
    x, y = (slope[::2, ::2] * share / 255 for slope in slopes(picture.astype(float)))
    return [np.abs(x * np.cos(turn) + y * np.sin(turn)) for turn in np.pi / EDGES * np.arange(EDGES)]
