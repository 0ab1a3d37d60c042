"""A part of a search index: some of its vectors with their times and places, files that never change.

Vectors are stored in order of arrival and all compared, or they are in faiss's lists, and a query reads the nearest
lists (inverted lists: Jegou et al., TPAMI 2011). The files are mapped, not read. Arrays of ``part-N.safetensors``:

    owner   (N,) int32        serial number of the video
    spans   (N, 2) float64    seconds
    places  (N, 4) float32    x0 y0 x1 y1
    codes   (N, D) int8       unit vectors, a byte per number; only where there are no lists
    worth   (N,) float32      scale of a vector's codes; as above

Vectors in lists are numbered as the rows are, in ``part-N.faiss``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wherewhen.core.array_files import Arrays, mapped, save
from wherewhen.core.errors import StoreError
from wherewhen.core.values import Features, Floats, Masks
from wherewhen.text import search_vectors as sv

ROWS = {"owner": "int32", "spans": "float64", "places": "float32"}
DTYPES = {**ROWS, "codes": "int8", "worth": "float32"}
LISTS = ".faiss"


@dataclass(frozen=True)
class Part:
    """A mapped part; ``lists`` is the name of the empty lists that its own are a filled copy of, "" without lists."""

    path: Path
    arrays: Arrays = field(repr=False)
    lists: str = ""
    vectors: Any = field(default=None, repr=False)

    @classmethod
    def open(cls, path: Path) -> Part:
        """Map a part; StoreError if it is missing or damaged."""
        arrays, passport = mapped(path)
        lists, rows = str(passport.get("lists") or ""), len(arrays.get("owner", ()))
        kinds = ROWS if lists else DTYPES
        wrong = [name for name, kind in kinds.items() if name not in arrays or arrays[name].dtype != kind]
        wrong += [name for name in kinds if name not in wrong and len(arrays[name]) != rows]
        vectors = sv.opened(path.with_suffix(LISTS), mapped=True) if lists else None
        if vectors is not None and vectors.ntotal != rows:
            wrong.append("lists")
        if wrong:
            raise StoreError(f"{path}: not a part of a search index ({', '.join(wrong)}); delete its folder")
        return cls(path, arrays, lists, vectors)

    def __len__(self) -> int:
        return len(self.arrays["owner"])

    def nearest(self, query: Features, count: int, alive: Masks | None = None) -> tuple[Features, sv.Numbers]:
        """Cosines and numbers of the ``count`` rows nearest to a unit vector; ``alive``: which of them count."""
        if self.vectors is not None:
            return sv.nearest(self.vectors, query, count, alive)
        scores = sv.cosines(self.arrays["codes"], self.arrays["worth"], query)
        rows = np.arange(len(self)) if alive is None else np.flatnonzero(alive)
        if len(rows) > count:
            rows = rows[np.argpartition(-scores[rows], count - 1)[:count]]
        return scores[rows], rows

    def pieces(self, alive: NDArray[np.bool_], share: float = 1.0) -> Iterator[tuple[Features, sv.Numbers]]:
        """Vectors ``(n, D)`` of living rows, and their numbers; of all, or of a random ``share``."""
        rng = np.random.default_rng(0)
        stored = sv.unpacked(self.arrays["codes"], self.arrays["worth"]) if self.vectors is None else None
        for vectors, numbers in sv.listed(self.vectors) if stored is None else stored:
            selected = living(self.arrays["owner"][numbers], alive)
            if share < 1:
                selected &= rng.random(len(selected)) < share
            if selected.any():
                yield vectors[selected], numbers[selected]

    def counts(self) -> dict[int, int]:
        """How many rows each owner has."""
        owners, counts = np.unique(self.arrays["owner"], return_counts=True)
        return dict(zip(owners.tolist(), counts.tolist(), strict=True))

    def remove(self) -> None:
        """Delete its files; a process that has them open can still read them."""
        self.path.unlink(missing_ok=True)
        self.path.with_suffix(LISTS).unlink(missing_ok=True)


def living(owner: NDArray[np.int32], alive: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether each row's owner is alive ``(N,)``; ``alive`` ends with False, which is used for all owners beyond it."""
    return alive.take(owner.view(np.uint32), mode="clip")


def fresh(vectors: NDArray[Any], rows: Floats, owner: int) -> Arrays:
    """Arrays of new vectors ``(N, D)`` with rows ``(N, 6)``, times and places, of one owner."""
    codes, worth = sv.packed(vectors)
    return {
        "codes": codes,
        "worth": worth,
        "owner": np.full(len(codes), owner, np.int32),
        "spans": np.array(rows[:, :2], np.float64),
        "places": np.array(rows[:, 2:], np.float32),
    }


def joined(many: Sequence[Arrays]) -> Arrays:
    """One table of several."""
    return {name: np.concatenate([arrays[name] for arrays in many]) for name in DTYPES}


def write(path: Path, arrays: Arrays) -> None:
    """Write vectors without lists."""
    save(path, arrays, {"lists": None}, ours=True)


def repacked(path: Path, parts: Sequence[Part], alive: NDArray[np.bool_], lists: Path | None) -> int:
    """Write the living rows of several parts as one, into a copy of the empty ``lists`` if any; return their number.

    ``alive``: see `living`.
    """
    if lists is None:
        keep = [np.flatnonzero(living(part.arrays["owner"], alive)) for part in parts]
        merged = joined([{name: part.arrays[name][k] for name in DTYPES} for part, k in zip(parts, keep, strict=True)])
        write(path, merged)
        return len(merged["owner"])
    rows: list[Arrays] = []

    def moved() -> Iterator[Features]:
        for part in parts:
            for vectors, numbers in part.pieces(alive):
                rows.append({name: part.arrays[name][numbers] for name in ROWS})
                yield vectors

    sv.fill(path.with_suffix(LISTS), lists, moved())
    if not rows:
        path.with_suffix(LISTS).unlink()
        return 0
    table = {name: np.concatenate([arrays[name] for arrays in rows]) for name in ROWS}
    save(path, table, {"lists": lists.name}, ours=True)
    return len(table["owner"])


def sample(parts: Sequence[Part], alive: NDArray[np.bool_], count: int) -> Features:
    """About ``count`` living vectors, drawn from all parts at random."""
    share = min(1.0, count / max(sum(map(len, parts)), 1))
    return np.concatenate([vectors for part in parts for vectors, _ in part.pieces(alive, share)])
