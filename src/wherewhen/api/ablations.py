"""Rows of an ablation: a method, and the same method with one of its parts changed in each row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from wherewhen.core import registry
from wherewhen.core.config import merged
from wherewhen.core.errors import ConfigError
from wherewhen.inference.model_config import ModelConfig

SEPARATOR = ": "  # between a method and the name of its ablation


def variants(method: str, settings: Mapping[str, Any] | None = None) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """The rows of an ablation: name to method and settings, the method as it is first.

    A change that ``settings`` contain already has no row, nor has one that equals an earlier row. ConfigError if the
    method declares none.
    """
    base = dict(settings or {})
    declared = registry.load("methods", method).abilities.ablations
    if not declared:
        able = [name for name in registry.names("methods") if registry.load("methods", name).abilities.ablations]
        raise ConfigError(f"method {method} declares no ablations; these do: {', '.join(able) or 'none'}")
    configs = [ModelConfig.of({**base, "method": method})]
    result: dict[str, tuple[str, Mapping[str, Any]]] = {method: (method, base)}
    field_names = {field.name for field in fields(registry.load("methods", method).Config)}
    for name, change in declared.items():
        parts = {key: value for key, value in change.items() if key not in field_names}
        changed = {key: value for key, value in change.items() if key in field_names}
        other = merged(base, {method: changed, **parts})
        if (config := ModelConfig.of({**other, "method": method})) not in configs:
            configs.append(config)
            result[method + SEPARATOR + name] = method, other
    return result
