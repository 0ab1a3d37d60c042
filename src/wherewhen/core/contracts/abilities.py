"""The abilities records of each kind of plug-in, and the check that a plug-in class is complete."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from wherewhen.core.contracts.backbones import BackboneAbilities
from wherewhen.core.contracts.instances import BuilderAbilities
from wherewhen.core.contracts.localize import LocalizerAbilities
from wherewhen.core.contracts.methods import MethodAbilities
from wherewhen.core.contracts.proposals import ProposerAbilities
from wherewhen.core.contracts.required import Required

ABILITIES: Mapping[str, type[Any]] = {
    "backbones": BackboneAbilities,
    "instances": BuilderAbilities,
    "localize": LocalizerAbilities,
    "methods": MethodAbilities,
    "proposals": ProposerAbilities,
}
"""The record that a class of each kind of plug-in states as ``abilities``."""


def fault(kind: str, plugin: Any) -> str | None:
    """The first fault of a plug-in class against its contract; None where it has none.

    >>> fault("methods", type("Mine", (), {}))
    'the class Mine has no abilities; add abilities: ClassVar[MethodAbilities] = MethodAbilities()'
    """
    if (record := ABILITIES.get(kind)) is None:
        return None
    if not isinstance(plugin, type):
        return f"expected a class as PLUGIN, got {type(plugin).__name__}"
    abilities = inspect.getattr_static(plugin, "abilities", None)
    config = inspect.getattr_static(plugin, "Config", None)
    name, record_name = plugin.__name__, record.__name__
    if abilities is None:
        return f"the class {name} has no abilities; add abilities: ClassVar[{record_name}] = {record_name}()"
    if not isinstance(abilities, record):
        return f"{name}.abilities: expected a wherewhen.core.contracts.{record_name}, got {type(abilities).__name__}"
    if not (isinstance(config, type) and is_dataclass(config)):
        return f"{name}.Config: expected a dataclass with its settings, got {config!r}"
    required: Required = abilities.required()
    if lacking := [member for member in required.members if not _states(plugin, member)]:
        return f"the class {name} has no {lacking[0]}, which the contract of {kind} and its {record_name} require"
    settings = {setting.name for setting in fields(config)}
    if lacking := [setting for setting in required.settings if setting not in settings]:
        return (
            f"{config.__name__} has no setting {lacking[0]}, which the contract of {kind} and its {record_name} require"
        )
    return None


def _states(plugin: type, member: str) -> bool:
    """Whether a class or a base of it has a member, or declares it by an annotation."""
    return any(member in vars(cls) or member in inspect.get_annotations(cls) for cls in plugin.__mro__)
