"""Pictures of a camera: dropped under overload, counted, and given up at once where the service ends."""

from __future__ import annotations

import itertools
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherewhen.core.errors import VideoError
from wherewhen.core.values import Frame
from wherewhen.live.feed import Feed, opened
from wherewhen.live.wall_clock import Now
from wherewhen.live.zones import Masks
from wherewhen.video.reader import Reading
from wherewhen.video.sources import parsed
from wherewhen.video.taking import Want
from wherewhen.video.writer import Writer

GRAY = np.zeros((4, 6, 3), np.uint8)


class Camera:
    """Pictures of a camera, each when it is let through; the reader of ``Feed`` is replaced by it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.through, self.taken = 0.0, Event(), 0
        self.frames = [Frame(GRAY, k, float(k), k + 1.0) for k in range(40)]
        monkeypatch.setattr(Reading, "_opened", lambda _: None)
        monkeypatch.setattr(Reading, "close", lambda _: None)
        monkeypatch.setattr(Reading, "several", lambda *_: self.several())

    def several(self) -> Iterator[tuple[int, Frame]]:
        for frame in self.frames:
            self.now = frame.end
            yield 0, frame
        self.through.set()

    def feed(self, latency: float, halt: Event | None = None) -> Feed:
        now = Now()
        now.__class__ = type("Moved", (Now,), {"__call__": lambda _: self.now})
        return Feed(parsed("rtsp://camera/1"), now, lambda *_: None, Masks([]), latency, halt or Event())


@settings(max_examples=15)
@given(st.integers(1, 60))
def test_an_overload_drops_whole_queues_and_begins_a_new_stretch(latency: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        camera = Camera(patch)
        with camera.feed(latency) as feed:
            stretches = []
            for stretch in feed.stretches():
                frames = stretch.several([Want()])
                stretches.append([next(frames)[1].index])  # the thread reads all while this one is at work
                assert camera.through.wait(10)
                stretches[-1] += [frame.index for _, frame in frames]
            seen = list(itertools.chain(*stretches))
            assert feed.received == 40
            assert feed.dropped == 40 - len(seen)
    assert seen == sorted(set(seen))
    assert seen[-1] == 39  # the newest is kept
    for indices in stretches:  # no gap within a stretch: what the method knows of the past ends with it
        assert indices == list(range(indices[0], indices[0] + len(indices)))
    assert feed.dropped == 0 if latency >= 39 else feed.dropped > 0 or latency == 38


def test_a_silent_camera_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    camera, halt, forever = Camera(monkeypatch), Event(), Event()

    def silent() -> Iterator[tuple[int, Frame]]:
        yield 0, camera.frames[0]
        forever.wait(30)

    monkeypatch.setattr(Reading, "several", lambda *_: silent())
    monkeypatch.setattr("wherewhen.live.feed.CLOSE", 0.1)
    began = time.monotonic()
    with camera.feed(10.0, halt) as feed:
        (stretch,) = (feed for _ in range(1))
        frames = stretch.several([Want()])
        assert next(frames)[1].index == 0
        halt.set()
        assert list(frames) == []
        assert list(feed.stretches()) == []
    forever.set()
    assert time.monotonic() - began < 5


def test_a_camera_that_does_not_answer_does_not_hold_up_the_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:  # accepts, and says nothing
        source, halt = parsed(f"rtsp://127.0.0.1:{server.getsockname()[1]}/1"), Event()
        Thread(target=lambda: (time.sleep(0.3), halt.set())).start()
        began = time.monotonic()
        feed = opened(lambda: Feed(source, Now(), lambda *_: None, Masks([]), 10.0, halt), halt)
        assert feed is None
        assert time.monotonic() - began < 5


def test_a_camera_that_refuses_is_an_error(tmp_path: Path) -> None:
    source = parsed("rtsp://127.0.0.1:9/1")
    with pytest.raises(VideoError, match="can't be opened"):
        opened(lambda: Feed(source, Now(), lambda *_: None, Masks([]), 10.0, Event()), Event())


def test_frames_do_not_wait_for_those_that_are_wanted_apart(tmp_path: Path) -> None:
    path = tmp_path / "gray.mp4"
    with Writer(path, 10) as writer:
        for _ in range(20):
            writer.write(np.full((32, 48, 3), 90, np.uint8))
    with Reading(path, "keep", None) as reading:
        taken = [(number, frame.start, frame.end) for number, frame in reading.several([Want(), Want(2.0, apart=True)])]
    every, few = ([(start, end) for number, start, end in taken if number == which] for which in (0, 1))
    np.testing.assert_allclose(every, [(k / 10, (k + 1) / 10) for k in range(20)], atol=1e-6)
    np.testing.assert_allclose(few, [(k / 2, (k + 1) / 2) for k in range(4)], atol=1e-6)
    before = [start for _, start, _ in taken[: taken.index((1, *few[0]))]]
    assert max(before) == pytest.approx(0.3)  # though the first of the few begins at 0 and lasts half a second
