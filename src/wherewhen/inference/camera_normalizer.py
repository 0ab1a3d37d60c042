"""Normalization by camera: how unusual features are at the camera that recorded a video, where it is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from wherewhen.core.values import Instances
from wherewhen.inference.normalizer import Normalizer
from wherewhen.inference.running_normalizer import RunningNormalizer

CAMERA = "camera"
"""Kind of normalizer that has statistics of each camera."""


@dataclass(frozen=True, slots=True, eq=False)
class CameraNormalizer:
    """Normalizes a video by the statistics of its camera; one of an unknown camera by its own past.

    ``trained``: statistics of normal training videos of all cameras, with which the past of an unknown camera begins.
    ``cameras``: those of each camera with enough normal training videos.

    >>> import numpy as np
    >>> world, gate = (Normalizer(np.full(1, m), np.ones(1), np.empty(0), np.eye(1), 10.0) for m in (0.0, 4.0))
    >>> row = Instances(np.full((1, 1), 4, np.float32), np.array([[0, 1, 0, 0, 1, 1.0]]), shape=(1, 1, 1))
    >>> normalizer = CameraNormalizer(world, {"gate": gate})
    >>> [normalizer.at(name)(row).features.item() for name in ("gate", "yard", None)]
    [0.0, 4.0, 4.0]
    """

    trained: Normalizer
    cameras: Mapping[str, Normalizer]

    def at(self, camera: str | None) -> Normalizer | RunningNormalizer:
        """What normalizes videos of a camera; None and names without statistics: of an unknown camera."""
        statistics = None if camera is None else self.cameras.get(camera)
        return statistics or RunningNormalizer(self.trained, beside=False)

    def width(self, length: int) -> int:
        """Length of normalized features, of features of this ``length``."""
        return self.trained.width(length)

    def __call__(self, instances: Instances) -> Instances:
        """All instances of one video of an unknown camera with normalized features."""
        return self.at(None)(instances)

    def stream(self) -> Callable[[Instances], Instances]:
        """A function that normalizes a video of an unknown camera, a stretch of time at a time in their order."""
        return self.at(None).stream()

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays to save: those of ``trained``, and those of each camera after its number."""
        arrays = self.trained.to_arrays()
        for number, camera in enumerate(self.cameras.values()):
            arrays |= {f"{CAMERA}{number}.{name}": array for name, array in camera.to_arrays().items()}
        return arrays


AnyNormalizer = Normalizer | RunningNormalizer | CameraNormalizer
"""A normalizer of any kind."""
