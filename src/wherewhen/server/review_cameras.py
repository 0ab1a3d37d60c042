"""Routes of the review about running cameras: their budget, and silence for a time."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import Body, HTTPException

from wherewhen.budget.blocks import DAY
from wherewhen.live import control
from wherewhen.live.database import Database
from wherewhen.live.overview import opened, overview

if TYPE_CHECKING:
    from fastapi import FastAPI


def add_cameras(app: FastAPI, folder: Path | None) -> None:
    """Routes of the cameras of the store in a folder; None: no cameras run, which the answers say."""

    @app.post("/api/v1/snooze", response_model=None)
    def snooze(camera: str = Body(), minutes: float = Body(), zone: str | None = Body(None)) -> Any:
        """Send no alerts of a camera, or of one of its zones, for a time; 0 minutes end it."""
        if folder is None:
            raise HTTPException(409, "no camera is watched here, so that none can be silenced")
        with opened(folder):
            pass  # a store must be there
        with Database(folder) as database:
            until = control.snooze(database, camera, minutes, time.time(), zone)
        return {"camera": camera, "zone": zone, "until": until or None}

    @app.get("/api/v1/cameras/{id}/budget", response_model=None)
    def budget(id: str) -> Any:
        """What the budget of a camera allows, and how much of it today's alerts have used."""
        if folder is None:
            raise HTTPException(404, "no camera is watched here, so that there is no budget")
        cameras = {camera.name: camera for camera in overview(folder, time.time()).cameras}
        if id not in cameras:
            raise HTTPException(404, "there is no such camera")
        camera = cameras[id]
        standing = camera.budget
        return {
            "camera": id, "per_day": camera.limit, "used_today": camera.used_today, "false_today": _false(folder, id),
            "upper": standing.get("upper"), "learning": bool(standing.get("missing_hours")),
        }  # fmt: skip


def _false(folder: Path, camera: str) -> int:
    """Today's alerts of a camera that a person called false."""
    day = DAY * (time.time() // DAY)
    with opened(folder) as connection:
        query = "SELECT COUNT(*) FROM item WHERE camera = ? AND alerted >= ? AND verdict = 'false'"
        return int(connection.execute(query, (camera, day)).fetchone()[0])
