"""The pictures of a camera: read in a thread of its own, and handed on in stretches without a gap."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Condition, Event, Thread
from typing import Any

from wherewhen.core.errors import VideoError, WherewhenError
from wherewhen.core.values import Frame
from wherewhen.live.wall_clock import Now
from wherewhen.live.zones import Masks
from wherewhen.video.packets import Packets
from wherewhen.video.reader import Reading
from wherewhen.video.sources import USUAL, Access, Source
from wherewhen.video.taking import Spent, Want

TAP = Want(rate=2.0, width=640, apart=True)  # pictures for the state of the camera and for snapshots
MOST = 4096  # frames that wait at most
CLOSE = 2.0  # seconds that a thread may take to end: a silent camera may hold it up longer


class Feed(Reading):
    """An open camera whose pictures are read ahead of their use.

    ``tap`` gets two small pictures a second with the moment of their arrival, as soon as they are read. A file is
    replayed at the speed of ``now``: a picture is read when its moment comes, or later where ``latency`` seconds of the
    file wait already, and none is dropped. Of a camera, all waiting pictures are dropped where the oldest waits longer
    than ``latency`` seconds: the stretch ends there, and `stretches` begins another one. Where ``halt`` is set,
    the stretch ends too, also while no picture comes. ``ring`` gets the packets of a
    video. ``spent``: what reading took; ``waited``: seconds that the consumer waited for pictures; ``queued``: seconds
    that the last picture waited for the consumer.
    """

    def __init__(
        self, source: Source, now: Now, tap: Callable[[Frame, float], None], masks: Masks, latency: float,
        halt: Event, ring: Packets | None = None, access: Access = USUAL,
    ) -> None:  # fmt: skip
        super().__init__(source, "keep", None, ring, access)
        self._halt = halt
        self._now, self._tap, self._masks, self._latency = now, tap, masks, latency
        self._replayed = isinstance(source, Path)
        self._queue: deque[tuple[int, Frame, float]] = deque()
        self._changed = Condition()
        self._thread: Thread | None = None
        self._ended = self._cut = self._closing = False
        self._error: WherewhenError | None = None
        self.dropped = self.received = 0
        self.arrival = 0.0
        self.spent, self.waited, self.queued = Spent(), 0.0, 0.0

    def stretches(self) -> Iterator[Reading]:
        """This reading, once for each stretch without a gap; VideoError where the camera can't be read on."""
        while not self._over and not self._halt.is_set():
            self._cut = False
            yield self
        if self._error is not None:
            raise self._error

    @property
    def _over(self) -> bool:
        return self._ended and not self._queue

    def several(
        self, wants: Sequence[Want], span: tuple[float, float] | None = None, spent: Spent | None = None
    ) -> Iterator[tuple[int, Frame]]:
        """Frames of the present stretch, as `Reading.several`."""
        if self._thread is None:
            frames = super().several([*wants, TAP], span, spent or self.spent)
            self._thread = Thread(target=self._fill, args=(frames, len(wants)), name="pictures", daemon=True)
            self._thread.start()
        begun = False
        while True:
            begin = time.perf_counter()
            with self._changed:
                while self._waits(begun):
                    self._changed.wait(0.5)
                if (self._cut and begun) or not self._queue or self._halt.is_set():
                    return
                begun, self._cut = True, False
                number, frame, arrival = self._queue.popleft()
                self._changed.notify_all()
            self.waited += time.perf_counter() - begin
            self.arrival, self.queued = arrival, self._now() - arrival
            yield number, replace(frame, image=self._masks(frame.image))

    def _waits(self, begun: bool) -> bool:
        """Whether a stretch has no next picture yet; what waited too long is dropped, also where no picture follows."""
        if not self._replayed and self._queue and self._now() - self._queue[0][2] > self._latency:
            self._drop()
        if self._ended or self._halt.is_set() or self._queue:
            return False
        return not (self._cut and begun)

    def _drop(self) -> None:
        """Drop all pictures that wait: the stretch ends."""
        self.dropped += len(self._queue)
        self._queue.clear()
        self._cut = True

    def close(self) -> None:
        """End the thread, then close the source."""
        self.stop("closed")
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(CLOSE)
            if self._thread.is_alive():
                return  # it still waits for a picture: the source is closed when it gives up
        super().close()

    def _fill(self, frames: Iterator[tuple[int, Frame]], tap: int) -> None:
        begin: float | None = None
        try:
            for number, frame in frames:
                if self._replayed:
                    begin = self._now() if begin is None else begin
                    self._wait(begin + frame.end)
                arrival = self._now() if begin is None else begin + frame.end
                if number == tap:
                    self._tap(frame, arrival)
                    continue
                self._put(number, frame, arrival)
                if self._closing:
                    break
        except WherewhenError as error:
            self._error = error
        except Exception as error:
            self._error = VideoError(self.source, f"the reader failed: {type(error).__name__}")
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _put(self, number: int, frame: Frame, arrival: float) -> None:
        with self._changed:
            self.received += 1
            if self._replayed:
                while self._is_full(frame) and not self._closing:
                    self._changed.wait(0.5)
            elif self._queue and (arrival - self._queue[0][2] > self._latency or len(self._queue) >= MOST):
                self._drop()
            self._queue.append((number, frame, arrival))
            self._changed.notify_all()

    def _is_full(self, frame: Frame) -> bool:
        """Whether a replay is so far ahead of the scores that a frame must wait."""
        return bool(self._queue) and (len(self._queue) >= MOST or frame.start - self._queue[0][1].start > self._latency)

    def _wait(self, moment: float) -> None:
        while (left := self._now.seconds_until(moment)) > 0 and not self._closing:
            time.sleep(min(left, 0.5))


def opened(make: Callable[[], Feed], halt: Event) -> Feed | None:
    """An open feed; None where ``halt`` is set before, which a camera that doesn't answer does not hold up.

    Raises what ``make`` raises.
    """
    outcome: list[Feed | Exception] = []

    def attempt() -> None:
        try:
            outcome.append(make())
        except Exception as error:
            outcome.append(error)

    thread = Thread(target=attempt, name="opening", daemon=True)
    thread.start()
    while not outcome and not halt.is_set():
        thread.join(0.2)
    if not outcome:
        return None
    if isinstance(outcome[0], Exception):
        raise outcome[0]
    return outcome[0]


def is_replayed(source: Any) -> bool:
    """Whether a source is a file or a folder."""
    return isinstance(source, Path)
