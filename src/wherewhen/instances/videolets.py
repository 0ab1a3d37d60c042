"""Videolets: a few clips of the whole picture are one instance, with a time but no place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from wherewhen.core import extents as ext
from wherewhen.core.contracts import BuilderAbilities, RoiSpec, TrackSource
from wherewhen.core.errors import ConfigError
from wherewhen.core.values import Grid, Instances, unit


@dataclass(frozen=True)
class VideoletsConfig:
    """Settings of `Videolets`.

    Args:
        clips: number of consecutive clips of a videolet; clips left over at the end make a shorter one. Sultani
            et al., CVPR 2018, cut every video into 32: that is ``segments`` of a method in training, and needs the end.
        l2: scale features to unit length, as Sultani et al.
    """

    clips: int = 1
    l2: bool = False

    def __post_init__(self) -> None:
        if self.clips < 1:
            raise ConfigError(f"videolets: clips must be at least 1, got {self.clips}")


class Videolets:
    """Grids ``(t, h, w, D)`` to instances of one cell ``(1, 1, 1)``: the mean of the cells of ``clips`` grids.

    Cells of zeros are empty and don't count; a videolet of them alone is zeros. (Wu et al., IJCAI 2021.)

    >>> grids = [Grid(np.full((2, 3, 4, 1), k, np.float32), np.array([k, k + 1.0, 0, 0, 1, 1])) for k in (1, 2, 3)]
    >>> [(part.features.item(), part.extents[0, :2].tolist()) for part in Videolets(VideoletsConfig(clips=2))(grids)]
    [(1.5, [1.0, 3.0]), (3.0, [3.0, 4.0])]
    """

    Config: ClassVar[type] = VideoletsConfig
    abilities: ClassVar[BuilderAbilities] = BuilderAbilities()
    track_source: TrackSource | None = None
    roi: RoiSpec | None = None
    wait: float = 0.0

    def __init__(self, config: VideoletsConfig) -> None:
        self.config = config

    def __call__(self, grids: Iterable[Grid]) -> Iterator[Instances]:
        """A videolet at a time, as soon as its last clip is read."""
        waiting: list[Grid] = []
        for grid in grids:
            waiting.append(grid)
            if len(waiting) == self.config.clips:
                yield self._videolet(waiting)
                waiting = []
        if waiting:
            yield self._videolet(waiting)

    def _videolet(self, grids: Sequence[Grid]) -> Instances:
        rows = np.concatenate([grid.features.reshape(-1, grid.features.shape[-1]) for grid in grids])
        mean = rows.sum(0, keepdims=True) / max(1, int(rows.any(1).sum()))
        if self.config.l2:
            mean = unit(mean)
        place = ext.hull(np.stack([grid.extent for grid in grids]))[2:]
        extent = np.array([[grids[0].span[0], grids[-1].span[1], *place]])
        return Instances(mean.astype(np.float32), extent, shape=(1, 1, 1))


PLUGIN = Videolets
