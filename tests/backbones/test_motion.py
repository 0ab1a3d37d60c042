from __future__ import annotations

import cv2
import numpy as np
import pytest

from wherewhen.backbones.motion import NAMES, Motion, MotionConfig
from wherewhen.core.errors import ConfigError
from wherewhen.core.values import Features, Pixels

RNG = np.random.default_rng(0)


def texture(height: int, width: int, seed: int) -> Pixels:
    """A soft random pattern in gray."""
    noise = np.random.default_rng(seed).integers(0, 255, (height, width), dtype=np.uint8)
    soft = cv2.GaussianBlur(noise, (0, 0), 2).astype(float)
    return ((soft - soft.min()) / np.ptp(soft) * 160 + 40).astype(np.uint8)


def scene(dx: int = 0, dy: int = 0, pan: int = 0, frames: int = 9, size: tuple[int, int] = (120, 160)) -> Pixels:
    """A patch of 30 px that moves by (dx, dy) a frame; the camera moves the background by ``pan``."""
    height, width = size
    wide, patch = texture(height, width + 100, 1), texture(30, 30, 2)
    pictures = []
    for k in range(frames):
        picture = wide[:, 50 - pan * k : 50 - pan * k + width].copy()
        x, y = width // 2 - 15 + (dx + pan) * (k - frames // 2), height // 2 - 15 + dy * (k - frames // 2)
        picture[y : y + 30, x : x + 30] = patch
        pictures.append(np.repeat(picture[..., None], 3, 2))
    return np.stack(pictures)[None]


def features(clips: Pixels, **settings: object) -> Features:
    return Motion(MotionConfig(**settings))(clips)[0]  # type: ignore[arg-type]


def number(found: Features, name: str) -> Features:
    return found[..., NAMES.index(name)]


@pytest.mark.parametrize(
    ("move", "name"), [((3, 0), "flow_right"), ((-3, 0), "flow_left"), ((0, 3), "flow_down"), ((0, -3), "flow_up")]
)
def test_direction_of_a_moving_patch(move: tuple[int, int], name: str) -> None:
    found = features(scene(*move))
    others = [n for n in NAMES if n.startswith("flow_") and n != name]
    total = number(found, name).sum()
    assert total > 1
    assert all(number(found, other).sum() < 0.35 * total for other in others)


@pytest.mark.parametrize("speed", [2, 4])
def test_speed_and_place_of_a_moving_patch(speed: int) -> None:
    found = features(scene(speed), steps=1)
    h, w = found.shape[1:3]
    y, x = np.unravel_index(number(found, "speed")[0].argmax(), (h, w))
    assert abs((x + 0.5) / w - 0.5) < 0.2 and abs((y + 0.5) / h - 0.5) < 0.2
    assert 0.5 * speed < number(found, "foreground_speed").max() < 1.5 * speed
    slower = "faster_1" if speed == 2 else "faster_2"
    assert number(found, slower).max() > 0.5
    assert number(found, "faster_8").max() < 0.3
    assert not found[0, 0, 0].any() and not found[0, -1, -1].any()


def test_nothing_moves_in_a_still_picture_with_sensor_noise() -> None:
    clip = scene().astype(int) + RNG.integers(-2, 3, (1, 9, 120, 160, 3))
    assert not features(clip.clip(0, 255).astype(np.uint8)).any()


def test_a_lamp_is_no_motion() -> None:
    clip = scene().astype(int)
    clip[:, 4:] += 25
    found = features(clip.clip(0, 255).astype(np.uint8), steps=1)
    assert number(found, "foreground").max() < 0.2
    assert number(features(scene(3), steps=1), "foreground").max() > 0.4


def test_the_camera_moves_and_the_features_stay() -> None:
    still, panned, raw = (
        number(features(scene(4, pan=p), steps=1, camera=c), "speed")[0] for p, c in ((0, True), (2, True), (2, False))
    )
    inner = (slice(1, -1), slice(1, -1))
    assert np.abs(panned - still)[inner].mean() < 0.15 * still.max()
    assert np.abs(raw - still)[inner].mean() > 3 * np.abs(panned - still)[inner].mean()
    assert panned[inner].argmax() == still[inner].argmax()


def test_repeated_frames_take_the_motion_of_their_neighbors() -> None:
    clip = scene(3)
    stuttering = clip[:, [0, 1, 1, 2, 3, 3, 4, 5, 6]]
    found = features(stuttering, steps=8)
    peaks = number(found, "speed").reshape(8, -1).max(1)
    assert peaks.min() > 0.5 * peaks.max()


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (17, 9), (33, 47), (200, 3)])
@pytest.mark.parametrize("frames", [1, 2, 9])
def test_tiny_and_odd_pictures(size: tuple[int, int], frames: int) -> None:
    clips = RNG.integers(0, 256, (2, frames, *size, 3), dtype=np.uint8)
    found = Motion(MotionConfig())(clips)
    steps = min(4, max(frames - 1, 1))
    grid = [max(round(side / 14), 1) for side in size]
    assert found.shape == (2, steps, *grid, len(NAMES)) and found.dtype == np.float32
    assert np.isfinite(found).all()


def test_one_frame_holds_no_motion() -> None:
    assert not features(scene(3)[:, :1]).any()


def test_windows_overlap_as_far_as_they_are_told() -> None:
    narrow, broad = (features(scene(3), steps=1, window=w) for w in (14, 56))
    assert (number(broad, "foreground") > 0).sum() > (number(narrow, "foreground") > 0).sum()
    assert broad.shape == narrow.shape


def test_steps_are_means_of_their_pairs() -> None:
    fine, coarse = (features(scene(3), steps=s) for s in (8, 2))
    both = (fine.reshape(2, 4, *fine.shape[1:]) > 0).all(1) & (coarse > 0)
    mean = fine.reshape(2, 4, *fine.shape[1:]).mean(1)
    np.testing.assert_allclose(coarse[both], mean[both], rtol=1e-4)
    assert both.any()


@pytest.mark.parametrize(
    "wrong", [{"frames": 1}, {"stride": 0}, {"steps": 9}, {"steps": 0}, {"cell": 1}, {"window": 0}]
)
def test_senseless_settings(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="motion: "):
        MotionConfig(**wrong)  # type: ignore[arg-type]
