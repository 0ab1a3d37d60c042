"""Overlapping windows of the middle picture of every clip, each processed by the backbone as a picture of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from wherewhen.core import extents as ext
from wherewhen.core.contracts import BuilderAbilities, RoiSpec, TrackSource
from wherewhen.core.errors import ConfigError
from wherewhen.core.values import Grid, Instances, Paths, Scores

MOST = 2000  # windows of one picture
JUST = 1e-6  # seconds: of an even number of pictures, the one before the middle is cut, which image backbones use


@dataclass(frozen=True)
class WindowsConfig:
    """Settings of `Windows`; what STPrompt (Wu et al., ACM MM 2024) uses is not known.

    Args:
        shares: sides of windows, as shares of the picture's sides.
        stride: from window to window, as a share of the window.
        width: windows are cut out of pictures no wider than this, in px.
    """

    shares: tuple[float, ...] = (1 / 4, 1 / 3, 1 / 2)
    stride: float = 0.5
    width: int = 896

    def __post_init__(self) -> None:
        object.__setattr__(self, "shares", tuple(self.shares))
        if not self.shares or not all(0 < share <= 1 for share in self.shares) or not 0 < self.stride <= 1:
            raise ConfigError(
                f"windows: expected shares and stride above 0 and up to 1; got {self.shares}, {self.stride}"
            )
        if self.width < 16:
            raise ConfigError(f"windows: expected a width of 16 px at least; got {self.width}")
        if (count := len(ext.windows(self.shares, self.stride))) > MOST:
            raise ConfigError(f"windows: {count} windows a picture; {MOST} are the most: larger shares or stride")


class Windows:
    """Grids to instances ``(1, 1, N)`` of N windows, 83 at the defaults, whose features are those of their crops.

    >>> grid = Grid(np.ones((1, 2, 2, 3), np.float32), np.array([0, 2, 0, 0, 1, 1.0]))
    >>> part = next(Windows(WindowsConfig(shares=(0.5,)))([grid]))
    >>> part.shape, part.extents[0].tolist()
    ((1, 1, 9), [0.0, 2.0, 0.0, 0.0, 0.5, 0.5])
    """

    Config: ClassVar[type] = WindowsConfig
    abilities: ClassVar[BuilderAbilities] = BuilderAbilities()
    track_source: TrackSource | None = None
    wait: float = 0.0

    def __init__(self, config: WindowsConfig) -> None:
        self.config = config
        self.places = ext.windows(config.shares, config.stride)

    @property
    def roi(self) -> RoiSpec:
        """How the windows are cut out of the pictures."""
        return RoiSpec(width=self.config.width, fixed=True)

    def __call__(self, grids: Iterable[Grid]) -> Iterator[Instances]:
        """The windows of each grid, in order; their features are added when they are cut out."""
        for grid in grids:
            count, middle = len(self.places), float(grid.extent[:2].mean()) - JUST
            paths = np.concatenate([np.full((count, 2), middle), self.places], 1)
            rows = np.concatenate([np.tile(np.array(grid.span), (count, 1)), self.places], 1)
            yield Instances(
                np.empty((count, 0), np.float32),
                rows,
                shape=(1, 1, count),
                paths=Paths(Scores(paths, np.ones(count), np.arange(count)), np.array(grid.span)),
            )


PLUGIN = Windows
