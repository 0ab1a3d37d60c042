"""Vectors by the million and which of them are nearest to one: exact where they are few, inverted lists where not.

More than `EXACT` vectors are kept by faiss in inverted lists (Jegou et al., TPAMI 2011) with 8 bits per number, on
disk, of which a question reads a small part.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from wherewhen.errors import ConfigError, StoreError
from wherewhen.store import atomic
from wherewhen.values import Features

EXACT = 200_000  # vectors up to which all are compared: 14 hours at 4 a second
LOOKED = 1 / 32  # of the lists, that a question looks into
MOST_LISTS = 4096  # more would take longer to learn and to fill than they save
BLOCK = 65_536  # vectors compared at once
SUFFIX_FEW, SUFFIX_MANY = ".npy", ".faiss"

Numbers = NDArray[np.int64]


class Index(Protocol):
    """Vectors that can be asked."""

    def nearest(self, query: Features, count: int) -> tuple[Features, Numbers]:
        """Cosines and numbers of the ``count`` vectors nearest to a unit vector ``(D,)``, best first."""


class Few:
    """Unit vectors ``(N, D)``, each compared.

    >>> Few(np.eye(3, dtype=np.float16)).nearest(np.float32([0, 1, 0]), 1)[1].tolist()
    [1]
    """

    def __init__(self, vectors: NDArray[np.float16]) -> None:
        self.vectors = vectors

    def nearest(self, query: Features, count: int) -> tuple[Features, Numbers]:
        """Cosines and numbers, best first; of equal ones the first."""
        parts = [self.vectors[k : k + BLOCK].astype(np.float32) @ query for k in range(0, len(self.vectors), BLOCK)]
        cosines: Features = np.concatenate(parts) if parts else np.empty(0, np.float32)
        best = np.argsort(-cosines, kind="stable")[:count]
        return cosines[best], best.astype(np.int64)


class Many:
    """Inverted lists of faiss, mapped from disk."""

    def __init__(self, lists: Any) -> None:
        self.lists = lists

    def nearest(self, query: Features, count: int) -> tuple[Features, Numbers]:
        """Cosines and numbers, best first, out of the lists that the query is nearest to."""
        self.lists.nprobe = max(8, round(self.lists.nlist * LOOKED))
        cosines, numbers = self.lists.search(query[None].astype(np.float32), count)
        found = numbers[0] >= 0
        return cosines[0][found], numbers[0][found].astype(np.int64)


def faiss() -> Any:
    """The library; ConfigError says how to install it."""
    try:
        return import_module("faiss")
    except ImportError:
        raise ConfigError(
            f'more than {EXACT} moments are searched with faiss: pip install "wherewhen[search]"'
        ) from None


def build(path: Path, vectors: Iterable[NDArray[np.float16]], count: int) -> Path:
    """Write ``count`` unit vectors, which come in blocks, as an index beside ``path``; gives its file."""
    if count <= EXACT:
        whole = np.concatenate(list(vectors))
        target = path.with_suffix(SUFFIX_FEW)
        with atomic(target) as draft, draft.open("wb") as file:
            np.save(file, whole, allow_pickle=False)
        return target
    library, target = faiss(), path.with_suffix(SUFFIX_MANY)
    lists = _filled(library, vectors, count)
    with atomic(target) as draft:
        library.write_index(lists, str(draft))
    return target


def _filled(library: Any, vectors: Iterable[NDArray[np.float16]], count: int) -> Any:
    """Lists whose centers are learnt from the first vectors that come; they come from all times of the archive."""
    number = min(MOST_LISTS, max(64, int(np.sqrt(count))))
    waiting: list[NDArray[np.float16]] = []
    lists: Any = None
    for block in vectors:
        waiting.append(block)
        if lists is None and sum(map(len, waiting)) >= min(count, 40 * number):
            lists = _centered(library, np.concatenate(waiting).astype(np.float32), number)
        if lists is not None:
            for one in waiting:
                lists.add(np.ascontiguousarray(one, np.float32))
            waiting.clear()
    if lists is None or waiting:
        raise StoreError(f"expected {count} vectors, fewer came")
    return lists


def _centered(library: Any, sample: Features, number: int) -> Any:
    dims = sample.shape[1]
    metric = library.METRIC_INNER_PRODUCT
    middles = library.IndexFlatIP(dims)
    kind = library.ScalarQuantizer.QT_8bit
    lists = library.IndexIVFScalarQuantizer(middles, dims, number, kind, metric)
    lists.cp.niter = 10
    lists.cp.min_points_per_centroid = 1
    lists.train(sample)
    return lists


def load(path: Path) -> Index:
    """The index that `build` wrote; StoreError if it can't be read."""
    try:
        if path.suffix == SUFFIX_FEW:
            return Few(np.load(path, mmap_mode="r", allow_pickle=False))
        library = faiss()
        return Many(library.read_index(str(path), library.IO_FLAG_MMAP))
    except (OSError, EOFError, ValueError, RuntimeError) as error:
        raise StoreError(f"{path}: not a readable index ({error}); delete it and search again") from None
