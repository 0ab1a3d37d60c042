"""A service: alone in its store; and that of a hub as a whole."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from threading import Event, Thread

from wherewhen.core.errors import StoreError
from wherewhen.core.store import locked
from wherewhen.live import sinks
from wherewhen.live.database import Database
from wherewhen.live.hub import Hub
from wherewhen.live.outbox import Outbox
from wherewhen.live.presence import Presence
from wherewhen.live.retention import clean_until, make_room_for_messages
from wherewhen.live.settings import WatchConfig


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """The store, which one service uses at a time."""
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(folder / "service", wait=False))
        except BlockingIOError:
            advice = "end it first, or choose another store (--output)"
            raise StoreError(f"{folder}: another wherewhen watch uses this store; {advice}") from None
        yield


def run_hub(config: WatchConfig, hub: Hub, stop: Event) -> None:
    """Send what machines bring to a hub, until ``stop`` is set; its store is `claimed`."""
    folder, cameras = hub.folder, list(map(str, config.cameras))
    database = Database(folder, partial(make_room_for_messages, folder))
    presence = Presence(database, {name: {} for name in cameras}, hub.states, watches=False)
    outbox = Outbox(folder, sinks.makers(config, at_hub=True), cameras)
    Thread(target=clean_until, args=(folder, config.store, stop), name="disk", daemon=True).start()
    try:
        while not stop.wait(1.0):
            presence()
            hub.look(time.time())
    finally:
        outbox.close()
        presence.close()
