"""One instance per clip: the backbone's own vector of the whole picture, such as CLIP's embedding of a frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from wherewhen.core.contracts import BuilderAbilities, RoiSpec, TrackSource
from wherewhen.core.values import Grid, Instances
from wherewhen.instances._shares import placed


@dataclass(frozen=True)
class WholeConfig:
    """Settings of `Whole`: none."""


class Whole:
    """Grids to instances of one cell ``(1, 1, 1)``, the mean over the clip of ``Grid.whole``; zeros where it is None.

    >>> vector = np.ones((1, 3), np.float32)
    >>> grid = Grid(np.zeros((1, 2, 2, 3), np.float32), np.array([0, 1, 0, 0, 1, 1.0]), whole=vector)
    >>> next(Whole(WholeConfig())([grid])).features.tolist()
    [[1.0, 1.0, 1.0]]
    """

    Config: ClassVar[type] = WholeConfig
    abilities: ClassVar[BuilderAbilities] = BuilderAbilities()
    track_source: TrackSource | None = None
    roi: RoiSpec | None = None
    wait: float = 0.0

    def __init__(self, config: WholeConfig) -> None:
        self.config = config

    def __call__(self, grids: Iterable[Grid]) -> Iterator[Instances]:
        """Instances of each grid, in order."""
        for grid in grids:
            vectors = np.zeros((1, grid.features.shape[-1]), np.float32) if grid.whole is None else grid.whole
            yield placed(grid, vectors.mean(0, dtype=np.float32).reshape(1, 1, 1, -1))


PLUGIN = Whole
