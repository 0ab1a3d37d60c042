"""Control of cameras through a sink: its commands go into the database, and what holds comes out of it."""

from __future__ import annotations

import logging
import time
from contextlib import closing
from typing import Any

from wherewhen.core.contracts.sinks import Controlling, Standing
from wherewhen.core.documents import json_of
from wherewhen.core.errors import WherewhenError
from wherewhen.live import control, member
from wherewhen.live.database import Database
from wherewhen.live.logs import fields

log = logging.getLogger("wherewhen")

EVERY = 1.0  # seconds between two reports
FRESH = 10.0  # seconds after which a score is old


class Remote:
    """Commands of a sink, and a report to it once a second; ``database``: of the thread that calls it."""

    def __init__(self, sink: Controlling, database: Database) -> None:
        self._sink, self._database = sink, database
        self._folder, self._next = database.path.parent, 0.0
        sink.listen(self._obey)

    def __call__(self) -> None:
        """Report what holds, where the last report is a second old."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + EVERY
            self._sink.show(standings(self._database, time.time()))

    def _obey(self, camera: str, name: str, value: Any) -> None:
        """Called in a thread of the sink."""
        try:
            with closing(Database(self._folder)) as database:
                if name in member.ORDERS:
                    line = member.ORDERS[name](database, camera, value)
                else:
                    line = control.obey(database, camera, name, value, time.time())
        except WherewhenError as error:
            log.warning("%s: a command is not done: %s", camera, error, extra=fields(camera, "command", str(error)))
        else:
            if line:
                log.info("%s: %s", camera, line, extra=fields(camera, "command"))


def standings(database: Database, now: float) -> dict[str, Standing]:
    """What holds of each camera of the service, by name, at a moment in seconds since 1970."""
    query = """
        SELECT name, state, cause, since, camera.at, status_json, COALESCE(enabled, 1),
        COALESCE((SELECT MAX(t) FROM block WHERE block.camera = name), 0),
        COALESCE((SELECT MAX(MAX(at, COALESCE(undone_at, 0))) FROM verdict WHERE verdict.camera = name), 0),
        EXISTS(SELECT 1 FROM outbox WHERE sink = 'hub'
            AND key > 'row:camera:' || name || ':' AND key < 'row:camera:' || name || ';')
        FROM camera LEFT JOIN control ON control.camera = name ORDER BY name
    """
    every, facts = {}, facts_of_service(database)
    for name, state, cause, since, at, text, enabled, minute, judged, waits in database.rows(query):
        status = json_of(text) if text else {}
        score = status.get("score") if state != "offline" and now - at < FRESH else None
        until = control.silent_until(database, name, now)
        more = {"facts": facts.get(name, {}), "minute": minute, "judged": judged, "waits": bool(waits)}
        every[name] = Standing(state, score, bool(enabled), until, status, cause, since, at, **more)
    return every


def facts_of_service(database: Database) -> dict[str, Any]:
    """What stays the same about each camera of the service, by name."""
    rows = database.rows("SELECT cameras_json FROM service")
    return dict(json_of(rows[0][0])) if rows else {}
