"""Routes of the review: the queue, its clips, verdicts, and a stream of changes."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import Body, HTTPException, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, Response, StreamingResponse

from wherewhen.core.errors import ConfigError, VideoError
from wherewhen.review import heat as heat_maps
from wherewhen.review import items, media, verdicts
from wherewhen.review.items import MOST, plain
from wherewhen.review.opened import Review
from wherewhen.review.verdicts import Conflict, Judgement
from wherewhen.server.changes import changes

if TYPE_CHECKING:
    from fastapi import FastAPI

MOST_VERDICTS = 1000  # of a request
MOST_IDS = 100
HIGHEST = 2**63 - 1  # number of a row
PART = 2 * 1024**2  # bytes of a part of a clip at most, so that no answer holds a connection for long
KEPT = {"cache-control": "private, max-age=3600"}
_LIST = Body(embed=True, alias="verdicts", max_length=MOST_VERDICTS)
_RANGE = re.compile(r"bytes=(\d{1,18})-(\d{0,18})")


Elsewhere = Callable[[str, Request], Awaitable[Response | None]]
"""The clip of an item that another machine has; None where none has it."""


def add_review(app: FastAPI, review: Review, elsewhere: Elsewhere | None = None) -> None:
    """All routes of the review of a database, below ``/api/v1``."""
    add_queue(app, review)
    add_media(app, review, elsewhere)
    add_item(app, review)
    add_verdicts(app, review)
    add_facts(app, review)


def add_queue(app: FastAPI, review: Review) -> None:
    """Routes of items: a page of the queue, the curve of an item and the judged items that look like it."""

    @app.get("/api/v1/review", response_model=None)
    def queue(
        state: str = "open", camera: str = "", source: str = "", severity: str = "", sort: str = "uncertain",
        cursor: str = Query("", max_length=1000), ids: str = Query("", max_length=30_000),
        cluster: int | None = Query(None, ge=-HIGHEST, le=HIGHEST), limit: int = Query(100, ge=1, le=MOST),
    ) -> Any:  # fmt: skip
        """A page of items. ``ids``: these instead, between commas, whatever their state."""
        query = items.Query(state, camera, source, severity, sort, cluster, cursor, limit)
        with review.reading() as connection:
            answer = items.page(connection, review.folder, query)
            if ids:
                listed = items.of_ids(connection, review.folder, ids.split(",")[:MOST_IDS])
                answer |= {"items": listed, "cursor": None}
        return answer

    @app.get("/api/v1/items/{id:path}/curve", response_model=None)
    def curve(id: str) -> Any:
        """Scores from two minutes before an item to two minutes after it, in the item's clock."""
        return review.curve(_row(review, id))

    @app.get("/api/v1/items/{id:path}/neighbours", response_model=None)
    def neighbours(id: str) -> Any:
        """The confirmed and the rejected items that look most like an item."""
        return review.neighbours(_row(review, id))


def add_item(app: FastAPI, review: Review) -> None:
    """The route of one item, after those of its files: an id may hold ``/``."""

    @app.get("/api/v1/items/{id:path}", response_model=None)
    def item(id: str) -> Any:
        return plain(_row(review, id), review.folder)


def add_media(app: FastAPI, review: Review, elsewhere: Elsewhere | None) -> None:
    """Routes of the files of items. The id of a request chooses a row and is no part of a path."""

    def file(id: str, find: Callable[[dict[str, Any], Path], Path | None], kind: str) -> Path:
        try:
            path = find(_row(review, id), review.folder)
        except VideoError as error:
            raise HTTPException(404, f"no {kind}: {error.cause}") from None
        if path is None:
            raise HTTPException(404, f"this item has no {kind} (any more)")
        return path

    @app.get("/api/v1/items/{id:path}/clip.mp4", response_model=None)
    async def clip(id: str, request: Request) -> Any:
        """A clip that browsers play; a range of bytes may be answered in part."""
        if elsewhere is not None and (answer := await elsewhere(id, request)) is not None:
            return answer
        path = await run_in_threadpool(file, id, media.clip, "clip")
        part = _part(path, request.headers.get("range", ""))
        return part or FileResponse(path, media_type="video/mp4", headers=KEPT)

    @app.get("/api/v1/items/{id:path}/thumb.webp", response_model=None)
    def thumb(id: str) -> Any:
        return FileResponse(file(id, media.thumb, "picture"), media_type="image/webp", headers=KEPT)

    @app.get("/api/v1/items/{id:path}/heat.webp", response_model=None)
    def heat(id: str) -> Any:
        """The map of scores at the peak of an item, transparent where they are low, to put over its clip."""
        if (picture := heat_maps.picture(_row(review, id))) is None:
            raise HTTPException(404, "this item has no heat map")
        return Response(picture, media_type="image/webp", headers=KEPT)


