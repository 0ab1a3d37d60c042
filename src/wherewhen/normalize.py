"""Features brought to one scale by the statistics of the training videos."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wherewhen.values import Features, Floats, Instances


@dataclass(frozen=True, slots=True, eq=False)
class Normalizer:
    """Subtracts a mean ``(D,)`` and divides by a scale ``(D,)``; bounded, so that one wild number can't take over.

    ``limit``: the largest absolute value that is let through.

    >>> rows = Instances(np.array([[1.0], [3.0]], np.float32), np.array([[0, 1, 0, 0, 1, 1.0]] * 2))
    >>> Normalizer.fit([rows])(rows).features.tolist()
    [[-1.0], [1.0]]
    """

    mean: Floats
    scale: Floats
    limit: float = 30.0

    @classmethod
    def fit(cls, videos: Iterable[Instances], limit: float = 30.0) -> Normalizer:
        """Mean and deviation over all instances of all videos; pass the normal training videos.

        ValueError without an instance. Features that never vary keep their unit.
        """
        count, total, square = 0, np.zeros(0), np.zeros(0)
        for video in videos:
            rows = video.features.astype(np.float64)
            count += len(rows)
            total = rows.sum(0) + (total if total.size else 0)
            square = (rows**2).sum(0) + (square if square.size else 0)
        if not count:
            raise ValueError("normalizer: no instances to learn from")
        mean = total / count
        scale = np.sqrt(np.maximum(square / count - mean**2, 0))
        return cls(mean, np.where(scale > 1e-6, scale, 1.0), limit)

    def __call__(self, instances: Instances) -> Instances:
        """The same instances with normalized features."""
        scaled = (instances.features - self.mean) / self.scale
        features: Features = scaled.clip(-self.limit, self.limit).astype(np.float32)
        return Instances(features, instances.extents, instances.track, instances.shape)

    def to_arrays(self) -> dict[str, NDArray[np.float64]]:
        """What to save."""
        return {"mean": self.mean, "scale": self.scale, "limit": np.array([self.limit])}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.float64]]) -> Normalizer:
        """What `to_arrays` saved, back; KeyError names what is missing."""
        return cls(arrays["mean"], arrays["scale"], float(arrays["limit"][0]))
