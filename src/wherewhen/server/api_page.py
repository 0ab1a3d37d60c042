"""The page that describes the routes of an application, made from its OpenAPI document."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastapi import FastAPI

METHODS = ("get", "post", "put", "patch", "delete")
LIMITS = {
    "minimum": "from {}", "maximum": "to {}", "maxLength": "of up to {} characters", "maxItems": "of up to {} items",
}  # fmt: skip
"""Limits of a value in words."""
UNLIMITED = 2**53  # from here on a limit is one of the database alone


@dataclass(frozen=True)
class Field:
    """A parameter or a part of a body: ``place`` is path, query or body; ``default`` is JSON, empty without one."""

    name: str
    place: str
    kind: str
    default: str
    is_required: bool


@dataclass(frozen=True)
class Route:
    """A route: its method and path, what it does, and what it takes."""

    method: str
    path: str
    text: str
    fields: tuple[Field, ...]

    @property
    def parts(self) -> list[str]:
        """The text in parts; every second one is code."""
        return self.text.split("``")


def add_api_page(app: FastAPI) -> None:
    """The routes ``/api``, the page, and its style."""
    from fastapi.responses import HTMLResponse, Response

    @app.get("/api", response_model=None, include_in_schema=False)
    def description() -> Any:
        return HTMLResponse(page(app.openapi()))

    @app.get("/api.css", response_model=None, include_in_schema=False)
    def style() -> Any:
        return Response(_text("api.css"), media_type="text/css")


def page(document: Mapping[str, Any]) -> str:
    """The page of an OpenAPI document."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(_text("api.html.jinja"))
    return str(template.render(info=document["info"], routes=list(routes(document))))


def routes(document: Mapping[str, Any]) -> Iterator[Route]:
    """The routes of an OpenAPI document, in its order."""
    for path, operations in document["paths"].items():
        for method in METHODS:
            if method in operations:
                operation = operations[method]
                text = operation.get("description") or operation.get("summary", "")
                yield Route(method.upper(), path, " ".join(text.split()), tuple(_fields(document, operation)))


def _fields(document: Mapping[str, Any], operation: Mapping[str, Any]) -> Iterator[Field]:
    """What a route takes: parameters, then the parts of its body."""
    for parameter in operation.get("parameters", ()):
        yield _field(
            document, parameter["name"], parameter["in"], parameter["schema"], parameter.get("required", False)
        )
    for content in operation.get("requestBody", {}).get("content", {}).values():
        body = _resolved(document, content["schema"])
        for name, schema in body.get("properties", {}).items():
            yield _field(document, name, "body", schema, name in body.get("required", ()))


def _field(document: Mapping[str, Any], name: str, place: str, schema: Mapping[str, Any], is_required: bool) -> Field:
    default = json.dumps(schema["default"]) if "default" in schema else ""
    return Field(name, place, _kind(document, schema), default, is_required)


def _kind(document: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """The type of a value in words, with its limits."""
    schema = _resolved(document, schema)
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_kind(document, choice) for choice in schema["anyOf"]))
    if "properties" in schema:
        required = schema.get("required", ())
        return f"object of {', '.join(name + ('' if name in required else '?') for name in schema['properties'])}"
    words = [str(schema.get("type", "any"))]
    if "items" in schema:
        words = [f"array of {_kind(document, schema['items'])}"]
    elif "prefixItems" in schema:
        return f"array of {len(schema['prefixItems'])} {_kind(document, schema['prefixItems'][0])}s"
    limits = ((text, schema[key]) for key, text in LIMITS.items() if key in schema)
    words += [text.format(f"{limit:g}") for text, limit in limits if abs(limit) < UNLIMITED]
    return " ".join(words)


def _resolved(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """A schema, looked up where it is a reference."""
    if "$ref" not in schema:
        return schema
    resolved: Mapping[str, Any] = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return resolved


def _text(name: str) -> str:
    return (files("wherewhen.server") / name).read_text("utf-8")
