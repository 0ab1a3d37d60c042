"""A camera whose model is slower than its stream: what is dropped is counted, and what is scored is not too late."""

from __future__ import annotations

import json
from collections.abc import Iterator
from threading import Condition, Event
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from watched import WatchedStore

from wherewhen.budget.blocks import DAY
from wherewhen.core.values import Frame, HeatMap, Prediction
from wherewhen.live.camera import CameraWatch
from wherewhen.live.overview import overview
from wherewhen.live.settings import WatchConfig
from wherewhen.server.metrics_text import metrics
from wherewhen.video.reader import Reading
from wherewhen.video.taking import Want

BEGIN = 20_000 * DAY
GRAY = np.full((36, 64, 3), 90, np.uint8)
CLIP, RATE = 8, 10.0


class Street:
    """A camera with ten pictures a second and its model, on a clock that runs only while the model works."""

    speed = 1.0

    def __init__(self, pictures: int, cost: float, stop: Event) -> None:
        self.pictures, self.cost, self.stop = pictures, cost, stop
        self.at, self._due, self._delivered = 1 / RATE, 1, 0  # the first picture has come
        self._changed = Condition()
        self.scored = list[tuple[float, float]]()  # spans of clips, in seconds of the stream
        self.lengths = list[int]()
        self.late = list[float]()

    def __call__(self) -> float:
        return BEGIN + self.at

    def several(self) -> Iterator[tuple[int, Frame]]:
        """The pictures, each when its moment has come; the next one is asked for when this one is in the queue."""
        for number in range(self.pictures):
            with self._changed:
                self._delivered = number
                self._changed.notify_all()
                assert self._changed.wait_for(lambda: self._due > number, 30)  # noqa: B023
            frame = Frame(GRAY, number, number / RATE, (number + 1) / RATE)
            if number % 5 == 0:  # for states and snapshots
                yield 1, frame
            yield 0, frame
        with self._changed:
            self._delivered = self.pictures
            self._changed.notify_all()

    def passes(self, seconds: float) -> None:
        """Let time pass, and every picture that is taken meanwhile arrive at its moment."""
        until = self.at + seconds
        with self._changed:
            while self._due < self.pictures and (self._due + 1) / RATE <= until + 1e-9:
                self._due += 1
                self.at = self._due / RATE
                self._changed.notify_all()
                assert self._changed.wait_for(lambda: self._delivered >= self._due, 30)
            self.at = until

    alarm = 0.5

    def stream(self, stretch: Reading) -> Iterator[Prediction]:
        """Scores of clips of eight pictures; the last one of a stretch may be shorter."""
        clip, frames = list[Frame](), stretch.several([Want()])
        while True:
            if self._due == len(self.scored_pictures) + self.dropped(stretch) + len(clip):
                self.passes(1 / RATE)  # nothing waits
            frame = next(frames, None)
            clip += [frame[1]] if frame is not None else []
            if clip and (frame is None or len(clip) == CLIP):
                self.passes(self.cost)
                span = (clip[0].start, clip[-1].end)
                self.scored.append(span)
                self.lengths.append(len(clip))
                yield Prediction(frames=HeatMap(np.full((1, 1, 1), 0.1), np.array(span)))
                self.late.append(self.at - span[1])
                clip = []
            if frame is None:
                if self._due == len(self.scored_pictures) + self.dropped(stretch) == self.pictures:
                    self.stop.set()
                return

    @property
    def scored_pictures(self) -> range:
        return range(sum(self.lengths))

    @staticmethod
    def dropped(stretch: Any) -> int:
        return int(stretch.dropped)


@settings(max_examples=6, deadline=None)
@given(st.floats(0.1, 4.0), st.floats(1.0, 6.0))
def test_a_model_that_is_too_slow_drops_what_waits_counts_it_and_is_never_late(
    tmp_path_factory: pytest.TempPathFactory, cost: float, limit: float
) -> None:
    folder, stop = tmp_path_factory.mktemp("live"), Event()
    street = Street(400, cost, stop)
    config = WatchConfig({"gate": {"url": "rtsp://camera/1", "model": "any", "latency_seconds": limit}})
    store = WatchedStore(folder)
    store.service(BEGIN)
    with pytest.MonkeyPatch.context() as patch:
        reel = SimpleNamespace(damage=None, device="", close=lambda: None)
        patch.setattr(Reading, "_opened", lambda _: reel)
        patch.setattr(Reading, "several", lambda *_: street.several())
        watch = CameraWatch("gate", config.of_cameras["gate"], street, folder, [], [], street)  # type: ignore[arg-type]
        watch.run(stop)
    received, dropped = watch.status.frames, watch.status.dropped
    assert received == 400
    assert dropped == 400 - sum(street.lengths), "each picture is scored, or counted"
    assert dropped > 0 if cost > 1.6 else dropped == 0 if cost <= 0.8 else True  # a clip has 0.8 s
    for before, after in zip(street.scored, street.scored[1:], strict=False):
        assert after[0] >= before[1] - 1e-9
    breaks = sum(after[0] > before[1] + 1e-9 for before, after in zip(street.scored, street.scored[1:], strict=False))
    assert breaks > 0 or not dropped or street.scored[-1][1] < 40.0
    assert max(street.late) <= limit + 1 / RATE + cost + 1e-6, "a picture waits for the limit, then it is scored"
    assert sum(watch.status.latencies.counts) == len(street.scored)
    text = metrics(overview(folder, BEGIN), {})
    assert f'wherewhen_frames_dropped_total{{camera="gate",reason="latency"}} {dropped}\n' in text
    ((status,),) = store.database.rows("SELECT status_json FROM camera WHERE name = 'gate'")
    assert json.loads(status)["dropped"] == dropped
    store.database.close()
