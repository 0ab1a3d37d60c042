"""Backbones that also encode text, and their settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from wherewhen.core import registry
from wherewhen.core.config import build
from wherewhen.core.errors import ConfigError


def encoders() -> list[str]:
    """Names of the backbones that encode text."""
    return [name for name in registry.names("backbones") if registry.load("backbones", name).abilities.reads_text]


def settings_of(name: str, settings: Mapping[str, Any] | None = None, **fixed: Any) -> Any:
    """The settings of a backbone that encodes text, ConfigError for others; of ``fixed`` those that it has apply."""
    plugin = registry.load("backbones", name)
    if name not in encoders():
        raise ConfigError(f"the backbone {name} doesn't encode text; prompts need one of {', '.join(encoders())}")
    names = {f.name for f in fields(plugin.Config)}
    return build(plugin.Config, {**(settings or {}), **{k: v for k, v in fixed.items() if k in names}}, name)


def requested_encoder(settings: Mapping[str, Any]) -> tuple[str | None, Mapping[str, Any]]:
    """The requested backbone and its settings; settings of a single one select it; None means any.

    ConfigError where settings of several are given.

    >>> requested_encoder({"clip": {"weights": "own.pt"}})
    ('clip', {'weights': 'own.pt'})
    """
    sections = {name: values for name, values in settings.items() if name != "backbone"}
    if len(sections) > 1:
        raise ConfigError(f"settings of {' and '.join(sorted(sections))}: one backbone reads; leave the others out")
    name = settings.get("backbone") or next(iter(sections), None)
    if sections and name not in sections:
        raise ConfigError(f"settings of {next(iter(sections))} have no effect with --backbone {name}; leave them out")
    return name, next(iter(sections.values()), {})
