"""Every grid cell of every clip is an instance."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from wherewhen.core.contracts import BuilderAbilities, RoiSpec, TrackSource
from wherewhen.core.errors import ConfigError
from wherewhen.core.values import Features, Grid, Instances, unit
from wherewhen.instances._shares import overlaps, placed


@dataclass(frozen=True)
class CellsConfig:
    """Settings of `Cells`; the defaults keep the backbone's own grid.

    Args:
        steps: time steps per clip; null keeps the backbone's, 1 in cuboid MIL (arXiv 2605.13746).
        rows: cells from top to bottom; null keeps the backbone's, 7 in cuboid MIL.
        columns: cells from left to right; null keeps the backbone's, 7 in cuboid MIL.
        window: how many cells a cell pools over in height and width; above 1 they overlap.
        pool: mean, or max over all cells that a window touches.
        l2: scale features to unit length, as Sultani et al., CVPR 2018.
    """

    steps: int | None = None
    rows: int | None = None
    columns: int | None = None
    window: float = 1.0
    pool: Literal["mean", "max"] = "mean"
    l2: bool = False

    def __post_init__(self) -> None:
        if min(size for size in (self.steps, self.rows, self.columns, 1) if size is not None) < 1:
            raise ConfigError(f"cells: steps, rows and columns must be at least 1 or null; got {self}")
        if self.window < 1:
            raise ConfigError(f"cells: window must be at least 1 cell, got {self.window}")


class Cells:
    """Grids ``(t, h, w, D)`` to instances, one `Instances` of ``steps * rows * columns`` cells per grid, time slowest.

    Time steps outside of the span of a grid are left out.

    >>> grid = Grid(np.ones((4, 14, 14, 2), np.float32), np.array([0, 1, 0, 0, 1, 1.0]))
    >>> next(Cells(CellsConfig(steps=1, rows=7, columns=7))([grid])).shape
    (1, 7, 7)
    """

    Config: ClassVar[type] = CellsConfig
    abilities: ClassVar[BuilderAbilities] = BuilderAbilities()
    track_source: TrackSource | None = None
    roi: RoiSpec | None = None
    wait: float = 0.0

    def __init__(self, config: CellsConfig) -> None:
        self.config = config

    def __call__(self, grids: Iterable[Grid]) -> Iterator[Instances]:
        """Instances of each grid, in order; a grid may have any size."""
        for grid in grids:
            yield self._cells(grid)

    def _cells(self, grid: Grid) -> Instances:
        sizes = (self.config.steps, self.config.rows, self.config.columns)
        t, h, w = (size or grid_size for size, grid_size in zip(sizes, grid.features.shape, strict=False))
        features = grid.features
        for axis, (size, window) in enumerate(((t, 1.0), (h, self.config.window), (w, self.config.window))):
            features = _resample(features, axis, size, window, self.config.pool)
        return placed(grid, unit(features) if self.config.l2 else features)


def _resample(features: Features, axis: int, size: int, window: float, pool: str) -> Features:
    if size == features.shape[axis] and window == 1:
        return features
    weights = overlaps(features.shape[axis], size, window)
    if pool == "mean":
        mixed: Features = np.moveaxis(np.tensordot(weights, features, (1, axis)), 0, axis)
        return mixed
    parts = [features.take(np.flatnonzero(row), axis).max(axis) for row in weights]
    return np.stack(parts, axis)


PLUGIN = Cells
