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

DEPTH = 16  # pictures that wait for each taker
PATIENCE = 0.1  # seconds between two looks whether anybody still wants pictures

Item = Frame | BaseException | None


class Taker:
    """The pictures of one taker, in order; raises what reading raised. ``waited``: seconds spent waiting for them.

    ``depth``: how many wait for it at most; 0 sets no limit.
    """

    def __init__(self, stop: Event, depth: int = DEPTH) -> None:
        self.queue: Queue[Item] = Queue(depth)
        self.waited = 0.0
        self._stop = stop

    def put(self, item: Item) -> None:
        """Hand over a picture, or wait until there is room; nothing is handed over once nobody wants any."""
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
    """Takers of a source, each to be read in a thread of its own, and an event that stops it all.

    All read the same pictures, decoded once. On leaving, reading stops. ``beside``: wants of more takers, each to be
    read in the thread of one of the others and no farther behind; so their pictures may wait without a limit.
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
