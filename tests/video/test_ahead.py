from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from wherewhen.core.errors import VideoError
from wherewhen.core.values import Frame
from wherewhen.video.ahead import DEPTH, Taker, ahead
from wherewhen.video.reader import Spent, Want, frames

Make = Callable[..., Path]
WANTS = [Want(), Want(5, 32), Want(None, None, (16, 24))]


def reading() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "reading ahead"]


def test_takers_get_what_a_plain_reader_gives(make: Make) -> None:
    path = make("a.mp4", 70)
    with ahead(path, WANTS) as (takers, _), ThreadPoolExecutor(3) as pool:
        found = list(pool.map(list[Frame], takers))
    for want, got in zip(WANTS, found, strict=True):
        plain = list(frames(path, rate=want.rate, width=want.width, size=want.size))
        assert [f.index for f in got] == [f.index for f in plain]
        assert all(np.array_equal(a.image, b.image) for a, b in zip(got, plain, strict=True))
    assert not reading()


def test_it_is_only_so_far_ahead(make: Make) -> None:
    spent = Spent()
    with ahead(make("a.mp4", 90), [Want()], spent=spent) as ((taker,), _):
        next(iter(taker))
        time.sleep(0.3)
        assert spent.pictures <= DEPTH + 5
    assert not reading()


def test_one_thread_may_read_two_takers(make: Make) -> None:
    """Far more pictures wait beside than a queue holds, and reading is held back by the other taker alone."""
    path, spent = make("a.mp4", 70), Spent()
    with ahead(path, [Want(None, 32)], beside=[Want()], spent=spent) as ((first, second), _):
        main, sharp = iter(first), iter(second)
        for _ in range(3 * DEPTH):
            next(main)
        time.sleep(0.3)
        assert spent.pictures <= 4 * DEPTH + 5
        rest = list(main)
        found = list(sharp)
    assert len(rest) == 70 - 3 * DEPTH and [frame.index for frame in found] == list(range(70))
    assert found[0].image.shape[1] > 32
    assert not reading()


def test_who_leaves_early_stops_the_reading(make: Make) -> None:
    def leaves(taker: Taker) -> None:
        next(iter(taker))
        raise RuntimeError("enough")

    def work(number: int, taker: Taker, stop: threading.Event) -> int:
        try:
            if number:
                leaves(taker)
            return len(list(taker))
        finally:
            stop.set()

    with ahead(make("a.mp4", 90), WANTS[:2]) as (takers, stop), ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(work, number, taker, stop) for number, taker in enumerate(takers)]
        with pytest.raises(RuntimeError, match="enough"):
            jobs[1].result()
        assert jobs[0].result() < 90
    assert not reading()


def test_what_reading_raises_reaches_every_taker(make: Make) -> None:
    path = make("a.mp4", 60)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with ahead(path, WANTS) as (takers, _), ThreadPoolExecutor(3) as pool:
        for job in [pool.submit(list, taker) for taker in takers]:
            with pytest.raises(VideoError):
                job.result()
