"""The built review page: one file of HTML, one of JavaScript, one of CSS."""

from __future__ import annotations

from importlib.resources import files

ASSETS = {"review.js": "text/javascript", "review.css": "text/css"}


def index() -> str:
    """The page."""
    return (files("wherewhen.server") / "review_page" / "index.html").read_text("utf-8")


def asset(name: str) -> bytes:
    """The content of a file of the page, a key of `ASSETS`."""
    return (files("wherewhen.server") / "review_page" / "assets" / name).read_bytes()
