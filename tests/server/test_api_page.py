"""The page of the routes: what it states, and that no text of a route becomes a part of the page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from reviewed import add_item, served

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

from wherewhen.core.database import Tables
from wherewhen.review.opened import Review
from wherewhen.server.api_page import Field, Route, page, routes

HOSTILE = "<script>alert('x')</script>\"'"


def test_the_page_describes_each_route_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    with Tables(tmp_path / "review.db") as tables:
        add_item(tables, "a")
    with served(Review(tmp_path / "review.db")) as client:
        document, answer = client("/openapi.json").json, client("/api")
        assert client("/api.css").headers["content-type"].startswith("text/css")
        assert client("/docs").status == client("/redoc").status == 404
    text = answer.body.decode()
    assert answer.status == 200 and answer.headers["content-type"].startswith("text/html")
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert set(re.findall(r"(?:src|href)=\"([^\"]*)\"", text)) == {"/api.css", "/openapi.json"}
    assert "<script" not in text and "style=" not in text and "http" not in re.sub(r"<!.*?>", "", text)
    listed = {(route.method, route.path): route for route in routes(document)}
    assert set(listed) == {(m.upper(), path) for path, methods in document["paths"].items() for m in methods}
    assert all(route.text for route in listed.values())
    assert all(f"<code>{path}</code>" in text for _, path in listed)
    fields = {field.name: field for field in listed["GET", "/api/v1/review"].fields}
    assert fields["limit"] == Field("limit", "query", "integer from 1 to 1000", "100", False)
    assert fields["cursor"].kind == "string of up to 1000 characters" and fields["cluster"].kind == "integer or null"
    assert "``" not in text and "A page of items. <code>ids</code>: these instead" in text
    fields = {field.name: field for field in listed["POST", "/api/v1/missed"].fields}
    assert fields["key"].is_required and fields["box"].kind == "array of 4 numbers or null"
    (verdicts,) = listed["POST", "/api/v1/verdicts"].fields
    assert "object of key, item, verdict, start?" in verdicts.kind


def test_texts_are_escaped() -> None:
    operation = {
        "description": HOSTILE,
        "parameters": [{"name": HOSTILE, "in": "query", "schema": {"default": HOSTILE}}],
    }
    document = {"info": {"title": HOSTILE, "version": HOSTILE}, "paths": {HOSTILE: {"get": operation}}}
    text = page(document)
    assert "<script" not in text and text.count("&lt;script&gt;") >= 5
    (route,) = routes(document)
    assert isinstance(route, Route) and route.path == HOSTILE
