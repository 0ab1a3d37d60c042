"""How far features are from others, and what that does to scores."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from time import sleep
from typing import Any

import numpy as np
import pytest

from wherewhen.runtime.batching import NONE, Batched, EngineChoice, SharedBatcher, deviation


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


class Slow:
    """An engine whose first run lasts until it is told to go on; it adds 1, and can't stand a picture of 13s."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.begun, self.go_on = Event(), Event()

    def __call__(self, clips: Any) -> Any:
        self.sizes.append(len(clips))
        if not self.begun.is_set():
            self.begun.set()
            assert self.go_on.wait(60)
        if (clips == 13).any():
            raise ValueError("13 clips")
        return clips[:, :1, :, :, :1].astype(np.float32) + 1


def asked_at_once(engine: Slow, size: int, wishes: Sequence[Any]) -> list[Future[Any]]:
    """What becomes of wishes that all came, in their order, while a first one was being run."""
    together = SharedBatcher(engine, size)  # type: ignore[arg-type]
    with ThreadPoolExecutor(len(wishes)) as pool:
        found = []
        for number, wish in enumerate(wishes):
            found.append(pool.submit(together, wish))
            assert engine.begun.wait(60)
            while len(together._waiting) < number:
                sleep(0.001)
        engine.go_on.set()
    assert not together._waiting
    return found


def clips_of(counts: Sequence[int], side: int = 3) -> list[Any]:
    rng = np.random.default_rng(0)
    return [rng.integers(14, 255, (count, 2, side, side, 3), np.uint8) for count in counts]


def test_who_waits_at_the_same_time_shares_a_batch() -> None:
    engine, wishes = Slow(), clips_of([2, 1, 3, 2, 4, 5])
    found = asked_at_once(engine, 4, wishes)
    for wish, future in zip(wishes, found, strict=True):
        np.testing.assert_array_equal(future.result(), wish[:, :1, :, :, :1] + np.float32(1))
    assert engine.sizes == [2, 4, 2, 4, 5]  # the second and third fit into one; who asks for more than fits goes alone


def test_pictures_of_two_sizes_share_no_batch() -> None:
    engine, wishes = Slow(), [*clips_of([1, 1]), *clips_of([1, 1], side=5)]
    found = asked_at_once(engine, 8, wishes)
    assert [future.result().shape[2] for future in found] == [3, 3, 5, 5]
    assert engine.sizes == [1, 1, 2]


def test_an_error_reaches_only_whom_it_belongs_to() -> None:
    engine, wishes = Slow(), clips_of([1, 1, 1, 1])
    wishes[2][:] = 13
    first, second, wrong, last = asked_at_once(engine, 8, wishes)
    with pytest.raises(ValueError, match="13 clips"):
        wrong.result()
    for wish, future in ((wishes[0], first), (wishes[1], second), (wishes[3], last)):
        np.testing.assert_array_equal(future.result(), wish[:, :1, :, :, :1] + np.float32(1))
    assert engine.sizes == [1, 3, 1, 1, 1]


def test_a_passport_tells_what_features_depend_on() -> None:
    assert NONE.plain == {"engine": "none"}
    told = EngineChoice("openvino", "int8", "1.0", "cpu", 1, 0.1, 0.995, "abc").plain
    assert told == {
        "engine": "openvino",
        "precision": "int8",
        "device": "cpu",
        "calibration": "abc",
        "deviation": {"relative": 0.1, "cosine": 0.995},
    }
