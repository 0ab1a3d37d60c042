"""Provenance of plug-ins, data sets and formats."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Provenance:
    """Source, licence and publication of a plug-in, data set or format: for lists, docs and checks."""

    title: str
    homepage: str = ""
    licence: str = ""
    citation: str = ""
