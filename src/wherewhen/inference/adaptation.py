"""Scores of a model on a camera that it was not trained on: how rare they are in normal footage of that camera."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wherewhen.core.nearest import distances
from wherewhen.core.values import Features, Floats, Instances

TAIL = 0.01  # share of the values above the highest stored quantile; their excess is exponential
LEVELS = 60  # stored quantiles
TENFOLD = 10.0  # the slope of the tail is that from ten times its share on
WEIGHT = 0.25  # of the method, against the distance to normal cells; docs/results_tables.md has others
HALF = 32.0  # surprise at which a raw score is 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Exceedance:
    """How rare values are: ``-ln`` of the share of normal values that are as high (surprise).

    ``values``, ``surprises`` ``(K,)``: rising quantiles of normal values and their surprise; linear in between. Above
    the last one the surprise rises by 1 per ``excess``, as for an exponential tail with the slope of the last tenth.

    >>> usual = Exceedance.of(np.linspace(0, 1, 1001))
    >>> usual(np.array([0.0, 0.5, 0.9])).round(1).tolist()
    [0.0, 0.7, 2.3]
    """

    values: Floats
    surprises: Floats
    excess: float

    @classmethod
    def of(cls, normal: ArrayLike, tail: float = TAIL) -> Exceedance:
        """Of normal values ``(N,)``, at least one; the highest ``tail`` of them has no influence."""
        values = np.asarray(normal, np.float64)
        shares = np.geomspace(1, max(tail, 1 / len(values)), LEVELS)
        quantiles = np.quantile(values, 1 - shares)
        last = np.append(np.diff(quantiles) > 0, True)  # of equal quantiles the rarest counts
        start = np.quantile(values, max(0.0, 1 - TENFOLD * shares[-1]))
        spread = float(quantiles[-1] - quantiles[0])
        excess = max(float(quantiles[-1] - start) / np.log(TENFOLD), 1e-3 * spread, 1e-9)
        return cls(quantiles[last], -np.log(shares[last]), excess)

    def __call__(self, values: ArrayLike) -> Floats:
        """The surprise of values ``(N,)``, 0 or more."""
        values = np.asarray(values, np.float64)
        over = np.maximum(values - self.values[-1], 0) / self.excess
        surprise: Floats = np.interp(values, self.values, self.surprises) + over
        return surprise

    def to_arrays(self) -> dict[str, NDArray[np.float64]]:
        """The arrays to save."""
        return {"values": self.values, "surprises": self.surprises, "excess": np.array([self.excess])}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Exceedance:
        """The one of saved arrays; KeyError for a missing array, ValueError for a wrong one."""
        values, surprises, excess = (arrays[name] for name in ("values", "surprises", "excess"))
        if any(array.dtype.kind != "f" or array.ndim != 1 or not len(array) for array in (values, surprises, excess)):
            raise ValueError("expected numbers (K,) as values, surprises and excess")
        if len(values) != len(surprises) or (np.diff(values) <= 0).any() or (np.diff(surprises) <= 0).any():
            raise ValueError("values and surprises: expected rising numbers, as many of both")
        if not excess[0] > 0 or surprises[0] < 0:
            raise ValueError("excess, surprises: expected numbers above 0")
        return cls(values, surprises, float(excess[0]))


@dataclass(frozen=True, slots=True, eq=False)
class Adaptation:
    """What a model knows of normal footage of a camera, beside its normalizers and its bank of normal cells.

    ``method``, ``distance``: how rare scores of the method, and distances to the bank, are in cells of the footage that
    were not in the bank. ``activity``: share of the time steps in which a place is not empty ``(h, w)``; empty without
    a grid.
    """

    method: Exceedance
    distance: Exceedance
    activity: Features = field(default_factory=lambda: np.empty((0, 0), np.float32))

    def scores(self, values: Features, instances: Instances, bank: Instances) -> Features:
        """Raw scores ``(N,)`` of (normalized) instances from the method's raw scores ``(N,)``; 0 where empty."""
        held = instances.features.any(1)
        scores = np.zeros(len(values), np.float32)
        if held.any():
            scores[held] = raw(self.surprise(values[held], far(instances, bank)[held]))
        return scores

    def surprise(self, values: Features, distance: Features) -> Floats:
        """The joint surprise ``(N,)`` of scores of the method and distances."""
        return WEIGHT * self.method(values) + (1 - WEIGHT) * self.distance(distance)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays to save."""
        parts = {"method": self.method, "distance": self.distance}
        arrays = {f"{name}.{key}": array for name, part in parts.items() for key, array in part.to_arrays().items()}
        return {**arrays, "activity": self.activity}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Adaptation:
        """The one of saved arrays; KeyError for a missing array, ValueError for a wrong one."""
        parts: list[Exceedance] = []
        for name in ("method", "distance"):
            try:
                parts.append(
                    Exceedance.from_arrays({key: arrays[f"{name}.{key}"] for key in ("values", "surprises", "excess")})
                )
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        activity = arrays["activity"]
        if activity.ndim != 2 or activity.dtype.kind != "f" or (activity < 0).any() or (activity > 1).any():
            raise ValueError("activity: expected shares (h, w)")
        return cls(parts[0], parts[1], activity)


def far(instances: Instances, bank: Instances) -> Features:
    """Distance ``(N,)`` of each instance to the nearest ones of the bank, about 1 for usual ones; 0 where empty."""
    held = np.asarray(instances.features.any(1))
    distance = np.zeros(len(held), np.float32)
    if held.any():
        distance[held] = distances(instances.features[held], bank.features) / np.sqrt(
            np.float32(bank.features.shape[1])
        )
    return distance


def raw(surprise: Floats) -> Floats:
    """A raw score in [0, 1) for a surprise; 0.5 at `HALF`."""
    return surprise / (HALF + surprise)


def surprise_of(scores: Floats) -> Floats:
    """The surprise of raw scores, see `raw`.

    >>> surprise_of(raw(np.array([0.0, 3.0]))).tolist()
    [0.0, 3.0]
    """
    surprise: Floats = HALF * scores / np.maximum(1 - scores, 1e-9)
    return surprise
