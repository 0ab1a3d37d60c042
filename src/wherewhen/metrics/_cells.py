"""Cells as samples: the score and the label of each cell of a fixed grid, in every frame of a video."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wherewhen.core.values import HeatMap
from wherewhen.metrics._regions import Places, runs, steps


def resampled(heat: HeatMap, grid: int) -> NDArray[np.float32]:
    """Scores ``(T, grid, grid)``: each cell takes that of the map's cell that contains its center.

    >>> resampled(HeatMap([[[1, 2, 3]]], [0, 1]), 2)[0].tolist()
    [[1.0, 3.0], [1.0, 3.0]]
    """
    rows, columns = ((np.arange(grid) + 0.5) / grid * n for n in heat.values.shape[1:])
    values: NDArray[np.float32] = heat.values[:, rows.astype(int)][:, :, columns.astype(int)]
    return values


def cell_samples(
    heat: HeatMap,
    place: Places,
    edges: NDArray[np.float64],
    use: NDArray[np.bool_],
    marked: NDArray[np.bool_],
    gate: HeatMap | None = None,
) -> NDArray[np.float64]:
    """Scores, labels and numbers of frames ``(3, K)`` of all cells in the frames ``use`` ``(F,)``.

    ``marked`` ``(R, grid, grid)``: the cells of each region, those that count as truth. With ``gate`` each score is
    multiplied by that of the frame. Runs of frames without changes give one sample per cell.
    """
    grid = marked.shape[1]
    step, gates = steps(heat, edges), steps(gate, edges) if gate is not None else np.zeros(len(use), np.int64)
    first, length = runs(step, gates, place.region_of, use)
    used = use[first]
    first, length = first[used], length[used]
    values = resampled(heat, grid)[step[first]].reshape(len(first), grid**2).astype(np.float64)
    if gate is not None:
        values *= gate.values.max((1, 2))[gates[first], None]
    # Region -1, none, is the row of zeros at the end.
    labels = np.concatenate([marked, np.zeros((1, grid, grid), bool)]).reshape(-1, grid**2)[place.region_of[first]]
    return np.stack([values.ravel(), labels.ravel(), length.repeat(grid**2)])


def pooled(samples: list[NDArray[np.float64]]) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64]]:
    """Scores, labels and whole weights of many videos, as the ranking functions take them."""
    scores, labels, frames = np.concatenate(samples, 1)
    return scores, labels > 0, frames.astype(np.int64)
