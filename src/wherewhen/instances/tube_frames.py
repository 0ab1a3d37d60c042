"""Tubes with features of the whole pictures of their time in place of those of their boxes."""

from __future__ import annotations

from typing import ClassVar

from wherewhen.core.contracts import BuilderAbilities
from wherewhen.instances._movers import Windowed


class TubeFrames(Windowed):
    """The same rows as the instances ``tubes`` with the same settings, with mean features of whole pictures.

    Image-level tubes T^g of Wu et al., IJCAI 2021.
    """

    whole: ClassVar[bool] = True
    abilities: ClassVar[BuilderAbilities] = BuilderAbilities(shares_settings_with="tubes")


PLUGIN = TubeFrames
