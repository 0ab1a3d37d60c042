"""The route of verdicts as files of other tools. Read where FastAPI is installed."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from fastapi import HTTPException, Query
from fastapi.responses import Response

from wherewhen.api import verdict_files
from wherewhen.core.errors import DataError
from wherewhen.review.opened import Review

if TYPE_CHECKING:
    from fastapi import FastAPI

TYPES = {
    ".json": "application/json",
    ".csv": "text/csv; charset=utf-8",
    ".xml": "application/xml",
    ".zip": "application/zip",
}


def add_exports(app: FastAPI, review: Review) -> None:
    """The route ``/api/v1/verdicts/export``."""

    @app.get("/api/v1/verdicts/export", response_model=None)
    def export(format: str = Query("coco", max_length=40)) -> Any:
        """The verdicts that hold as one file: labels (the table that training reads), cvat, coco, label_studio, ..."""
        try:
            name, content = verdict_files.packed(review.file, format)
        except DataError as error:
            raise HTTPException(404, str(error)) from None
        disposition = f"attachment; filename*=UTF-8''{quote(name, safe='')}"
        kind = TYPES.get(PurePosixPath(name).suffix, "application/octet-stream")
        return Response(content, media_type=kind, headers={"content-disposition": disposition})
