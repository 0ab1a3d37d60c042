"""Tubes with features of the whole pictures of their time in place of those of their boxes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from wherewhen.core.contracts import BuilderAbilities
from wherewhen.instances._movers import Windowed
from wherewhen.instances._tubes_config import effective, in_training


def _without_crops(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that features of whole pictures depend on: poses have no effect."""
    return effective({**settings, "features": "pool" if settings["features"] == "pose" else settings["features"]})


class TubeFrames(Windowed):
    """The same rows as the instances ``tubes`` with the same settings, with mean features of whole pictures.

    Image-level tubes T^g of Wu et al., IJCAI 2021.
    """

    whole: ClassVar[bool] = True
    abilities: ClassVar[BuilderAbilities] = BuilderAbilities(
        shares_settings_with="tubes", effective_settings=_without_crops, training_settings=in_training
    )


PLUGIN = TubeFrames