def add_verdicts(app: FastAPI, review: Review) -> None:
    """Routes of verdicts."""

    def shown(ids: list[str]) -> list[dict[str, Any]]:
        return review.items(list(dict.fromkeys(ids)))

    @app.post("/api/v1/verdicts", response_model=None)
    def judge(request: Request, listed: list[Judgement] = _LIST) -> Any:
        """Store verdicts, all or none; one whose key is stored already is not stored again."""
        with review.writing() as tables:
            numbers = verdicts.store(tables, listed, _user(request), time.time())
            stored = [items.verdict(row) for row in verdicts.numbered(tables, numbers)]
        return {"verdicts": stored, "items": shown([verdict["item"] for verdict in stored])}

    @app.get("/api/v1/verdicts", response_model=None)
    def recent(
        request: Request, limit: int = Query(10, ge=1, le=MOST), before: int | None = Query(None, ge=0, le=HIGHEST)
    ) -> Any:
        """The user's last verdicts, the newest first, and their items."""
        with review.writing() as tables:
            rows = verdicts.recent(tables, _user(request), limit, before)
        return {"verdicts": [items.verdict(row) for row in rows], "items": shown([row["item"] for row in rows])}

    @app.post("/api/v1/verdicts/undo", response_model=None)
    def undo_all(keys: list[str] = Body(embed=True, max_length=MOST_VERDICTS)) -> Any:  # noqa: B008
        """Withdraw verdicts by their keys, all at once; unknown ones are left out.

        ``gone``: ids of missed events, which go with their verdicts.
        """
        if not all(map(verdicts.is_text, keys)):
            raise ConfigError("keys: expected Unicode")
        with review.writing() as tables:
            ids = verdicts.undo_all(tables, keys, time.time())
        listed = shown(ids)
        return {"items": listed, "gone": sorted(set(ids) - {item["id"] for item in listed})}

    @app.delete("/api/v1/verdicts/{id}", response_model=None)
    def undo(id: int) -> Any:
        """Withdraw a verdict; a second time changes nothing. An event that was added as missed goes with it."""
        with review.writing() as tables:
            item = verdicts.undo(tables, min(max(id, 0), HIGHEST), time.time())
        if item is None:
            raise HTTPException(404, "there is no such verdict")
        return {"items": shown([item])}

    @app.post("/api/v1/missed", response_model=None)
    def missed(
        request: Request, key: str = Body(), item: str = Body(), start: float = Body(), end: float = Body(),
        box: tuple[float, float, float, float] | None = Body(None), category: str | None = Body(None),
        note: str | None = Body(None), seconds: float | None = Body(None),
    ) -> Any:  # fmt: skip
        """Add an event that the model missed, in the footage of another item."""
        judgement = Judgement(key, item, "missed", start, end, box, category, note, seconds)
        with review.writing() as tables:
            id, number = verdicts.add_missed(tables, judgement, _user(request), time.time())
            (row,) = verdicts.numbered(tables, [number])
        if not (listed := shown([id])):
            raise Conflict("this event was withdrawn; give it another key")
        return {"item": listed[0], "verdict": items.verdict(row)}


def add_facts(app: FastAPI, review: Review) -> None:
    """Routes about the review as a whole."""

    @app.get("/api/v1/info", response_model=None)
    def info(request: Request) -> Any:
        user = _user(request) or ""
        return {
            "version": version("wherewhen"),
            "live": review.is_live,
            **review.info(),
            "user": user,
            "retrain": bool(review.models()),
        }

    @app.get("/api/v1/stats", response_model=None)
    def statistics() -> Any:
        """How much was judged, how fast, how consistently, and how many events are missed below the threshold."""
        return review.statistics()

    @app.get("/api/v1/stream", response_model=None)
    async def stream(request: Request) -> Any:
        """Server-sent events: the ids of items that changed, by whatever window or process."""
        is_over = request.scope.get("is_over", lambda: False)
        return StreamingResponse(changes(review, is_over), media_type="text/event-stream")


def _row(review: Review, id: str) -> dict[str, Any]:
    row = review.row(id)
    if row is None:
        raise HTTPException(404, "there is no such item")
    return row


def _user(request: Request) -> str | None:
    return request.scope.get("user_name") or None


def _part(path: Path, text: str) -> Response | None:
    """A part of a file for a range of bytes; None for any other range, which `FileResponse` answers."""
    match, size = _RANGE.fullmatch(text), path.stat().st_size
    if match is None or int(match[1]) >= size:
        return None
    start = int(match[1])
    end = min(int(match[2]) if match[2] else size - 1, size - 1, start + PART - 1)
    if end < start:
        return None
    with path.open("rb") as file:
        file.seek(start)
        data = file.read(end - start + 1)
    headers = {"content-range": f"bytes {start}-{end}/{size}", "accept-ranges": "bytes", **KEPT}
    return Response(data, 206, headers, "video/mp4")
