"""Progress bars with rate and remaining time, within one long video as well."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Event, Lock, Thread, get_ident
from time import monotonic
from typing import Any, TypeVar

import numpy as np

from wherewhen.core.values import Frame

T = TypeVar("T")
Report = Callable[[float], None]
Key = tuple[int, int, int]  # process, thread, number of the item there

EVERY = 0.2  # seconds between two reports of one item, so that reporting costs nothing
OVER = 2.0  # in place of a share: the item is over


class Bar:
    """How much of a list of items is done: whole items, and shares of those at work. Threads may report at once."""

    def __init__(self, draw: Callable[[float], None]) -> None:
        self._draw, self._lock = draw, Lock()
        self._done, self._shares = 0, dict[Key, float]()

    def share(self, item: Key, share: float | None) -> None:
        """Report the share in [0, 1] of an item that is done; None = it is over."""
        with self._lock:
            if share is None:
                self._shares.pop(item, None)
            else:
                self._shares[item] = min(max(share, self._shares.get(item, 0.0)), 1.0)
                self._draw(self._done + sum(self._shares.values()))

    def advance(self) -> None:
        """Count one item as done."""
        with self._lock:
            self._done += 1
            self._draw(max(self._done, self._done + sum(self._shares.values())))


_bar: Bar | None = None  # the active bar
_slots: Any = None  # in a worker process: a share for each item, which the parent reads
_number: int | None = None  # of the item of a worker process
_items = 0


def track(items: Iterable[T], description: str, total: int, *, quiet: bool = False) -> Iterator[T]:
    """Yield the items and draw a bar on standard error: done, rate and time left.

    The bar advances within an item by the reports of its work, see `item`.

    >>> list(track([1, 2], "counting", 2, quiet=True))
    [1, 2]
    """
    global _bar
    if quiet or _bar is not None:  # one bar at a time: a list within a list is part of its item
        yield from items
        return
    with _drawn(description, total) as draw:
        _bar = Bar(draw)
        try:
            for thing in items:
                _bar.advance()
                yield thing
        finally:
            _bar = None


@contextmanager
def _drawn(description: str, total: int) -> Iterator[Callable[[float], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Task as RichTask
    from rich.text import Text

    class Count(ProgressColumn):
        """Items done, and the share of a list that is not done yet."""

        def render(self, task: RichTask) -> Text:
            """Both as text."""
            return Text(f"{int(task.completed)}/{total} {100 * task.completed / max(1, total):3.0f} %")

    class Rate(ProgressColumn):
        """Items a second, or a minute where they are fewer."""

        def render(self, task: RichTask) -> Text:
            """The rate as text."""
            rate = task.finished_speed or task.speed or 0
            return Text(f"{rate:.1f}/s" if rate >= 1 or not rate else f"{60 * rate:.1f}/min", style="dim")

    columns = (TextColumn("{task.description}"), BarColumn(), Count(), Rate(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(description, total=total)
        yield lambda completed: bar.update(task, completed=completed)


@contextmanager
def item() -> Iterator[Report]:
    """For one item: a function that reports the share of it in [0, 1] that is done.

    It reports to the bar of this process, or to the parent of a worker process; without a bar it does nothing.

    >>> with item() as report:
    ...     report(0.5)
    """
    global _items
    _items += 1
    key, last = (os.getpid(), get_ident(), _items), -EVERY

    def report(share: float | None) -> None:
        nonlocal last
        if share is not None and monotonic() - last < EVERY:
            return
        last = monotonic()
        if _bar is not None:
            _bar.share(key, share)
        elif _slots is not None and _number is not None:
            _slots[_number] = OVER if share is None else min(max(share, 0.0), 1.0)

    try:
        yield report
    finally:
        report(None)


def reported(frames: Iterable[Frame], seconds: float | None, report: Report) -> Iterator[Frame]:
    """The same frames of a video of so many seconds; reports how far they are. None = unknown length."""
    for frame in frames:
        if seconds:
            report(frame.end / seconds)
        yield frame


def connect(slots: Any) -> None:
    """In a worker process: write the shares of its items to ``slots``, which its parent reads."""
    global _slots
    _slots = slots


@contextmanager
def working_on(number: int) -> Iterator[None]:
    """In a worker process: `item` reports the item with this number meanwhile."""
    global _number
    _number = number
    try:
        yield
    finally:
        _number = None


@contextmanager
def followed(slots: Any) -> Iterator[None]:
    """Pass the shares that workers write to ``slots``, one per item, on to the bar of this process.

    Numbers in shared memory need no lock, so a killed worker blocks no process.
    """
    over = Event()

    def watch() -> None:
        previous = np.zeros(len(slots))
        while not over.wait(EVERY):
            current = np.frombuffer(slots)
            if (bar := _bar) is not None:
                for number in np.flatnonzero(current != previous).tolist():
                    bar.share((0, 0, number), float(current[number]) if current[number] < OVER else None)
            previous = current.copy()

    watcher = Thread(target=watch, name="progress of workers", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
