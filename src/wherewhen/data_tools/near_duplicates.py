"""Detection of near-duplicate videos by their motion, robust to coding, scaling and cutting."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from wherewhen.core.values import Floats, Pixels

GRID, ALIKE = 16, 0.95


def fingerprint(pictures: Iterable[Pixels]) -> Floats:
    """What moves in sampled pictures ``(H, W, 3)``: unit rows ``(K, 256)`` of coarse differences from their mean.

    One camera sees one background in all its videos; only moving parts distinguish them. Pictures that hardly differ
    from the mean are left out.

    >>> rng = np.random.default_rng(0)
    >>> fingerprint(rng.integers(0, 255, (5, 48, 64, 3), np.uint8)).shape
    (5, 256)
    """
    coarse = np.array([_coarse(picture) for picture in pictures]).reshape(-1, GRID * GRID)
    if not len(coarse):
        return coarse
    moved = coarse - coarse.mean(0)
    moved -= moved.mean(1, keepdims=True)
    norms = np.linalg.norm(moved, axis=1)
    is_moving = norms > 1.0 * GRID
    rows: Floats = moved[is_moving] / norms[is_moving, None]
    return rows


def _coarse(picture: Pixels) -> Floats:
    gray = picture.mean(2)
    for axis in (0, 1):
        edges = np.linspace(0, gray.shape[axis], GRID + 1).astype(int)
        sums = np.add.reduceat(gray, edges[:-1], axis)
        gray = sums / np.expand_dims(np.diff(edges), 1 - axis)
    return np.asarray(gray, np.float64).ravel()


def alike(a: Floats, b: Floats) -> float:
    """Share of a's sampled pictures that look like one of b's: 1 = the same video, 0 = nothing in common."""
    if not len(a) or not len(b):
        return 0.0
    return float(((a @ b.T).max(1) > ALIKE).mean())
