"""The amount of motion in every cell of every clip, from its pictures, independent of the backbone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from wherewhen.core.contracts import BuilderAbilities, RoiSpec, TrackSource
from wherewhen.core.errors import ConfigError
from wherewhen.core.values import Grid, Instances
from wherewhen.instances._shares import overlaps, placed, retimed


@dataclass(frozen=True)
class MovingConfig:
    """Settings of `Moving`; use those of `cells` where a method has both views.

    Args:
        steps: time steps per clip; null keeps the backbone's.
        rows: cells from top to bottom; null keeps the backbone's.
        columns: cells from left to right; null keeps the backbone's.
    """

    steps: int | None = None
    rows: int | None = None
    columns: int | None = None

    def __post_init__(self) -> None:
        if min(size for size in (self.steps, self.rows, self.columns, 1) if size is not None) < 1:
            raise ConfigError(f"moving: steps, rows and columns must be at least 1 or null; got {self}")


class Moving:
    """Grids to instances of one number, the mean absolute difference of gray in a cell, in [0, 1].

    It is 0 where no pictures were compared: in crops, and in imported features.

    >>> detail = np.zeros((1, 4, 4), np.float32)
    >>> detail[0, :2, 2:] = 0.5
    >>> grid = Grid(np.ones((1, 2, 2, 3), np.float32), np.array([0, 1, 0, 0, 1, 1.0]), detail)
    >>> next(Moving(MovingConfig())([grid])).features.ravel().tolist()
    [0.0, 0.5, 0.0, 0.0]
    """

    Config: ClassVar[type] = MovingConfig
    abilities: ClassVar[BuilderAbilities] = BuilderAbilities()
    track_source: TrackSource | None = None
    roi: RoiSpec | None = None
    wait: float = 0.0

    def __init__(self, config: MovingConfig) -> None:
        self.config = config

    def __call__(self, grids: Iterable[Grid]) -> Iterator[Instances]:
        """Instances of each grid, in order; a grid may have any size."""
        for grid in grids:
            sizes = (self.config.steps, self.config.rows, self.config.columns)
            t, h, w = (size or grid_size for size, grid_size in zip(sizes, grid.features.shape, strict=False))
            detail = retimed(grid.detail, t)
            motion = np.zeros((t, h, w), np.float32)
            if detail is not None:
                down, across = (overlaps(side, size, 1.0) for side, size in zip(detail.shape[1:], (h, w), strict=True))
                motion = np.einsum("hr,trc,wc->thw", down, detail, across, optimize=True)
            yield placed(grid, motion[..., None])


PLUGIN = Moving
