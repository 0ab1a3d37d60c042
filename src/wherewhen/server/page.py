"""The status page: a line for each camera, which refreshes itself."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from wherewhen.live.overview import Overview
from wherewhen.live.overview_text import ago, headline, learning, moment, troubles

ASSETS = {"status.css": "text/css", "status.js": "text/javascript"}
WIDE = 100  # units of the drawing of a score


def page(service: Overview) -> str:
    """The whole page."""
    return str(_template().render(service=service, part=False, **_words()))


def part(service: Overview) -> str:
    """What changes on the page."""
    return str(_template().render(service=service, part=True, **_words()))


def asset(name: str) -> str:
    """The text of a file of the page, a key of `ASSETS`."""
    return (files("wherewhen.server") / name).read_text("utf-8")


def _template() -> Any:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(asset("status.html.jinja"))


def _words() -> dict[str, Any]:
    """Functions that the template uses."""
    return {"ago": ago, "moment": moment, "headline": headline, "learning": learning, "bar": bar,
            "troubles": troubles}  # fmt: skip


def bar(value: float) -> float:
    """A score from 0 to 1 as a length of the drawing.

    >>> bar(0.5), bar(7)
    (50.0, 100)
    """
    return min(max(WIDE * value, 0), WIDE)
