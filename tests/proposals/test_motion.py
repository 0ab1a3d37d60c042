from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest

from wherewhen.core import extents as ext
from wherewhen.core.errors import ConfigError
from wherewhen.core.values import Boxes, Frame
from wherewhen.proposals.motion import CAMERA, CHANGED, Motion, MotionConfig


def seen(world: Any, count: int, **changes: Any) -> list[Boxes]:
    return list(Motion(MotionConfig())(world.frames(count, **changes)))


def fit(found: Boxes, box: tuple[int, int, int, int], size: tuple[int, int] = (240, 320)) -> float:
    """The best IoU of any box with a pixel box."""
    rows = ext.from_pixels([box], [[0, 1]], size[1], size[0])
    return float(ext.iou(found.extents, rows).max(initial=0))


def test_who_crosses_is_found_from_the_first_second_on(world: Any) -> None:
    one = world([(16, 36, lambda k: (10 + 3 * k, 60)), (20, 30, lambda k: (290 - 3 * k, 150))])
    found = seen(one, 60)
    assert len(found) == 60
    hits = [fit(boxes, box) for k, boxes in enumerate(found) if k >= 12 for box in one.boxes(k)]
    assert np.mean(np.array(hits) > 0.6) > 0.9
    early = [fit(boxes, box) for k, boxes in enumerate(found) if 3 <= k < 12 for box in one.boxes(k)]
    assert np.mean(np.array(early) > 0.4) > 0.7
    assert np.mean([len(boxes.values) for boxes in found[12:]]) < 2.6, "little else is found"
    assert min(boxes.values.max() for boxes in found[12:]) > 0.5


def test_where_something_stood_at_the_start_is_forgotten_once_it_left(world: Any) -> None:
    """Its place differs from what was learnt, but nobody is there."""
    one = world([(20, 40, lambda k: (100 + 5 * max(0, k - 20), 80))])
    found = seen(one, 75)
    rows = ext.from_pixels([(100, 80, 120, 120)], [[0, 1]], 320, 240)
    for k in range(40, 75):
        assert not len(found[k].extents) or ext.iou(found[k].extents, rows).max() < 0.3, k
    assert fit(found[30], one.boxes(30)[0]) > 0.5


def test_a_shadow_is_no_part_of_who_casts_it(world: Any) -> None:
    class Sunny(world):  # type: ignore[misc]
        def picture(self, k: int, **told: Any) -> Any:
            image = super().picture(k, **told).astype(np.float32)
            x0, _, _, y1 = self.boxes(k)[0]
            image[y1 - 4 : y1 + 10, x0 + 16 : x0 + 50] *= 0.6
            return image.astype(np.uint8)

    one = Sunny([(16, 36, lambda k: (10 + 3 * k, 60))])
    found = list(Motion(MotionConfig())(one.frames(60)))
    plain = [fit(boxes, one.boxes(k)[0]) for k, boxes in enumerate(found) if 15 <= k < 50]
    with_shadow = [(x0, y0, x0 + 50, y1 + 10) for x0, y0, _, y1 in (one.boxes(k)[0] for k in range(15, 50))]
    long = [fit(boxes, box) for boxes, box in zip(found[15:50], with_shadow, strict=True)]
    assert np.median(plain) > 0.6 > np.median(long)


def test_two_who_pass_each_other_stay_two(world: Any) -> None:
    one = world([(18, 40, lambda k: (60 + 3 * k, 80)), (18, 40, lambda k: (240 - 3 * k, 86))])
    found = seen(one, 62)
    met = [k for k in range(62) if abs(one.boxes(k)[0][0] - one.boxes(k)[1][0]) < 22]
    assert len(met) > 5
    both = [min(fit(found[k], box) for box in one.boxes(k)) for k in met]
    assert np.mean(np.array(both) > 0.3) > 0.6
    alone = list(Motion(MotionConfig(split=False))(one.frames(62)))
    without = [min(fit(alone[k], box) for box in one.boxes(k)) for k in met]
    assert np.mean(both) > np.mean(without) + 0.1


