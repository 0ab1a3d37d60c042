"""Delivery of messages: at least once, in order, tried again until it succeeds."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import Any

from wherewhen.core.addresses import masked
from wherewhen.core.contracts.sinks import Message, Sink, Undelivered
from wherewhen.live.database import Database
from wherewhen.live.logs import fields
from wherewhen.live.remote import Remote
from wherewhen.live.retention import make_room_for_messages

log = logging.getLogger("wherewhen")

LONGEST = 60.0  # seconds between two tries
PAUSE = 0.05  # seconds between two looks at the outbox


class Outbox:
    """Sends what is in the outbox, with a thread for each sink; what can't be sent is kept for a later run.

    What a sink refuses is kept unsent with its reason, and holds up nothing.

    ``make`` creates a sink in its thread, which no other uses.
    """

    def __init__(self, folder: Path, makers: Mapping[str, Callable[[], Sink]], cameras: list[str]) -> None:
        self.folder, self.cameras = folder, cameras
        self._stop = Event()
        self._threads = [
            Thread(target=self._deliver, args=(name, make), name=f"sink {name}", daemon=True)
            for name, make in makers.items()
        ]
        for thread in self._threads:
            thread.start()

    def close(self, seconds: float = 5.0) -> None:
        """Send what is left, for so many seconds at most."""
        self._stop.set()
        end = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _deliver(self, name: str, make: Callable[[], Sink]) -> None:
        database, sink = Database(self.folder, partial(make_room_for_messages, self.folder)), make()
        runs: Any = sink if sink.abilities.runs else None
        controls: Any = sink if sink.abilities.controls else None
        arrived: set[int] = set()
        try:
            _quietly(name, runs and (lambda: runs.started(self.cameras, database.store)))
            remote = Remote(controls, database) if controls else None
            while True:
                _quietly(name, remote)
                stopping = self._stop.is_set()
                moved = self._send_all(name, sink, database, arrived)
                if stopping and not moved:
                    break
                if not moved:
                    self._stop.wait(PAUSE)
            _quietly(name, runs and runs.stopped)
        finally:
            _quietly(name, sink.close)
            database.close()

    def _send_all(self, name: str, sink: Sink, database: Database, arrived: set[int]) -> bool:
        """Send the waiting messages up to the first that fails; whether one was sent.

        ``arrived``: messages that only remain because a full disk kept them from being removed.
        """
        moved = False
        for number, message, tries in database.waiting(name, time.time(), 20 + len(arrived)):
            try:
                if number not in arrived:
                    _sent(sink, message)
                    moved = True
            except Undelivered as error:
                if error.final:
                    about, text = fields(message.camera, "refused", error.cause), masked(error.cause)
                    line = "%s: refuses %s of %s, which is kept unsent: %s"
                    log.error(line, name, message.kind, message.id, text, extra=about)
                    database.refuse(number, text, time.time())
                    continue
                wait = (
                    error.wait
                    if error.wait is not None
                    else min(LONGEST, 2.0 ** min(tries, 9)) * random.uniform(0.8, 1.2)
                )
                level = logging.WARNING if tries == 0 else logging.DEBUG
                about = fields(message.camera, "undelivered", error.cause)
                log.log(level, "%s: %s; tried again in %.0f s", name, masked(error.cause), wait, extra=about)
                database.failed(number, time.time() + wait)
                break
            if database.sent(number):
                arrived.discard(number)
            else:
                arrived.add(number)
        return moved


def _sent(sink: Sink, message: Message) -> None:
    """Send a message; a fault of the sink itself counts as `Undelivered`."""
    try:
        sink.send(message)
    except Undelivered:
        raise
    except Exception as error:
        raise Undelivered(f"the sink failed: {type(error).__name__} {error}") from error


def _quietly(name: str, action: Callable[[], None] | None) -> None:
    """Do what may fail without consequence."""
    try:
        if action:
            action()
    except Undelivered as error:
        log.warning("%s: %s", name, masked(error.cause))
    except Exception as error:
        log.warning("%s: %s %s", name, type(error).__name__, masked(str(error)))
