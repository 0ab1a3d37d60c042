"""Normalization of features: scaled and decorrelated by the statistics of normal training videos."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wherewhen.core.values import Features, Floats, Instances

RIDGE = 0.1  # added to the correlations, so that nearly collinear features are not amplified
SPREAD = 0.15  # of the picture: sigma of the smoothing over places
SHARED = 0.2  # weight of the whole picture at each place, as a share of the mean count of a place
FLOOR = 0.2  # the smallest deviation at a place, as a share of the whole picture's
LEAST = 1e-2  # the smallest deviation of a feature, as a share of the largest
COARSE = (12, 12)  # grid of places for instances without a grid


@dataclass(frozen=True, slots=True, eq=False)
class Normalizer:
    """Standardizes features, place by place where all grids have one size, and then decorrelates them.

    The norm of normalized features over the root of D is about 1 for normal instances (Mahalanobis distance).
    Instances of zeros alone are empty: they stay zeros and don't count.

    ``mean``, ``scale``: ``(D,)``. ``places``: means and scales ``(2, h, w, D)`` per cell of a grid, or empty; instances
    without a grid use the cell of their center.
    ``mix``: ``(D, K)``, the whitening matrix, or empty. ``limit``: values are clipped to this absolute value.

    >>> rows = Instances(np.array([[1.0], [3.0]], np.float32), np.array([[0, 1, 0, 0, 1, 1.0]] * 2))
    >>> Normalizer.fit([rows], decorrelate=False)(rows).features.tolist()
    [[-1.0], [1.0]]
    """

    mean: Floats
    scale: Floats
    places: Floats
    mix: Floats
    limit: float = 10.0

    @classmethod
    def fit(
        cls,
        videos: Iterable[Instances],
        *,
        by_place: bool = True,
        decorrelate: bool = True,
        limit: float = 10.0,
        groups: Sequence[int] = (),
        components: int = 0,
    ) -> Normalizer:
        """Fit to instances of normal training videos; ValueError without any.

        ``by_place``: statistics by place, smoothed over neighbors, where all grids have one size or none has a grid.
        ``groups``: numbers of consecutive features with one unit; each group has its own smallest deviation.
        ``decorrelate``: whiten by the inverse root of the correlations (ZCA). ``components``: whiten and keep only this
        many principal components (PCA); 0 or more than there are features: all of them, as ZCA.
        """
        instances = list(videos)
        rows = np.concatenate([_held(v) for v in instances]).astype(np.float64) if instances else np.empty((0, 0))
        if not len(rows):
            if not sum(len(v.features) for v in instances):
                raise ValueError("normalizer: no instances to learn from")
            rows = np.zeros((1, instances[0].features.shape[1]))
        mean, scale = rows.mean(0), rows.std(0)
        scale = np.concatenate([_floored(part) for part in np.split(scale, np.cumsum(groups)[:-1])])
        sizes = {v.shape[1:] if v.shape else None for v in instances}
        places = np.empty((0,))
        if by_place and len(sizes) == 1:
            places = _places(instances, mean, scale, sizes.pop() or COARSE)
        size = len(mean)
        plain = cls(mean, scale, places, np.eye(size), np.inf)
        if not decorrelate:
            return replace(plain, limit=limit)
        scaled = np.concatenate([_held(plain(v)) for v in instances]) if len(rows) > 1 else rows
        return replace(plain, mix=_whitening(scaled, components), limit=limit)

    @classmethod
    def none(cls) -> Normalizer:
        """The identity, for methods that process pixels.

        >>> row = Instances(np.array([[300.0, 2.0]], np.float32), np.array([[0, 1, 0, 0, 1, 1.0]]))
        >>> Normalizer.none()(row).features.tolist()
        [[300.0, 2.0]]
        """
        return cls(np.zeros(1), np.ones(1), np.empty((0,)), np.empty((0, 0)), np.inf)

    def width(self, length: int) -> int:
        """Length of normalized features, of features of this ``length``."""
        return self.mix.shape[1] if self.mix.size else length

    def at(self, camera: str | None) -> Normalizer:
        """The same for all cameras, see `CameraNormalizer`."""
        return self

    def stream(self) -> Normalizer:
        """What normalizes the instances of one video, a stretch of time at a time: the same for all."""
        return self

    def __call__(self, instances: Instances) -> Instances:
        """The same instances with normalized features."""
        mean, scale = self.mean, self.scale
        if instances.shape and self.places.size and instances.shape[1:] == self.places.shape[1:3]:
            flat = self.places.reshape(2, -1, len(self.mean))
            mean, scale = (np.tile(part, (instances.shape[0], 1)) for part in flat)
        elif not instances.shape and self.places.size:
            mean, scale = self.places[:, *_centers(instances, self.places.shape[1:3])]
        scaled = (instances.features - mean) / scale
        scaled = scaled @ self.mix if self.mix.size else scaled
        features: Features = scaled.clip(-self.limit, self.limit).astype(np.float32)
        features[~instances.features.any(1)] = 0
        return replace(instances, features=features)

    def toward(self, other: Normalizer, weight: float) -> Normalizer:
        """A mean of this normalizer and another one of the same features, which has this ``weight`` from 0 to 1.

        Means and correlations are averaged, scales geometrically. Statistics by place are kept where only this one has
        them, drawn toward the whole picture's of the other one where the grids differ. The limit is the other's, and so
        are principal components, which a method's weights depend on.

        >>> one, two = (Normalizer(np.full(1, m), np.ones(1), np.empty(0), np.eye(1), 10.0) for m in (0.0, 4.0))
        >>> one.toward(two, 0.25).mean.tolist()
        [1.0]
        """

        def mixed(mean: Floats, scale: Floats, mean2: Floats, scale2: Floats) -> tuple[Floats, Floats]:
            return mean + weight * (mean2 - mean), scale ** (1 - weight) * scale2**weight

        mean, scale = mixed(self.mean, self.scale, other.mean, other.scale)
        places = self.places
        if places.size:
            theirs = other.places if other.places.shape == places.shape else (other.mean, other.scale)
            places = np.stack(mixed(*places, *theirs))
        mix = other.mix
        if mix.size and mix.shape == (len(mean), len(mean)) == self.mix.shape:
            mix = _inverse_root((1 - weight) * _correlations(self.mix) + weight * _correlations(mix))
        return Normalizer(mean, scale, places, mix, other.limit)

    def to_arrays(self) -> dict[str, NDArray[np.float64]]:
        """The arrays to save."""
        limit = np.array([self.limit])
        return {"mean": self.mean, "scale": self.scale, "places": self.places, "mix": self.mix, "limit": limit}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], length: int | None = None) -> Normalizer:
        """The normalizer of saved arrays, see `to_arrays`; KeyError for a missing array, ValueError for a wrong one.

        ``length``: length of the normalized features; None = unknown.
        """
        normalizer = cls(arrays["mean"], arrays["scale"], arrays["places"], arrays["mix"], _limit(arrays["limit"]))
        _check(normalizer, length)
        return normalizer


def _limit(array: NDArray[Any]) -> float:
    if array.dtype.kind != "f" or array.shape != (1,) or not array[0] > 0:
        raise ValueError(f"limit: expected one number above 0, found {array.dtype} {array.tolist()!s:.40}")
    return float(array[0])


def _check(normalizer: Normalizer, length: int | None) -> None:
    """ValueError for arrays of wrong shapes, types or values."""
    size = len(normalizer.mean) if normalizer.mean.ndim == 1 else 0
    columns = normalizer.mix.shape[-1] if normalizer.mix.size and normalizer.mix.shape[-1] <= size else size
    expected = {"mean": ((size,),), "scale": ((size,),), "mix": ((size, columns), (0,), (0, 0))}
    for name, shapes in expected.items():
        array = getattr(normalizer, name)
        if not size or array.shape not in shapes or array.dtype.kind != "f":
            raise ValueError(
                f"{name}: expected numbers {' or '.join(map(str, shapes))}, found {array.dtype} {array.shape}"
            )
    if normalizer.places.size and (
        normalizer.places.ndim != 4 or normalizer.places.shape[::3] != (2, size) or normalizer.places.dtype.kind != "f"
    ):
        raise ValueError(
            f"places: expected numbers (2, h, w, {size}), found {normalizer.places.dtype} {normalizer.places.shape}"
        )
    width = normalizer.width(size)
    if length is not None and normalizer.mix.size and width != length:
        raise ValueError(f"mix: expected {length} columns, found {width}")
    if length is not None and width not in (1, length):
        raise ValueError(f"mean: expected {length} numbers, found {width}")
    for name, values in (
        ("scale", normalizer.scale),
        ("places", normalizer.places[1] if normalizer.places.size else normalizer.scale),
    ):
        if not (values > 0).all():
            raise ValueError(f"{name}: expected scales above 0, found {values.min():g}")


def _floored(scale: Floats) -> Floats:
    """Deviations of features of one unit, none far below the largest; ones where all are zero."""
    return np.maximum(scale, LEAST * scale.max()) if scale.max() > 1e-9 else np.ones_like(scale)


def _held(instances: Instances) -> Features:
    """The rows that are not all zeros."""
    return instances.features[instances.features.any(1)]


def _centers(instances: Instances, shape: tuple[int, ...]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row and column of the cell of each instance's center."""
    middle = (instances.extents[:, 2:4] + instances.extents[:, 4:]) / 2
    column, row = (np.clip(middle * shape[::-1], 0, np.array(shape[::-1]) - 1).astype(np.int64)).T
    return row, column


