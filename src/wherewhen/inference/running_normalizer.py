"""Normalization by the past of the same video: how unusual features are at this camera."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wherewhen.core.errors import ConfigError
from wherewhen.core.values import Features, Instances
from wherewhen.inference.normalizer import FLOOR, Normalizer

PAST, BOTH = "past", "both"
"""Kinds of normalizers that need the past: alone, and beside the statistics of training."""

PRIOR = 10.0  # seconds of past that the statistics of training count as
LONGEST = 600.0  # seconds of past that count; earlier ones are forgotten exponentially
OUTLIER = 3.0  # deviations from the mean at which values are clipped before they count


@dataclass(frozen=True, slots=True, eq=False)
class RunningNormalizer:
    """Standardizes cells by mean and deviation of the earlier time steps of their video, over all cells.

    The statistics begin with those of ``trained``, which count as 10 seconds; outliers are clipped before they count,
    and the last 10 minutes count most. A stream and a whole video give the same values.

    ``beside``: the features are those of ``trained``, followed by those by the past; False: only those by the past,
    decorrelated as ``trained`` does it.

    >>> extents = np.array([[0, 1, 0, 0, 1, 1.0], [1, 2, 0, 0, 1, 1]])
    >>> rows = Instances(np.ones((2, 1), np.float32), extents, shape=(2, 1, 1))
    >>> trained = Normalizer(np.zeros(1), np.ones(1), np.empty(0), np.empty(0), 10.0)
    >>> RunningNormalizer(trained, beside=False)(rows).features.ravel().round(2).astype(str).tolist()
    ['1.0', '0.91']
    """

    trained: Normalizer
    beside: bool

    def width(self, length: int) -> int:
        """Length of normalized features, of features of this ``length``."""
        return length + self.trained.width(length) if self.beside else self.trained.width(length)

    def at(self, camera: str | None) -> RunningNormalizer:
        """The same for all cameras, see `CameraNormalizer`."""
        return self

    def __call__(self, instances: Instances) -> Instances:
        """All instances of one video with normalized features; ConfigError for instances without a grid."""
        return self.stream()(instances)

    def stream(self) -> Callable[[Instances], Instances]:
        """A function that normalizes the instances of one video, a stretch of time at a time in their order."""
        past = _Past(self.trained)

        def normalized(instances: Instances) -> Instances:
            features = past.normalized(instances)
            if self.beside:
                features = np.concatenate([self.trained(instances).features, features], 1)
            elif self.trained.mix.size:
                features = (features @ self.trained.mix).clip(-self.trained.limit, self.trained.limit)
                features = features.astype(np.float32)
            return replace(instances, features=features)

        return normalized

    def to_arrays(self) -> Mapping[str, NDArray[Any]]:
        """The arrays to save: those of ``trained``."""
        return self.trained.to_arrays()


def with_past(trained: Normalizer, kind: str) -> Normalizer | RunningNormalizer:
    """The normalizer of a kind that begins with these statistics; the same one for kinds without a past."""
    return RunningNormalizer(trained, kind == BOTH) if kind in (PAST, BOTH) else trained


class _Past:
    """Mean and variance ``(D,)`` of the cells of a video so far."""

    def __init__(self, trained: Normalizer) -> None:
        self.mean = trained.mean.astype(np.float64)
        self.variance = np.square(trained.scale.astype(np.float64))
        self.least = self.variance * FLOOR**2
        self.seconds = PRIOR
        self.limit = trained.limit

    def normalized(self, instances: Instances) -> Features:
        """Features ``(N, D)`` of the next time steps; each step counts after it is normalized."""
        if instances.shape is None:
            raise ConfigError("normalizer: past, both and camera need cells on a grid; these instances have none")
        cells = instances.features.reshape(instances.shape[0], -1, instances.features.shape[1])
        times = instances.extents.reshape(instances.shape[0], -1, 6)[:, 0, :2]
        rows = np.zeros_like(cells)
        for row, step, (start, end) in zip(rows, cells, times, strict=True):
            is_held = step.any(1)
            if not is_held.any():
                continue
            held = step[is_held].astype(np.float64)
            deviation = np.sqrt(np.maximum(self.variance, self.least))
            scaled = (held - self.mean) / deviation
            row[is_held] = scaled.clip(-self.limit, self.limit)
            self._count(self.mean + deviation * scaled.clip(-OUTLIER, OUTLIER), float(end - start))
        return rows.reshape(instances.features.shape)

    def _count(self, held: NDArray[np.float64], seconds: float) -> None:
        """Let the cells ``(N, D)`` of a time step count."""
        share = seconds / (self.seconds + seconds)
        self.variance += share * (np.square(held - self.mean).mean(0) - self.variance)
        self.mean += share * (held.mean(0) - self.mean)
        self.seconds = min(self.seconds + seconds, LONGEST)
