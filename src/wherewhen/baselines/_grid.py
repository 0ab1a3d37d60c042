"""Shared parts of trivial baselines: the time steps of a bag and constant maps over them."""

from __future__ import annotations

import numpy as np

from wherewhen.core.values import Features, Floats, HeatMap, Instances

EXACT = {"smooth_seconds": 0.0, "smooth_cells": 0.0}  # no smoothing of the map


def steps(cells: Instances) -> Floats:
    """Time ``(T, 2)`` of each step of a grid in seconds."""
    t, h, w = shape(cells)
    return cells.extents.reshape(t, h * w, 6)[:, 0, :2]


def shape(cells: Instances) -> tuple[int, int, int]:
    """The grid ``(t, h, w)``; ValueError where the instances have none."""
    if cells.shape is None:
        raise ValueError("a trivial row needs instances on a grid")
    return cells.shape


def maps(cells: Instances, values: Features) -> HeatMap:
    """Values ``(T, h, w)`` at the steps of a grid; a step lasts until the next one starts."""
    spans = steps(cells)
    return HeatMap(values, np.append(spans[:, 0], spans[-1, 1]))


def box(height: int, width: int, share: float) -> Features:
    """A central rectangle with sides of ``share`` of the picture: 1 for cells with their middle inside, else 0."""
    y, x = ((np.arange(n) + 0.5) / n for n in (height, width))
    inside = (np.abs(y - 0.5)[:, None] <= share / 2) & (np.abs(x - 0.5)[None] <= share / 2)
    return inside.astype(np.float32)
