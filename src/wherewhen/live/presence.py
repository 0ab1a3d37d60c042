"""What the service notes about itself: that it runs, with which cameras, and which of their processes died."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wherewhen.live.budgeting import ModelRecord
from wherewhen.live.database import Database
from wherewhen.live.feed import is_replayed
from wherewhen.live.notify import notify
from wherewhen.live.settings import CameraConfig

EVERY = 2.0  # seconds between two signs of life


class Presence:
    """The row of the service in the database of a store, from its start to its end; systemd is told the same.

    ``cameras``: what stays the same about each, by name. ``sinks``: names of those that get states of cameras.
    ``watches``: whether the service watches them itself.
    """

    def __init__(
        self, database: Database, cameras: Mapping[str, Mapping[str, Any]], sinks: Sequence[str], *,
        watches: bool = True,
    ) -> None:  # fmt: skip
        self._database, self._sinks, self._next = database, sinks, 0.0
        row = (os.getpid(), time.time(), time.time(), json.dumps(cameras))
        self._database.write("INSERT OR REPLACE INTO service VALUES (1, ?, ?, ?, NULL, ?)", *row)
        if watches:
            unopened = "UPDATE camera SET state = 'offline', cause = 'not opened yet', since = ?, status_json = NULL"
            self._database.write(unopened, time.time())  # states of an earlier run

    def __call__(self) -> None:
        """Note that the service runs, where the last note is old."""
        if time.monotonic() >= self._next:
            notify("READY=1\nWATCHDOG=1")
            self._next = time.monotonic() + EVERY
            self._database.write("UPDATE service SET at = ?", time.time())

    def died(self, camera: str, cause: str) -> None:
        """Note that a camera's process ended without being asked to, and tell the sinks that get states."""
        at = time.time()
        insertion = "INSERT INTO camera(name, state, cause, since, at) VALUES (?, 'offline', ?, ?, ?)"
        changes = "state = 'offline', cause = excluded.cause, since = excluded.since"
        self._database.write(f"{insertion} ON CONFLICT(name) DO UPDATE SET {changes}", camera, cause, at, at)
        self._database.post_state(self._sinks, camera, "offline", cause, at)

    def close(self) -> None:
        """Note that the service ended as intended."""
        notify("STOPPING=1")
        self._database.write("UPDATE service SET at = ?, stopped = ?", time.time(), time.time())
        self._database.close()


def facts_of(camera: CameraConfig) -> dict[str, Any]:
    """What stays the same about a camera: whether it is a replay, its model, and the budget of false alarms a day.

    ``per_day`` and ``upper``: the budget that the model was calibrated for, and its 95 % bound; None without one. A
    camera with a budget of its own has its present bound in its status.
    """
    model = ModelRecord.of(camera.model, threshold=0.0)  # which is not noted
    record = model.calibration or {}
    if camera.budget is not None:
        record = {"per_day": camera.budget.per_day}
    sha = model.sha.removeprefix("sha256:")
    run = str(Path(str(camera.model)).absolute())
    return {
        "replayed": is_replayed(camera.source), "model": sha, "run": run, "a_day": camera.alerts.a_day,
        "per_day": record.get("per_day"), "upper": record.get("upper"),
    }  # fmt: skip
