"""Camera motion: an affine flow that most of the picture shares."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Doubles = NDArray[np.float64]
Whole = NDArray[np.intp]

STILL = 0.3  # px per frame: below this the flow of a resting background is noise
ROUNDS = 4
POINTS = 20  # places along the longer side


def places(height: int, width: int) -> tuple[Whole, Whole]:
    """Rows and columns of the grid of pixels from which camera motion is estimated, spread over the picture."""
    step = max(4, max(height, width) // POINTS)
    return np.arange(step // 2, height, step), np.arange(step // 2, width, step)


@lru_cache(maxsize=16)
def _equations(height: int, width: int) -> tuple[Doubles, Doubles, Doubles]:
    """The affine flow's terms at `places` ``(3, N)``, their products ``(N, 9)`` and the scale ``(3,)`` of its model."""
    ys, xs = (side.ravel() for side in np.meshgrid(*places(height, width), indexing="ij"))
    scale = np.array([1 / width, 1 / height, 1])  # keeps the equations well conditioned
    rows = np.stack([xs, ys, np.ones(len(xs))]) * scale[:, None]
    return rows, np.ascontiguousarray((rows[:, None] * rows).reshape(9, -1).T), scale


def camera_motions(flows: Array, height: int, width: int) -> list[Array | None]:
    """Camera motion of P flows ``(P, 2, rows, columns)`` at `places`: the affine flow that most of each follows.

    An affine flow ``(2, 3)``, whose row i gives component i at pixel (x, y): ``m[i] @ (x, y, 1)``; or None if the
    camera rests. Robust least squares with Tukey weights, started at the median, so that objects that move in less than
    half of the picture have no influence.

    >>> flow = np.full((1, 2, *map(len, places(64, 64))), 2, np.float32)
    >>> camera_motions(flow, 64, 64)[0].round(3)[:, 2].tolist()
    [2.0, 2.0]
    >>> camera_motions(0 * flow, 64, 64)
    [None]
    """
    motions: list[Array | None] = [None] * len(flows)
    parts = flows.reshape(len(flows), 2, -1).astype(np.float64)
    moved = np.flatnonzero((_squares(parts) < STILL * STILL).mean(1) < 0.5)
    if len(moved):
        models = _fitted(parts[moved], height, width)
        for number, model in zip(moved, models, strict=True):
            motions[number] = model
    return motions


def _fitted(parts: Doubles, height: int, width: int) -> list[Array | None]:
    """Models of flows with components ``(P, 2, N)``, none of which is at rest."""
    rows, products, scale = _equations(height, width)
    models = np.zeros((len(parts), 2, 3))
    models[:, :, 2] = _middles(parts)
    if rows.shape[1] < 6:
        return list(models.astype(np.float32))
    models /= scale
    for _ in range(ROUNDS):
        rest = _squares(parts - models @ rows)
        reach = np.maximum(4.685 * 1.4826 * np.sqrt(_middles(rest)), 4 * STILL)
        trust = np.maximum(1 - rest / (reach * reach)[:, None], 0)
        trust *= trust
        normal = (trust @ products).reshape(-1, 3, 3) + 1e-6 * np.eye(3)
        models = np.linalg.solve(normal, ((parts * trust[:, None]) @ rows.T).transpose(0, 2, 1)).transpose(0, 2, 1)
    still = np.all(_squares(models @ rows) < STILL * STILL, axis=1)
    return [
        None if rests else model
        for rests, model in zip(still.tolist(), (models * scale).astype(np.float32), strict=True)
    ]


def _squares(parts: Doubles) -> Doubles:
    """Squared lengths ``(P, N)`` of vectors ``(P, 2, N)``."""
    x, y = parts[:, 0], parts[:, 1]
    squares: Doubles = x * x + y * y
    return squares


def _middles(values: Doubles) -> Doubles:
    """The upper median along the last axis: ten times as fast as ``np.median`` on a few hundred numbers."""
    half = values.shape[-1] // 2
    middles: Doubles = np.partition(values, half)[..., half]
    return middles
