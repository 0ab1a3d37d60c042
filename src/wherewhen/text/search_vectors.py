"""Unit vectors with a byte per number: all compared where they are few, in faiss's inverted lists where not."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wherewhen.core.errors import ConfigError, StoreError
from wherewhen.core.store import atomic
from wherewhen.core.values import Features, Masks

Codes = NDArray[np.int8]
Numbers = NDArray[np.int64]

PROBED = 1 / 32  # share of the lists that a query reads
LEAST_PROBED = 8
MOST_LISTS = 2048  # more would take longer to fill than they save
SAMPLE = 40  # vectors per list that its center is learned from
ROUNDS = 10  # of learning
BEYOND = 0.25  # share of the range of the sample that is added on each side, for later vectors
BLOCK = 2048  # vectors that are compared at once: they stay in the processor's cache


def packed(vectors: NDArray[Any]) -> tuple[Codes, Features]:
    """Vectors ``(N, D)`` as integers up to 127, and their scales ``(N,)``.

    >>> codes, worth = packed(np.array([[1.0, -0.5]]))
    >>> codes.tolist(), float((codes[0, 0] * worth[0]).round(3))
    ([[127, -64]], 1.0)
    """
    rows = np.asarray(vectors, np.float32)
    most = np.abs(rows).max(1, initial=0)
    worth = np.where(most > 0, most / 127, 1).astype(np.float32)
    return np.rint(rows / worth[:, None]).astype(np.int8), worth


def unpacked(codes: Codes, worth: Features) -> Iterator[tuple[Features, Numbers]]:
    """The vectors ``(n, D)`` again, a block at a time, with their numbers."""
    for start in range(0, len(codes), BLOCK):
        part = slice(start, start + BLOCK)
        yield codes[part] * worth[part, None], np.arange(start, min(start + BLOCK, len(codes)))


def cosines(codes: Codes, worth: Features, query: Features) -> Features:
    """Products ``(N,)`` of packed vectors and a query ``(D,)``."""
    products = [vectors @ query for vectors, _ in unpacked(codes, worth)]
    return np.concatenate([np.empty(0, np.float32), *products])


def number_of_lists(count: int) -> int:
    """Lists for so many vectors: a power of two near the root of their number.

    >>> [number_of_lists(n) for n in (200_000, 1_000_000, 20_000_000)]
    [512, 1024, 2048]
    """
    return min(MOST_LISTS, 1 << max(0, round(math.log2(count) / 2)))


def faiss() -> Any:
    """The library; ConfigError with the install command."""
    try:
        return import_module("faiss")
    except ImportError:
        raise ConfigError(
            'an index of this size needs faiss: pip install "wherewhen[search]", then search again; the index is kept'
        ) from None


def learn(path: Path, sample: Features, number: int) -> None:
    """Write empty lists whose centers, and the range of whose bytes, are learned from vectors ``(N, D)``."""
    library = faiss()
    dims, metric = sample.shape[1], library.METRIC_INNER_PRODUCT
    kind = library.ScalarQuantizer.QT_8bit
    lists = library.IndexIVFScalarQuantizer(library.IndexFlatIP(dims), dims, number, kind, metric)
    lists.cp.niter, lists.cp.min_points_per_centroid = ROUNDS, 1
    lists.sq.rangestat_arg = BEYOND
    lists.train(np.ascontiguousarray(sample, np.float32))
    _write(path, lists)


def fill(path: Path, empty: Path, vectors: Iterable[Features]) -> None:
    """Write vectors into a copy of empty lists; they are numbered in order."""
    lists = opened(empty)
    for part in vectors:
        lists.add(np.ascontiguousarray(part, np.float32))
    _write(path, lists)


def opened(path: Path, mapped: bool = False) -> Any:
    """Lists that were written, mapped from disk where they are only read; StoreError if they can't be read."""
    library = faiss()
    try:
        return library.read_index(str(path), library.IO_FLAG_MMAP if mapped else 0)
    except RuntimeError as error:
        raise StoreError(f"{path}: not readable lists ({str(error).splitlines()[0]}); delete its folder") from None


def nearest(lists: Any, query: Features, count: int, alive: Masks | None) -> tuple[Features, Numbers]:
    """Products and numbers of the vectors nearest to a query ``(D,)``, best first, in the lists nearest to it.

    ``alive``: which vectors ``(N,)`` count; None = all.
    """
    library = faiss()
    selector = {} if alive is None else {"sel": library.IDSelectorBitmap(np.packbits(alive, bitorder="little"))}
    probes = max(LEAST_PROBED, round(lists.nlist * PROBED))
    parameters = library.SearchParametersIVF(nprobe=min(probes, lists.nlist), **selector)
    scores, numbers = lists.search(np.asarray(query, np.float32)[None], min(count, lists.ntotal), params=parameters)
    valid = numbers[0] >= 0
    return scores[0][valid], numbers[0][valid].astype(np.int64)


def listed(lists: Any) -> Iterator[tuple[Features, Numbers]]:
    """The vectors ``(n, D)`` of one list after the other, with their numbers."""
    library, held = faiss(), lists.invlists
    for number in range(lists.nlist):
        count = held.list_size(number)
        if count:
            numbers = library.rev_swig_ptr(held.get_ids(number), count).astype(np.int64)
            codes = library.rev_swig_ptr(held.get_codes(number), count * lists.code_size).reshape(count, -1)
            yield lists.sq.decode(np.ascontiguousarray(codes)) + lists.quantizer.reconstruct(number), numbers


def _write(path: Path, lists: Any) -> None:
    with atomic(path, ours=True) as draft:
        faiss().write_index(lists, str(draft))
