"""Backgrounds of videos, by which videos of one camera are recognized."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherewhen.core.errors import VideoError
from wherewhen.core.values import Pixels
from wherewhen.extraction import backgrounds
from wherewhen.extraction.backgrounds import Background, background, directions, same_camera
from wherewhen.video.writer import Writer


def scene(seed: int, size: tuple[int, int] = backgrounds.SIZE) -> Pixels:
    """Blocks of random brightness."""
    coarse = np.random.default_rng(seed).integers(30, 200, (9, 12), np.uint8)
    return cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_LINEAR).astype(np.uint8)


def film(path: Path, seed: int, count: int = 30, gain: float = 1.0, walker: int = 0) -> Path:
    """A video of a scene in which a bright block walks."""
    with Writer(path, 10) as file:
        for number in range(count):
            picture = np.repeat((scene(seed, (96, 128)) * gain).astype(np.uint8)[..., None], 3, 2)
            x = (7 * number + 31 * walker) % 104
            picture[30:70, x : x + 24] = 250
            file.write(picture)
    return path


def test_what_moves_is_not_in_the_background_and_light_does_not_matter(tmp_path: Path) -> None:
    day, night, other = (
        film(tmp_path / "a.mp4", 0),
        film(tmp_path / "b.mp4", 0, 50, 0.5, 1),
        film(tmp_path / "c.mp4", 1),
    )
    found = [background(path, tmp_path / "cache") for path in (day, night, other)]
    assert found[0].picture.shape == backgrounds.SIZE and found[0].shape == pytest.approx(4 / 3)
    assert np.abs(found[0].picture.astype(float) - scene(0)).mean() < 8
    rows = directions(found)
    agree = rows @ rows.T
    assert agree[0, 1] > 0.7 and np.abs(agree[2, :2]).max() < 0.25
    assert same_camera(found) == [0, 0, 1]


def test_a_background_is_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = film(tmp_path / "a.mp4", 3)
    first = background(path, tmp_path / "cache")
    with monkeypatch.context() as patch:
        patch.setattr(backgrounds, "_measured", lambda _: pytest.fail("measured again"))
        again = background(path, tmp_path / "cache")
    np.testing.assert_array_equal(first.picture, again.picture)
    assert first.shape == again.shape
    (file,) = (tmp_path / "cache").rglob("*.safetensors")
    file.write_bytes(b"damaged")
    np.testing.assert_array_equal(background(path, tmp_path / "cache").picture, first.picture)


def test_a_folder_of_pictures_has_a_background(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    for number in range(12):
        cv2.imwrite(str(tmp_path / f"frames/{number:03d}.png"), scene(4, (96, 128)))
    film(tmp_path / "a.mp4", 4)
    found = [background(tmp_path / name, tmp_path / "cache") for name in ("frames", "a.mp4")]
    assert same_camera(found) == [0, 0]


def test_a_long_video_is_read_at_its_key_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = film(tmp_path / "a.mp4", 5, 1500)
    with monkeypatch.context() as patch:
        patch.setattr(backgrounds, "_first_pictures", lambda _: pytest.fail("decoded from the start"))
        seeks = background(path, tmp_path / "one")
    monkeypatch.setattr(backgrounds, "key_pictures", lambda *_: [])
    assert same_camera([seeks, background(path, tmp_path / "two")]) == [0, 0]


def test_a_damaged_video_has_a_background(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(path: Path, *_: object) -> list[Pixels]:
        raise VideoError(path, "damaged in the middle")

    path = film(tmp_path / "a.mp4", 6)
    whole = background(path, tmp_path / "one")
    monkeypatch.setattr(backgrounds, "key_pictures", broken)
    assert same_camera([whole, background(path, tmp_path / "two")]) == [0, 0]


def test_a_video_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no video")
    with pytest.raises(VideoError, match=r"a\.mp4"):
        background(tmp_path / "a.mp4", tmp_path / "cache")


Change = Callable[[Pixels], Pixels]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.floats(0.4, 1.2), st.integers(-20, 40)), max_size=14),
    st.randoms(use_true_random=False),
)
def test_cameras_are_the_scenes_in_any_light_and_any_order(rows: list[tuple[int, float, int]], random: object) -> None:
    def seen(seed: int, gain: float, offset: int) -> Background:
        noise = np.random.default_rng(seed).normal(0, 2, backgrounds.SIZE)
        return Background((scene(seed) * gain + offset + noise).clip(0, 255).astype(np.uint8), 4 / 3)

    cameras = same_camera([seen(*row) for row in rows])
    first = list(dict.fromkeys(seed for seed, _, _ in rows))
    assert cameras == [first.index(seed) for seed, _, _ in rows]
    order = list(range(len(rows)))
    random.shuffle(order)  # type: ignore[attr-defined]
    moved = same_camera([seen(*rows[place]) for place in order])
    for a, place in enumerate(order):
        for b, other in enumerate(order):
            assert (moved[a] == moved[b]) == (cameras[place] == cameras[other])


def test_pictures_of_another_shape_are_of_another_camera() -> None:
    assert same_camera([Background(scene(0), 4 / 3), Background(scene(0), 16 / 9), Background(scene(0), 1.34)]) == [
        0,
        1,
        0,
    ]


def test_pictures_that_show_nothing_agree_with_none() -> None:
    black = Background(np.zeros(backgrounds.SIZE, np.uint8), 4 / 3)
    assert same_camera([black, black]) == [0, 1]


def test_many_backgrounds_are_compared_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backgrounds, "BLOCK", 2)
    found = [Background(scene(seed % 3), 4 / 3) for seed in range(9)]
    assert same_camera(found) == [0, 1, 2] * 3


def test_none_have_no_camera() -> None:
    assert same_camera([]) == []
