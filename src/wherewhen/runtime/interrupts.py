"""An orderly end of a command that runs until it is interrupted."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event


@contextmanager
def until_interrupted() -> Iterator[Event]:
    """An event that SIGINT (Ctrl+C) and SIGTERM set, in place of what they do otherwise; the main thread only."""
    stop = Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
