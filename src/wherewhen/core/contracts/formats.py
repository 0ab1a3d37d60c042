"""What an outer format must offer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wherewhen.core.contracts.provenance import Provenance


@dataclass(frozen=True, slots=True)
class Format:
    """An outer format: ``write`` our values to a path, ``read`` them back; None where only one way exists."""

    source: Provenance
    suffix: str
    write: Callable[..., None] | None
    read: Callable[..., Any] | None
