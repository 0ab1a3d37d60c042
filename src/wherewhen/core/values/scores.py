"""Boxes and tubes with scores."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from wherewhen.core import extents as ext
from wherewhen.core.values.arrays import (
    Floats,
    freeze,
    seconds,
    track_numbers,
)


def _rows(extents: object, values: object, track: object, name: str) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Arrays of the fields that `Scores` and `Boxes` share."""
    rows = ext.check(np.array(extents, np.float64).reshape(-1, 6), name)
    return rows, np.array(values, np.float64).reshape(-1), track_numbers(track, len(rows))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Scores:
    """Scores with time and place: extents ``(N, 6)``, values ``(N,)`` and track numbers ``(N,)`` (-1 = none).

    Rows may be cells, boxes of frames, or tubes (rows that share a track number).
    """

    extents: Floats
    values: Floats
    track: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    def __post_init__(self) -> None:
        rows, values, track = _rows(self.extents, self.values, self.track, "scores")
        if not len(rows) == len(values) == len(track):
            raise ValueError(f"scores: {len(rows)} extents, {len(values)} values, {len(track)} track numbers")
        if not np.isfinite(values).all():
            raise ValueError("scores: every value must be finite")
        freeze(self, extents=rows, values=values, track=track)

    def __repr__(self) -> str:
        values = f", {self.values.min():.2f} to {self.values.max():.2f}" if len(self.values) else ""
        return f"Scores({len(self.values)}{values})"

    @classmethod
    def chained(cls, parts: Iterable[Scores | Boxes]) -> Scores:
        """The rows of several sets, one after another."""
        sets = list(parts)
        if not sets:
            return cls(np.empty((0, 6)), np.empty(0))
        return cls(*(np.concatenate([getattr(part, name) for part in sets]) for name in ("extents", "values", "track")))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Boxes:
    """The boxes in one frame of ``[start, end)`` seconds: extents ``(N, 6)``, confidence ``(N,)`` in [0, 1].

    ``names``: a class name per row, or empty where unknown. ``track``: ``(N,)`` (-1 = none). ``note``: why
    these boxes are less reliable than others, or empty. ``detected``: whether the source gave any box in this frame,
    before rows were left out or filled in; None: as there are rows.
    """

    start: float
    end: float
    extents: Floats = field(default_factory=lambda: np.empty((0, 6)))
    values: Floats = field(default_factory=lambda: np.empty(0))
    names: tuple[str, ...] = ()
    track: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    note: str = ""
    detected: bool | None = None

    def __post_init__(self) -> None:
        if not self.start < self.end:
            raise ValueError(f"boxes: time must advance, got [{self.start}, {self.end})")
        rows, values, track = _rows(self.extents, self.values, self.track, "boxes")
        if not len(rows) == len(values) == len(track) or len(self.names) not in (0, len(rows)):
            raise ValueError(
                f"boxes: {len(rows)} extents, {len(values)} values, {len(track)} track numbers, {len(self.names)} names"
            )
        if not ((values >= 0) & (values <= 1)).all():
            raise ValueError("boxes: expected confidence in [0, 1]")
        object.__setattr__(self, "detected", len(rows) > 0 if self.detected is None else bool(self.detected))
        freeze(self, extents=rows, values=values, track=track)

    def __repr__(self) -> str:
        return f"Boxes({len(self.values)}, {seconds(self.start, self.end)})"