def _sums(instances: Instances, values: Floats, shape: tuple[int, ...]) -> Floats:
    """Values ``(N, D)`` added up at each place ``(h, w, D)``."""
    if instances.shape:
        sums: Floats = values.reshape(-1, *shape, values.shape[-1]).sum(0)
        return sums
    sums = np.zeros((*shape, values.shape[-1]))
    np.add.at(sums, _centers(instances, shape), values)
    return sums


def _places(videos: list[Instances], mean: Floats, scale: Floats, shape: tuple[int, ...]) -> Floats:
    """Mean and scale at every place ``(2, h, w, D)``: Gaussian smoothing, shrunk toward the whole picture's."""
    from scipy.ndimage import gaussian_filter

    sums = [np.zeros((*shape, size)) for size in (1, len(mean), len(mean))]  # counts, values, squares
    for video in videos:
        held: Floats = np.any(video.features, 1, keepdims=True).astype(np.float64)
        values: Floats = (video.features - mean) / scale * held
        for whole, part in zip(sums, (held, values, values**2), strict=True):
            whole += _sums(video, part, shape)
    h, w = shape
    total = float(sums[0].sum())
    count, first, second = (gaussian_filter(array, (SPREAD * h, SPREAD * w, 0), mode="nearest") for array in sums)
    shared = SHARED * total / (h * w) or 1.0
    shift = first / (count + shared)
    spread = np.sqrt(np.maximum((second + shared) / (count + shared) - shift**2, FLOOR**2))
    return np.stack([mean + scale * shift, scale * spread])


