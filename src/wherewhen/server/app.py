"""The web application of a store: routes for people, for Prometheus, and for what reads Frigate."""

from __future__ import annotations

import sqlite3
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wherewhen.core.database import OF_STORE
from wherewhen.core.errors import ConfigError, OutputError, StoreError
from wherewhen.live.hub import Group
from wherewhen.live.overview import overview
from wherewhen.review.opened import Review
from wherewhen.server import built_page, events, page
from wherewhen.server.api_page import add_api_page
from wherewhen.server.events import Query
from wherewhen.server.metrics_text import TYPE, metrics

if TYPE_CHECKING:
    from fastapi import FastAPI

FRIGATE = "0.16.0"  # the version whose events and reviews these routes follow
MOST_IDS = 1000


def create(folder: Path, group: Group | None = None) -> FastAPI:
    """The application for the store in a folder; `wherewhen.server.guard.Guard` belongs before it.

    ``group``: of a machine among several. ConfigError where the extra ``server`` is not installed.
    """
    app = _empty()
    from wherewhen.server.files import add_files
    from wherewhen.server.machines import add_machines

    add_status(app, folder)
    add_events(app, folder)
    add_files(app, folder, group)
    add_reviews(app, folder)
    if group is not None:
        add_machines(app, folder, group)
    _add_review(app, Review(folder / OF_STORE, is_live=True), folder, group)
    return app


def create_review(review: Review) -> FastAPI:
    """The application for the review of a database without a service: its page is the first one."""
    from fastapi.responses import HTMLResponse

    app = _empty()

    @app.get("/", response_model=None, include_in_schema=False)
    def first() -> Any:
        return HTMLResponse(built_page.index())

    _add_review(app, review, review.folder if review.is_live else None)
    return app


def _empty() -> FastAPI:
    """An application without routes, which tells of errors in a sentence: ``{"detail": "..."}``."""
    try:
        from fastapi import FastAPI
        from fastapi.exceptions import RequestValidationError
        from fastapi.responses import JSONResponse
    except ImportError:
        raise ConfigError('server: the web server needs pip install "wherewhen[server]"') from None
    from wherewhen.review.verdicts import Conflict

    app = FastAPI(title="wherewhen", version=version("wherewhen"), docs_url=None, redoc_url=None)

    def unreadable(_: Any, error: Exception) -> JSONResponse:
        return JSONResponse({"ok": False, "detail": str(error)}, 503)

    def wrong(_: Any, error: Exception) -> JSONResponse:
        return JSONResponse({"detail": str(error)}, 409 if isinstance(error, Conflict) else 422)

    def invalid(_: Any, error: Any) -> JSONResponse:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path"))
        return JSONResponse({"detail": f"{place or 'body'}: {first['msg']}"[:500]}, 422)

    add_api_page(app)
    for kind in (StoreError, OutputError, sqlite3.OperationalError):  # worth another try
        app.add_exception_handler(kind, unreadable)
    app.add_exception_handler(ConfigError, wrong)
    app.add_exception_handler(RequestValidationError, invalid)
    return app


def _add_review(app: FastAPI, review: Review, folder: Path | None, group: Group | None = None) -> None:
    """The review page and its routes; ``folder``: that of the store of a service, ``group``: its machines."""
    from fastapi.responses import HTMLResponse, Response

    from wherewhen.server.exports import add_exports
    from wherewhen.server.files import clips_elsewhere
    from wherewhen.server.retraining import add_retraining
    from wherewhen.server.review_cameras import add_cameras
    from wherewhen.server.review_routes import add_review

    @app.get("/review", response_model=None, include_in_schema=False)
    def page_of_review() -> Any:
        return HTMLResponse(built_page.index())

    for name, kind in built_page.ASSETS.items():
        answer = Response(built_page.asset(name), media_type=kind)
        path = f"/review/assets/{name}"
        app.add_api_route(path, lambda answer=answer: answer, response_model=None, include_in_schema=False)
    add_review(app, review, clips_elsewhere(review.folder, group))
    add_exports(app, review)
    add_cameras(app, folder)
    add_retraining(app, review)


def add_status(app: FastAPI, folder: Path) -> None:
    """Routes about the service: ``/``, ``/healthz``, ``/metrics``."""
    from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

    @app.get("/", response_model=None)
    def status() -> Any:
        return HTMLResponse(page.page(overview(folder, time.time())))

    @app.get("/cameras", response_model=None)
    def cameras() -> Any:
        return HTMLResponse(page.part(overview(folder, time.time())))

    @app.get("/healthz", response_model=None)
    def health() -> Any:
        service = overview(folder, time.time())
        return JSONResponse(service.plain(), 200 if service.ok else 503)

    @app.get("/metrics", response_model=None)
    def measurements() -> Any:
        return PlainTextResponse(metrics(overview(folder, time.time()), events.verdicts(folder)), media_type=TYPE)

    for name, kind in page.ASSETS.items():
        answer = Response(page.asset(name), media_type=kind)
        app.add_api_route(f"/{name}", lambda answer=answer: answer, response_model=None, include_in_schema=False)


def add_events(app: FastAPI, folder: Path) -> None:
    """Routes in Frigate's shape: events and version."""
    from fastapi import HTTPException
    from fastapi.responses import PlainTextResponse

    @app.get("/api/version", response_model=None)
    def frigate_version() -> Any:
        return PlainTextResponse(f"{FRIGATE}-wherewhen-{version('wherewhen')}")

    @app.get("/api/events", response_model=None)
    def event_list(
        camera: str = "all", cameras: str = "all", label: str = "all", labels: str = "all", zone: str = "all",
        zones: str = "all", after: float | None = None, before: float | None = None, limit: int = 100,
        has_snapshot: int | None = None, has_clip: int | None = None, in_progress: int | None = None,
        min_score: float | None = None,
    ) -> Any:  # fmt: skip
        cameras, labels, zones = (
            second if first == "all" else first for first, second in ((camera, cameras), (label, labels), (zone, zones))
        )
        query = Query(
            cameras, labels, zones, after=after, before=before, has_snapshot=has_snapshot, has_clip=has_clip,
            in_progress=in_progress, min_score=min_score, limit=limit,
        )  # fmt: skip
        return events.events(folder, query)

    @app.get("/api/events/{id}", response_model=None)
    def event(id: str) -> Any:
        if (plain := events.event_of(folder, id)) is None:
            raise HTTPException(404, "no such event")
        return plain


def add_reviews(app: FastAPI, folder: Path) -> None:
    """Routes in Frigate's shape: events as items of its review, and which of them were viewed."""
    from fastapi import Body

    @app.get("/api/review", response_model=None)
    def review_list(
        cameras: str = "all", labels: str = "all", zones: str = "all", severity: str = "all", limit: int = 100,
        after: float | None = None, before: float | None = None, reviewed: int | None = None,
    ) -> Any:  # fmt: skip
        query = Query(cameras, labels, zones, severity, after, before, reviewed=reviewed, limit=limit)
        return events.reviews(folder, query)

    @app.post("/api/reviews/viewed", response_model=None)
    def viewed(ids: list[str] = Body(embed=True, max_length=MOST_IDS), reviewed: bool = Body(True)) -> Any:  # noqa: B008
        count = events.mark(folder, ids, reviewed)
        return {"success": True, "message": f"{count} items are marked as {'' if reviewed else 'not '}reviewed"}