def test_an_empty_scene_has_no_boxes(world: Any) -> None:
    found = seen(world([]), 40)
    assert [len(boxes.values) for boxes in found] == [0] * 40 and {boxes.note for boxes in found} == {""}


@pytest.mark.parametrize("depth", [0.15, 0.7])
def test_light_that_flickers_is_no_mover(world: Any, depth: float) -> None:
    found = seen(world([]), 50, light=lambda k: 1 - depth * (k % 2))
    assert max(len(boxes.values) for boxes in found[2:]) <= 2
    assert {boxes.note for boxes in found} <= {"", CHANGED}


def test_light_that_goes_out_for_good_is_the_new_scene(world: Any) -> None:
    one = world([(20, 40, lambda k: (4 * k - 120, 80))])
    found = seen(one, 90, light=lambda k: 1.0 if k < 30 else 0.4)
    assert CHANGED in {boxes.note for boxes in found[30:36]}
    assert np.mean([fit(found[k], one.boxes(k)[0]) > 0.4 for k in range(50, 85)]) > 0.8


def test_a_moving_camera_is_noted_once_and_its_movers_are_still_found(
    world: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def pan(k: int) -> tuple[int, int]:
        return (2 * min(max(k - 20, 0), 30), 0)

    one = world([(24, 44, lambda k: (250 - 5 * k, 100))], size=(240, 240))
    with caplog.at_level(logging.WARNING, logger="wherewhen"):
        found = seen(one, 80, shift=pan)
    notes = [boxes.note for boxes in found]
    assert notes[:20] == [""] * 20 and notes[-15:] == [""] * 15
    assert notes[26:48] == [CAMERA] * 22
    assert [record.message.split(" the ", 1)[1] for record in caplog.records] == [
        "camera moves: boxes are around what moves against it",
        "camera is static: the background is learned again",
    ]
    assert max(len(boxes.values) for boxes in found) <= 12
    moving = [fit(found[k], one.boxes(k)[0], (240, 240)) for k in range(27, 48)]
    assert np.mean(np.array(moving) > 0.3) > 0.6


def test_forty_movers_are_bounded(world: Any) -> None:
    rng = np.random.default_rng(3)
    ways = rng.uniform([0, 0, -3, -2], [300, 200, 3, 2], (40, 4)).tolist()
    one = world([(12, 26, lambda k, w=w: (w[0] + w[2] * k, w[1] + w[3] * k)) for w in ways])
    found = seen(one, 30)
    assert max(len(boxes.values) for boxes in found) <= MotionConfig().most
    assert np.mean([len(boxes.values) for boxes in found[12:]]) > 10
    few = list(Motion(MotionConfig(most=3))(one.frames(30)))
    for some, all_ in zip(few, found, strict=True):
        assert some.values.tolist() == sorted(some.values, reverse=True)
        assert len(some.values) == min(3, len(all_.values))


@pytest.mark.parametrize("size", [(4, 6), (33, 47), (240, 320)])
def test_one_frame_and_odd_sizes_are_fine(size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)
    (found,) = Motion(MotionConfig())([Frame(image, 0, 0.0, 0.1)])
    assert not len(found.values) and (found.start, found.end) == (0.0, 0.1)
    assert bool(found.note) == (min(size) < 32)


def test_pictures_may_change_their_size(world: Any) -> None:
    small, large = (list(world([], size).frames(20)) for size in ((120, 160), (240, 320)))
    assert len(list(Motion(MotionConfig())(small + large))) == 40
    held = [*small[:3], *large]  # while the start is still held back
    assert len(list(Motion(MotionConfig())(held))) == 23


@pytest.mark.parametrize(
    ("wrong", "told"),
    [({"smallest": 0}, "share of the picture"), ({"most": 0}, "at least 1"), ({"warmup": 60}, "0 to 10 seconds")],
)
def test_settings_are_checked(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        MotionConfig(**wrong)
