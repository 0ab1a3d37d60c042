"""Types of arrays, and the checks that records share."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from wherewhen.core import extents as ext

Floats = NDArray[np.float64]
Features = NDArray[np.float32]
Pixels = NDArray[np.uint8]
Masks = NDArray[np.bool_]

Real = TypeVar("Real", bound=np.floating)

ALWAYS = (-float("inf"), float("inf"))


def unit(vectors: NDArray[Real]) -> NDArray[Real]:
    """Vectors ``(..., D)`` scaled to length 1; zeros stay.

    >>> unit(np.float32([[0, 2], [0, 0]])).tolist()
    [[0.0, 1.0], [0.0, 0.0]]
    """
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: NDArray[Real] = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    return scaled


def seconds(start: float, end: float) -> str:
    """A span of seconds for a repr."""
    return f"{start:.2f}-{end:.2f} s"


def by(sizes: tuple[int, ...]) -> str:
    """Sizes for a repr: ``(4, 7, 7)`` as 4x7x7."""
    return "x".join(map(str, sizes))


def freeze(record: object, **arrays: NDArray[np.generic]) -> None:
    """Set fields of a frozen record to arrays that can't be written to."""
    for name, array in arrays.items():
        array.flags.writeable = False
        object.__setattr__(record, name, array)


def check_detail(detail: Features | None, steps: int, name: str) -> None:
    """ValueError unless ``detail`` is None or ``(steps, H, W)``."""
    if detail is not None and (detail.ndim != 3 or len(detail) != steps):
        raise ValueError(f"{name}: expected detail ({steps}, H, W), got {detail.shape}")


def edges_of(values: object, steps: int, name: str) -> Floats:
    """The edges of time steps as float64 ``(steps + 1,)``; ValueError unless they are finite and rise."""
    edges = np.array(values, np.float64)
    if edges.shape != (steps + 1,):
        raise ValueError(f"{name}: {steps} steps have {steps + 1} edges, got shape {edges.shape}")
    if not np.isfinite(edges).all() or (np.diff(edges) <= 0).any():
        raise ValueError(f"{name}: times must be finite and rise")
    return edges


def answered(span: tuple[float, float], start: float, end: float, name: str) -> tuple[float, float]:
    """The seconds that a record of ``[start, end)`` covers: all of it, or a span that ends within it."""
    if span == ALWAYS:
        return start, end
    if not span[0] < span[1] or not start < span[1] <= end + ext.TICK:
        raise ValueError(f"{name}: shows [{start}, {end}) s and can't answer for [{span[0]}, {span[1]})")
    return span


def track_numbers(track: object, rows: int) -> NDArray[np.int64]:
    """Track numbers as int64 ``(N,)``; -1, which stands for none, for each of ``rows`` where none are given."""
    numbers = np.array(track, np.int64).reshape(-1)
    return numbers if len(numbers) else np.full(rows, -1, np.int64)
