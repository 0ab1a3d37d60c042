"""Further measures of motion, on every fourth row and column: how flow turns, bends and changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Group = Literal["directions", "boundaries", "acceleration", "deformation", "change"]

GROUPS: dict[Group, tuple[str, ...]] = {
    "directions": tuple(f"flow_{angle}" for angle in range(45, 360, 90)),
    "boundaries": tuple(f"boundary_{side}_{angle}" for side in ("right", "down") for angle in range(0, 360, 45)),
    "acceleration": (*(f"acceleration_{side}" for side in ("right", "down", "left", "up")), "acceleration"),
    "deformation": ("divergence", "curl", "stretch"),
    "change": ("change_rms", "change_10", "change_30"),
}
"""What each number of a group is."""


def _compass(count: int, first: float = 0.0) -> Array:
    """Unit vectors ``(count, 2)`` in equal steps from an angle in degrees."""
    angles = np.radians(first + 360 / count * np.arange(count))
    return np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)


_EIGHT, _FOUR, _DIAGONAL = _compass(8), _compass(4), _compass(4, 45)


def quartered(fields: Array) -> Array:
    """Means of 2 x 2 samples of maps ``(P, C, h, w)``; the last row or column repeats where one is missing."""
    down, across = (size % 2 for size in fields.shape[2:])
    if down or across:
        fields = np.pad(fields, ((0, 0), (0, 0), (0, down), (0, across)), mode="edge")
    rows = fields[:, :, ::2] + fields[:, :, 1::2]
    sums = rows[..., ::2] + rows[..., 1::2]
    sums *= np.float32(0.25)
    return sums


def group_maps(fields: Array, adjacent: Sequence[bool], groups: Sequence[Group]) -> Array:
    """Maps ``(P, C, h, w)`` of the numbers of ``groups``, in this order, to average over windows.

    ``fields`` ``(P, 4, h, w)``: flow right and down, change of gray, share of motion, of each pair that moves.
    ``adjacent``: whether a pair begins where the one before it ends; the first has no meaning.

    Motion boundaries: Dalal, Triggs and Schmid, ECCV 2006.
    """
    flow = fields[:, :2] * fields[:, 3:]
    change, share = fields[:, 2], fields[:, 3]
    across, down = _slope(flow, 3), _slope(flow, 2)
    maps: list[Array] = []
    for group in groups:
        if group == "directions":
            maps.append(_rectified(flow, _DIAGONAL))
        elif group == "boundaries":
            maps += [_rectified(np.stack([across[:, k], down[:, k]], 1), _EIGHT) for k in (0, 1)]
        elif group == "acceleration":
            changes = _changes(flow, adjacent)
            maps += [_rectified(changes, _FOUR), np.sqrt(np.square(changes).sum(1, keepdims=True))]
        elif group == "deformation":
            (ux, vx), (uy, vy) = across.swapaxes(0, 1), down.swapaxes(0, 1)
            parts = np.stack([np.abs(ux + vy), np.abs(vx - uy), np.hypot(ux - vy, uy + vx)], 1)
            maps.append(parts)
        else:
            amount = change / np.float32(255)
            maps.append(np.stack([amount * amount, (change > 10) * share, (change > 30) * share], 1))
    return np.concatenate(maps, 1)


def _rectified(vectors: Array, compass: Array) -> Array:
    """Lengths ``(P, K, h, w)`` of vectors ``(P, 2, h, w)`` along K directions, 0 where they point away."""
    count, _, height, width = vectors.shape
    lengths = compass @ vectors.reshape(count, 2, -1)
    np.maximum(lengths, 0, out=lengths)
    return lengths.reshape(count, len(compass), height, width)


def _slope(maps: Array, axis: int) -> Array:
    """Central differences per sample along an axis; zeros where it has a single sample."""
    if maps.shape[axis] < 2:
        return np.zeros_like(maps)
    slopes: Array = np.gradient(maps, axis=axis)
    return slopes


def _changes(flow: Array, adjacent: Sequence[bool]) -> Array:
    """Change of the flow from the pair before; of a pair without one, to the pair after; else zeros."""
    changes = np.zeros_like(flow)
    for number in range(len(flow)):
        if number and adjacent[number]:
            np.subtract(flow[number], flow[number - 1], out=changes[number])
        elif number + 1 < len(flow) and adjacent[number + 1]:
            np.subtract(flow[number + 1], flow[number], out=changes[number])
    return changes
