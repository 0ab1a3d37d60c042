"""Where a plug-in, data set or format comes from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where something comes from, as data: for lists, docs and checks."""

    title: str
    homepage: str = ""
    licence: str = ""
    citation: str = ""
