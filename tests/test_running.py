"""How far features are from others, and what that does to scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from wherewhen.running import NONE, Batched, Running, deviation, score_change


def test_deviation_is_relative_error_and_cosine() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 3, 4)).astype(np.float32), rng.normal(size=(2, 3, 4)).astype(np.float32)
    relative, cosine = deviation(a, b)
    x, y = [float(v) for v in a.ravel()], [float(v) for v in b.ravel()]
    length = sum(v * v for v in x) ** 0.5
    assert relative == pytest.approx(sum((v - w) ** 2 for v, w in zip(x, y, strict=True)) ** 0.5 / length)
    other = sum(v * v for v in y) ** 0.5
    assert cosine == pytest.approx(sum(v * w for v, w in zip(x, y, strict=True)) / length / other)


@pytest.mark.parametrize("wrong", [np.full((2, 3), np.nan), np.full((2, 3), np.inf), np.ones((3, 2)), np.zeros((2, 3))])
def test_broken_features_are_as_far_as_can_be(wrong: Any) -> None:
    relative, cosine = deviation(np.ones((2, 3), np.float32), wrong.astype(np.float32))
    assert relative == float("inf") and cosine <= 0


def test_nothing_is_like_nothing() -> None:
    assert deviation(np.zeros((2, 3), np.float32), np.zeros((2, 3), np.float32)) == (0.0, 1.0)


@pytest.mark.parametrize(("count", "size"), [(1, 1), (3, 1), (1, 4), (5, 2), (4, 4), (9, 4)])
def test_any_number_of_clips_goes_through_batches_of_one_size(count: int, size: int) -> None:
    sizes = []

    def run(clips: Any) -> Any:
        sizes.append(len(clips))
        return clips[:, :1, :, :, :1].astype(np.float32) + 1

    clips = np.random.default_rng(0).integers(0, 255, (count, 2, 3, 3, 3), np.uint8)
    features = Batched(run, size)(clips)  # type: ignore[arg-type]
    np.testing.assert_array_equal(features, clips[:, :1, :, :, :1] + np.float32(1))
    assert sizes == [size] * -(-count // size)


def test_a_passport_tells_what_features_depend_on() -> None:
    assert NONE.plain == {"engine": "none"}
    told = Running("openvino", "int8", "1.0", "cpu", 1, 0.1, 0.995, "abc").plain
    assert told == {
        "engine": "openvino",
        "precision": "int8",
        "device": "cpu",
        "calibration": "abc",
        "deviation": {"relative": 0.1, "cosine": 0.995},
    }


def test_score_change_is_the_change_and_the_order() -> None:
    before = np.array([[0.1], [0.4], [0.2], [0.9]])
    after = np.array([[0.15], [0.3], [0.35], [0.9]])
    found = score_change(lambda f: f[:, 0], before, after)
    assert found["largest"] == pytest.approx(0.15) and found["mean"] == pytest.approx(0.075)
    assert found["rank"] == pytest.approx(1 - 6 * 2 / (4 * 15))  # two places swapped
    assert score_change(lambda f: f[:, 0], before, np.full((4, 1), 0.5))["rank"] == 0
    assert score_change(lambda f: f[:, 0] * 0, before, after)["rank"] == 1
