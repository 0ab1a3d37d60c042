"""Descriptions of plug-ins, as plain rows for lists and docs."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import Any, Protocol, runtime_checkable

from wherewhen.core import registry
from wherewhen.core.contracts import Baseline, DatasetReader, Metric, Provenance


@runtime_checkable
class Sourced(Protocol):
    """A plug-in that states its provenance."""

    source: Provenance


def describe(kind: str) -> list[dict[str, Any]]:
    """One row per plug-in of a kind: name, title, and its other facts, as text, lists of names or counts.

    >>> [row["title"] for row in describe("baselines") if row["name"] == "central_box"]
    ['the middle 60 % x 60 % of the picture, always']
    """
    return [{"name": name, **_facts(kind, name)} for name in registry.names(kind)]


def _facts(kind: str, name: str) -> dict[str, Any]:
    plugin = registry.load(kind, name)
    if isinstance(plugin, Metric):
        return {"title": _first_line(kind, name, plugin), "numbers": list(plugin.names), "source": plugin.source}
    if isinstance(plugin, Baseline):
        return {"title": plugin.description}
    facts: dict[str, Any] = {"title": _first_line(kind, name, plugin)}
    if isinstance(plugin, Sourced):
        source = plugin.source
        links = {"homepage": source.homepage, "licence": source.licence, "citation": source.citation}
        facts |= {key: value for key, value in links.items() if value}
    if isinstance(plugin, DatasetReader):
        facts["title"] = plugin.source.title or facts["title"]
        if plugin.split_rule:
            facts["split rule"] = plugin.split_rule
        if plugin.counts:
            facts["holds"] = dict(plugin.counts)
    return facts


def in_words(value: object) -> str:
    """A fact as text of one line.

    >>> in_words(["auc", "ap"]), in_words({"videos": 37, "folds": 2})
    ('auc, ap', '37 videos, 2 folds')
    """
    if isinstance(value, dict):
        return ", ".join(f"{count} {unit}" for unit, count in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _first_line(kind: str, name: str, plugin: Any) -> str:
    text = inspect.getdoc(plugin) if inspect.isclass(plugin) else None
    if not text:
        text = inspect.getdoc(
            import_module(plugin.__module__ if inspect.isclass(plugin) else f"wherewhen.{kind}.{name}")
        )
    return (text or "").splitlines()[0]
