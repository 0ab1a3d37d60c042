"""Backbones that also read: which there are, and their settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from wherewhen import registry
from wherewhen.config import build
from wherewhen.errors import ConfigError


def encoders() -> list[str]:
    """Backbones that also read."""
    return [name for name in registry.names("backbones") if hasattr(registry.load("backbones", name), "encode")]


def settings_of(name: str, given: Mapping[str, Any] | None = None, **fixed: Any) -> Any:
    """The settings of a backbone that reads; ConfigError for one that doesn't. ``fixed`` count where it has them."""
    plugin = registry.load("backbones", name)
    if name not in encoders():
        raise ConfigError(f"the backbone {name} doesn't read; words need one of {', '.join(encoders())}")
    own = {f.name for f in fields(plugin.Config)}
    return build(plugin.Config, {**(given or {}), **{k: v for k, v in fixed.items() if k in own}}, name)
