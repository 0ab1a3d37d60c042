"""The model of a camera: that of the settings, or the one that was promoted in its place."""

from __future__ import annotations

import logging
from pathlib import Path
from threading import Event

from wherewhen.live.database import Database
from wherewhen.live.logs import fields
from wherewhen.review import runs

log = logging.getLogger("wherewhen")

CHANGED = 75  # exit code of a camera's process whose model was replaced: it is started again at once
EVERY = 2.0  # seconds between two looks into the database


def champion(folder: Path, model: str) -> str:
    """The run that is used in place of a camera's model.

    Args:
        folder: of the store.
        model: run folder in the settings.
    """
    with Database(folder) as database:
        return str(runs.current(database, model))


def stop_when_replaced(name: str, folder: Path, model: str, used: str, stop: Event, replaced: Event) -> None:
    """Set ``stop`` and ``replaced`` once another run is to be used; ends with ``stop``.

    Args:
        name: of the camera.
        folder: of the store.
        model: run folder in the settings.
        used: run folder that the process loaded.
        stop: ends the process.
        replaced: says why.
    """
    while not stop.wait(EVERY):
        now = champion(folder, model)
        if now != used:
            log.info("%s: %s is used now, in place of %s", name, now, used, extra=fields(name, "model"))
            replaced.set()
            stop.set()
