"""What a plug-in class must have to be loaded."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Required:
    """What a plug-in class must have to be loaded: ``members`` of the class and ``settings`` of its ``Config``."""

    members: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
