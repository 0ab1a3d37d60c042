"""The tubes once more, seen from afar: whole pictures of a tube's time in place of what its boxes show."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

from wherewhen.contracts import Sight
from wherewhen.instances._movers import Movers, TubesConfig, windows
from wherewhen.values import Grid, Instances


class TubeFrames:
    """The same rows as the instances ``tubes`` with the same settings, with mean features of whole pictures.

    Image-level tubes T^g of Wu et al., IJCAI 2021.
    """

    Config: ClassVar[type] = TubesConfig
    follows: ClassVar[str] = "tubes"

    def __init__(self, config: TubesConfig) -> None:
        self.config, self.wait = config, config.wait

    @property
    def sight(self) -> Sight:
        """The boxes that it wants to see."""
        return self.config.sight

    def __call__(self, grids: Iterable[Grid]) -> Iterator[Instances]:
        """The tubes of each window."""
        movers = Movers(self.config, whole=True)
        for own, frames in windows(grids, self.config.shape.window):
            yield movers(own, frames)


PLUGIN = TubeFrames