def _whitening(rows: NDArray[Any], components: int = 0) -> Floats:
    """The inverse square root ``(D, D)`` of the correlations (ZCA), or its first components ``(D, K)`` (PCA)."""
    if len(rows) < 2:
        return np.eye(rows.shape[1])[:, : components or None]
    covariance = np.atleast_2d(np.cov(rows.T.astype(np.float64)))
    deviations = np.sqrt(np.maximum(np.diag(covariance), 1e-12))
    steady = deviations < 1e-6
    correlations = covariance / np.outer(deviations, deviations)
    correlations[steady, :] = correlations[:, steady] = 0
    return _inverse_root(correlations + np.diag(np.where(steady, 1.0, RIDGE)), components)


def _inverse_root(matrix: Floats, components: int = 0) -> Floats:
    """The inverse square root of a symmetric positive matrix ``(D, D)``, or its first components ``(D, K)``."""
    values, vectors = np.linalg.eigh(matrix)
    scaled = vectors / np.sqrt(values)
    mix: Floats = scaled[:, ::-1][:, :components] if 0 < components < len(values) else scaled @ vectors.T
    return mix


def _correlations(mix: Floats) -> Floats:
    """The correlations, with their ridge, of a whitening matrix."""
    root: Floats = np.linalg.inv(mix).astype(np.float64)
    return root @ root.T
