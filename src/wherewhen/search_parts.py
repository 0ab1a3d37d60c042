"""A part of a search index: some of its vectors with their times and places, one file that never changes.

Its vectors lie as they came, and all are compared; or they lie in lists, and a question looks into the nearest ones
(inverted lists: Jegou et al., TPAMI 2011). The file is mapped, not read. Its arrays:

    codes   (N, D) int8       unit vectors, a byte per number
    worth   (N,) float32      what one step of a vector's numbers is worth
    owner   (N,) int32        whose: the serial number of a video
    spans   (N, 2) float64    seconds
    places  (N, 4) float32    x0 y0 x1 y1
    starts  (L + 1,) int64    where each list begins, and the end; only where there are lists
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wherewhen.errors import StoreError
from wherewhen.search_vectors import Codes, Numbers, cosines, list_of, packed, space
from wherewhen.store import Arrays, mapped, save
from wherewhen.values import Features, Floats

LOOKED = 1 / 32  # of the lists, that a question looks into
LEAST_LOOKED = 8
DTYPES = {"codes": "int8", "worth": "float32", "owner": "int32", "spans": "float64", "places": "float32"}


@dataclass(frozen=True)
class Lists:
    """Centers of lists ``(L, D)`` and the name of the file that keeps them."""

    name: str
    centers: Features = field(repr=False)

    def nearest(self, query: Features) -> Numbers:
        """Numbers of the lists that a question looks into."""
        count = min(len(self.centers), max(LEAST_LOOKED, round(len(self.centers) * LOOKED)))
        return np.sort(np.argpartition(-(self.centers @ query), count - 1)[:count]).astype(np.int64)


@dataclass(frozen=True)
class Part:
    """A mapped part; ``lists`` is the name of what its vectors lie in, empty where they lie as they came."""

    path: Path
    arrays: Arrays = field(repr=False)
    lists: str = ""

    @classmethod
    def open(cls, path: Path) -> Part:
        """Map a part; StoreError if it is missing or damaged."""
        arrays, passport = mapped(path)
        rows = len(arrays.get("codes", ()))
        wrong = [name for name, kind in DTYPES.items() if name not in arrays or arrays[name].dtype != kind]
        wrong += [name for name in DTYPES if name not in wrong and len(arrays[name]) != rows]
        starts = arrays.get("starts")
        if starts is not None and (np.diff(starts, prepend=0, append=rows) < 0).any():
            wrong.append("starts")
        if wrong or (starts is None) != (not passport.get("lists")):
            raise StoreError(f"{path}: not a part of a search index ({', '.join(wrong) or 'lists'}); delete its folder")
        return cls(path, arrays, str(passport.get("lists") or ""))

    def __len__(self) -> int:
        return len(self.arrays["codes"])

    def looked(self, query: Features, lists: Lists | None) -> tuple[Features, Numbers]:
        """Cosines and numbers of the rows that a question looks at."""
        if lists is None:
            return cosines(self.arrays["codes"], self.arrays["worth"], query), np.arange(len(self))
        starts, near = self.arrays["starts"], lists.nearest(query)
        stretches = [(int(starts[k]), int(starts[k + 1])) for k in near if starts[k] < starts[k + 1]]
        codes, worth = self.arrays["codes"], self.arrays["worth"]
        room = space(codes, max((b - a for a, b in stretches), default=0))
        found = [cosines(codes[a:b], worth[a:b], query, room) for a, b in stretches]
        numbers = [np.arange(a, b) for a, b in stretches]
        return np.concatenate([np.empty(0, np.float32), *found]), np.concatenate([np.empty(0, np.int64), *numbers])

    def labels(self, lists: Lists) -> NDArray[np.int32]:
        """Which of some lists each row belongs to."""
        if self.lists == lists.name:
            return np.repeat(np.arange(len(lists.centers), dtype=np.int32), np.diff(self.arrays["starts"]))
        return list_of(self.arrays["codes"], lists.centers)

    def counts(self) -> dict[int, int]:
        """How many rows each owner has."""
        owners, counts = np.unique(self.arrays["owner"], return_counts=True)
        return dict(zip(owners.tolist(), counts.tolist(), strict=True))


def living(owner: NDArray[np.int32], alive: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether each row's owner is alive ``(N,)``; ``alive`` ends with a dead one, who stands for all beyond."""
    return alive.take(owner.view(np.uint32), mode="clip")


def fresh(vectors: NDArray[Any], rows: Floats, owner: int) -> Arrays:
    """Arrays of new vectors ``(N, D)`` with rows ``(N, 6)``, times and places, of one owner."""
    codes, worth = packed(vectors)
    return {
        "codes": codes,
        "worth": worth,
        "owner": np.full(len(codes), owner, np.int32),
        "spans": np.array(rows[:, :2], np.float64),
        "places": np.array(rows[:, 2:], np.float32),
    }


def joined(many: Sequence[Arrays]) -> Arrays:
    """One table of several."""
    return {name: np.concatenate([one[name] for one in many]) for name in DTYPES}


def write(path: Path, arrays: Arrays) -> None:
    """Write vectors as they came."""
    save(path, arrays, {"lists": None})


def repacked(path: Path, parts: Sequence[Part], alive: NDArray[np.bool_], lists: Lists | None) -> int:
    """Write the living rows of several parts as one, in lists where there are some; gives how many.

    ``alive``: see `living`.
    """
    keep = [np.flatnonzero(living(part.arrays["owner"], alive)) for part in parts]
    made: Arrays = {}
    order, starts = None, None
    if lists is not None:
        label = np.concatenate([part.labels(lists)[kept] for part, kept in zip(parts, keep, strict=True)])
        order = np.argsort(label, kind="stable")
        starts = np.searchsorted(label[order], np.arange(len(lists.centers) + 1)).astype(np.int64)
    for name in DTYPES:
        whole = np.concatenate([part.arrays[name][kept] for part, kept in zip(parts, keep, strict=True)])
        made[name] = whole if order is None else whole[order]
    if starts is not None:
        made["starts"] = starts
    save(path, made, {"lists": lists.name if lists else None})
    return len(made["codes"])


def sample(parts: Sequence[Part], alive: NDArray[np.bool_], count: int) -> Codes:
    """About so many living vectors from all over, in short stretches so that little is read."""
    total, step = sum(map(len, parts)), 32
    rng = np.random.default_rng(0)
    share = min(1.0, count / max(total, 1))
    return np.concatenate([one for part in parts for one in _stretches(part, alive, share, step, rng)])


def _stretches(
    part: Part, alive: NDArray[np.bool_], share: float, step: int, rng: np.random.Generator
) -> Iterator[Codes]:
    for start in range(0, len(part), step):
        if rng.random() < share:
            rows = slice(start, start + step)
            yield part.arrays["codes"][rows][living(part.arrays["owner"][rows], alive)]
