"""Prefetching: a thread decodes and resizes a few pictures ahead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from queue import Empty, Full, Queue
from threading import Event, Thread
from time import perf_counter

from wherewhen.core.values import Frame
from wherewhen.video.reader import Reading, Spent, Want, several
from wherewhen.video.sources import SourceLike

DEPTH = 16  # queued pictures per taker
PATIENCE = 0.1  # seconds between two checks for a stop

Item = Frame | BaseException | None


class Taker:
    """The pictures of one taker, in order; raises the error of the reader. ``waited``: seconds spent waiting for them.

    ``depth``: most queued pictures; 0 sets no limit.
    """

    def __init__(self, stop: Event, depth: int = DEPTH) -> None:
        self.queue: Queue[Item] = Queue(depth)
        self.waited = 0.0
        self._stop = stop

    def put(self, item: Item) -> None:
        """Queue a picture, or wait until there is room; after a stop pictures are dropped."""
        while not self._stop.is_set():
            try:
                self.queue.put(item, timeout=PATIENCE)
                return
            except Full:
                continue

    def __iter__(self) -> Iterator[Frame]:
        while True:
            began = perf_counter()
            item = self._next()
            self.waited += perf_counter() - began
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item

    def _next(self) -> Item:
        while True:
            try:
                return self.queue.get(timeout=PATIENCE)
            except Empty:
                if self._stop.is_set():  # another taker failed
                    return None


@contextmanager
def ahead(
    source: SourceLike | Reading,
    wants: Sequence[Want],
    *,
    beside: Sequence[Want] = (),
    span: tuple[float, float] | None = None,
    spent: Spent | None = None,
) -> Iterator[tuple[list[Taker], Event]]:
    """Takers of a source, each for one thread, and an event that stops all of them.

    All read the same pictures, decoded once. On leaving, reading stops. ``beside``: requests of more takers, each
    read in the thread of one of the others and no farther behind, so their queues have no limit.
    """
    stop = Event()
    takers = [*(Taker(stop) for _ in wants), *(Taker(stop, 0) for _ in beside)]

    def read() -> None:
        ending: BaseException | None = None
        if isinstance(source, Reading):
            frames = source.several([*wants, *beside], span, spent)
        else:
            frames = several(source, [*wants, *beside], span=span, spent=spent)
        try:
            for number, frame in frames:
                takers[number].put(frame)
                if stop.is_set():
                    return
        except Exception as error:
            ending = error
        finally:
            frames.close()  # type: ignore[attr-defined]
        for taker in takers:
            taker.put(ending)

    reading = Thread(target=read, name="reading ahead", daemon=True)
    reading.start()
    try:
        yield takers, stop
    finally:
        stop.set()
        reading.join()
