"""Files of alerts: from the store, or a clip from the machine that has it. Read where FastAPI is installed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import FileResponse, Response, StreamingResponse

from wherewhen.live.hub import Group
from wherewhen.live.overview import opened
from wherewhen.server import events

TYPES = {".jpg": "image/jpeg", ".webp": "image/webp", ".mp4": "video/mp4"}
PASSED = ("content-type", "content-length", "content-range", "accept-ranges", "etag", "last-modified")
"""Headers of a file that are handed on."""
TIMEOUT = 10.0  # seconds that a machine may be silent
ENCODING = 60.0  # the same where it may have to encode a clip first


def add_files(app: FastAPI, folder: Path, group: Group | None = None) -> None:
    """Routes in Frigate's shape: the files of an event."""

    def add_file(name: str, kind: events.FileKind) -> None:
        @app.get(f"/api/events/{{id}}/{name}", response_model=None)
        async def file(id: str, request: Request) -> Any:
            return await answer(folder, id, kind, request, group)

    add_file("snapshot.jpg", "snapshot")
    add_file("thumbnail.jpg", "thumb")
    add_file("clip.mp4", "clip")


async def answer(
    folder: Path, id: str, kind: events.FileKind, request: Request, group: Group | None = None
) -> FileResponse | StreamingResponse:
    """A file of an event, also a part of it; HTTPException 404 where there is none.

    At a hub, a clip that another machine has comes from there: from the address that this machine stated itself. 502
    where it does not answer.
    """
    path = events.file_of(folder, id, kind)
    if path is not None:
        return FileResponse(path, media_type=TYPES[path.suffix])
    if kind == "clip" and group is not None and (address := _address(folder, id)) is not None:
        return await _handed_on(address, group.token, request)
    raise HTTPException(404, f"no such event, or it has no {kind}")


def clips_elsewhere(folder: Path, group: Group | None) -> Callable[[str, Request], Awaitable[Response | None]]:
    """A function that gives the clip of an event as browsers play it, where another machine has it; None elsewhere."""

    async def clip(id: str, request: Request) -> Response | None:
        address = _address(folder, id) if group is not None and group.hub is not None else None
        if group is None or address is None:
            return None
        return await _handed_on(f"{address}?played=true", group.token, request, ENCODING)

    return clip


def _address(folder: Path, id: str) -> str | None:
    """Where another machine has the clip of an event."""
    query = """
        SELECT address FROM item JOIN machine ON machine.id = item.machine
        WHERE item.id = ? AND clip IS NOT NULL AND address != ''
    """
    with opened(folder) as connection:
        row = connection.execute(query, (id,)).fetchone()
    return f"{row[0]}/api/hub/files/{id}" if row else None


async def _handed_on(address: str, token: str, request: Request, timeout: float = TIMEOUT) -> StreamingResponse:
    """The answer of another machine to the same request, as it comes."""
    import httpx

    headers = {"authorization": f"Bearer {token}", "accept-encoding": "identity"}
    headers |= {name: request.headers[name] for name in ("range", "if-range") if name in request.headers}
    client = httpx.AsyncClient(timeout=timeout, follow_redirects=False, trust_env=False)
    try:
        theirs = await client.send(client.build_request("GET", address, headers=headers), stream=True)
    except httpx.HTTPError as error:
        await client.aclose()
        raise HTTPException(502, f"the machine that has it does not answer ({type(error).__name__})") from None

    async def close() -> None:
        await theirs.aclose()
        await client.aclose()

    async def parts() -> AsyncIterator[bytes]:
        try:
            async for part in theirs.aiter_raw():
                yield part
        finally:
            await close()

    if theirs.status_code not in (200, 206, 416):
        await close()
        gone = theirs.status_code == 404
        raise HTTPException(404 if gone else 502, f"the machine that has it answers {theirs.status_code}")
    passed = {name: theirs.headers[name] for name in PASSED if name in theirs.headers}
    return StreamingResponse(parts(), theirs.status_code, passed)
