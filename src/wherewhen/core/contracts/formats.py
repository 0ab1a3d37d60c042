"""Contract of file formats of other tools."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wherewhen.core.contracts.provenance import Provenance


@dataclass(frozen=True, slots=True)
class Format:
    """A file format of another tool: ``write`` values to a path, ``read`` them back; None where not supported."""

    source: Provenance
    suffix: str
    write: Callable[..., None] | None
    read: Callable[..., Any] | None
