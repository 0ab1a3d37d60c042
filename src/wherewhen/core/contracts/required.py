"""Members and settings that a plug-in class must have."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Required:
    """What a plug-in class must have: ``members`` of the class and ``settings`` of its ``Config``."""

    members: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
