"""Routes between machines: what they bring to the hub, and clips for it. Read where FastAPI is installed."""

from __future__ import annotations

import base64
import time
from pathlib import Path
from typing import Annotated, Any

from fastapi import Body, FastAPI, Request
from fastapi.responses import FileResponse, StreamingResponse

from wherewhen.core.errors import ConfigError
from wherewhen.live.hub import Group
from wherewhen.server.files import answer

Fields = Annotated[dict[str, Any], Body()]


def add_machines(app: FastAPI, folder: Path, group: Group) -> None:
    """Routes that other machines call with their token; those of a hub, where it is here."""

    @app.get("/api/hub/files/{id}", response_model=None, include_in_schema=False)
    async def clip(id: str, request: Request) -> FileResponse | StreamingResponse:
        return await answer(folder, id, "clip", request)

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
