"""Routes between machines: what they bring to the hub, and clips for it. Read where FastAPI is installed."""

from __future__ import annotations

import base64
import time
from pathlib import Path
from typing import Annotated, Any

from fastapi import Body, FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, StreamingResponse

from wherewhen.core.errors import ConfigError, VideoError
from wherewhen.live.hub import Group
from wherewhen.live.overview import opened
from wherewhen.review import items, media
from wherewhen.server.files import TYPES, answer

Fields = Annotated[dict[str, Any], Body()]


def add_machines(app: FastAPI, folder: Path, group: Group) -> None:
    """Routes that other machines call with their token; those of a hub, where it is here."""

    @app.get("/api/hub/files/{id}", response_model=None, include_in_schema=False)
    async def clip(id: str, request: Request, played: bool = False) -> FileResponse | StreamingResponse:
        """A clip; ``played``: as browsers play it, encoded once if need be."""
        path = await run_in_threadpool(_played, folder, id) if played else None
        return FileResponse(path, media_type=TYPES[".mp4"]) if path else await answer(folder, id, "clip", request)

    if (hub := group.hub) is None:
        return

    @app.post("/api/hub/beat", response_model=None, include_in_schema=False)
    def beat(request: Request, report: Fields) -> Any:
        return hub.beat(report, request.client.host if request.client else "", time.time())

    @app.post("/api/hub/messages", response_model=None, include_in_schema=False)
    def message(machine: Fields, message: Fields, snapshot: Annotated[str | None, Body()] = None) -> Any:
        try:
            picture = None if snapshot is None else base64.b64decode(snapshot, validate=True)
        except ValueError:
            raise ConfigError("snapshot: expected Base64") from None
        return {"new": hub.receive(machine, message, picture, time.time())}

    @app.get("/api/hub/cameras/{camera}", response_model=None, include_in_schema=False)
    def past(camera: str, after: float = 0.0) -> Any:
        return hub.past(camera, after)


def _played(folder: Path, id: str) -> Path | None:
    """The clip of an item in the coding that browsers play; None where there is none, or where it can't be encoded."""
    with opened(folder) as connection:
        row = items.row_of(connection, id)
    try:
        return None if row is None else media.clip(row, folder)
    except VideoError:
        return None
