"""Unit vectors with a byte per number, and lists of those that lie together: what the parts of an index are made of."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wherewhen.values import Features

Codes = NDArray[np.int8]
Numbers = NDArray[np.int64]

MOST_LISTS = 2048  # more would take longer to fill than they save
SAMPLE = 40  # vectors per list that its center is learnt from
ROUNDS = 10  # of learning
BLOCK = 2048  # vectors that are compared at once: they stay in the processor's cache


def packed(vectors: NDArray[Any]) -> tuple[Codes, Features]:
    """Vectors ``(N, D)`` as whole numbers up to 127 and what one of them is worth ``(N,)``.

    >>> codes, worth = packed(np.array([[1.0, -0.5]]))
    >>> codes.tolist(), float((codes[0, 0] * worth[0]).round(3))
    ([[127, -64]], 1.0)
    """
    rows = np.asarray(vectors, np.float32)
    most = np.abs(rows).max(1, initial=0)
    worth = np.where(most > 0, most / 127, 1).astype(np.float32)
    return np.rint(rows / worth[:, None]).astype(np.int8), worth


def cosines(codes: Codes, worth: Features, query: Features, room: Features | None = None) -> Features:
    """Products ``(N,)`` of packed vectors and a query ``(D,)``; ``room`` ``(M, D)``, where given, is written to."""
    found = np.empty(len(codes), np.float32)
    wide = space(codes, len(codes)) if room is None else room
    for start in range(0, len(codes), max(1, len(wide))):
        part = codes[start : start + len(wide)]
        np.copyto(wide[: len(part)], part)
        found[start : start + len(part)] = wide[: len(part)] @ query
    found *= worth
    return found


def space(codes: Codes, most: int) -> Features:
    """Room for `cosines` of up to so many at a time; new memory for each of many short stretches would cost more."""
    return np.empty((min(BLOCK, most), codes.shape[1]), np.float32)


def number_of_lists(count: int) -> int:
    """Lists for so many vectors: a power of two near the root of their number.

    >>> [number_of_lists(n) for n in (200_000, 1_000_000, 20_000_000)]
    [512, 1024, 2048]
    """
    return min(MOST_LISTS, 1 << max(0, round(math.log2(count) / 2)))


def list_of(codes: Codes, centers: Features) -> NDArray[np.int32]:
    """The list ``(N,)`` whose center ``(L, D)`` each packed vector is nearest to."""
    found = np.empty(len(codes), np.int32)
    for start in range(0, len(codes), BLOCK):
        part = codes[start : start + BLOCK].astype(np.float32)
        found[start : start + BLOCK] = (part @ centers.T).argmax(1)  # what a vector is worth changes no order
    return found


def learnt(sample: Codes, number: int) -> Features:
    """Centers ``(number, D)``, unit vectors, by spherical k-means (Dhillon & Modha 2001); empty lists start anew.

    ``sample``: packed unit vectors ``(N, D)``, N >= number.
    """
    rng = np.random.default_rng(0)
    centers = _unit(sample[rng.choice(len(sample), number, replace=False)].astype(np.float32))
    for _ in range(ROUNDS):
        owner = list_of(sample, centers)
        order = np.argsort(owner, kind="stable")
        filled, first = np.unique(owner[order], return_index=True)
        sums = np.add.reduceat(_unit(sample[order].astype(np.float32)), first, 0)
        centers = _unit(sample[rng.choice(len(sample), number, replace=False)].astype(np.float32))
        centers[filled] = _unit(sums)
    return centers


def _unit(rows: Features) -> Features:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: Features = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
    return unit
