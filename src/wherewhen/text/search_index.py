"""Nearest-neighbor index of vectors: a folder of parts to which videos are added and removed.

What is new is written as parts whose vectors are all compared. Once these hold more than `EXACT`, they are packed into
parts with lists, of which a question reads a small share. Rows of a video that is gone are passed over, and left out
when their part is packed again. The file ``index.json`` says which parts count; it is replaced as a whole after every
step, so a process that is killed loses that step alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wherewhen.core.array_files import Arrays
from wherewhen.core.documents import read_json
from wherewhen.core.errors import StoreError
from wherewhen.core.progress import track
from wherewhen.core.store import fingerprint, locked, sweep, write_json
from wherewhen.core.values import Features, Floats
from wherewhen.text import search_segments as parts
from wherewhen.text.search_segments import LISTS, Part
from wherewhen.text.search_vectors import SAMPLE, Numbers, learn, number_of_lists
from wherewhen.text.search_vectors import opened as opened_lists

log = logging.getLogger("wherewhen")

EXACT = 200_000  # vectors up to which all are compared: 14 hours at 4 a second
STEP = 100_000  # new vectors that are written at a time: what a kill can cost
FULL = 500_000  # vectors of a part that isn't packed with others any more
LOOSE = 32  # parts without lists, beyond which they become one
RELEARN = 8  # times as many vectors as lists were learnt from, after which they are learnt anew
VERSION = 2
TOLD = "index.json"
PART, EMPTY = "part-{:08}.safetensors", "lists-{:08}" + LISTS

Entries = Iterable[tuple[NDArray[Any], Floats]]
"""Unit vectors ``(N, D)`` and rows ``(N, 6)``, times and places, a piece at a time."""


class Found(NamedTuple):
    """Results of a search, best first: cosines ``(N,)``, whose video, times ``(N, 2)``, places ``(N, 4)``."""

    scores: Features
    videos: list[str]
    spans: Floats
    places: Features


@dataclass
class _Told:
    """What ``index.json`` says. ``videos``: serial number and stamp by name. ``files``: rows by owner of each part."""

    made: str
    next: int = 0
    videos: dict[str, tuple[int, str]] = field(default_factory=dict)
    files: dict[str, dict[int, int]] = field(default_factory=dict)
    lists: str = ""
    learnt: int = 0

    @classmethod
    def read(cls, path: Path, made: str) -> _Told:
        """The index of a file; an empty one where it is missing, damaged or has other settings."""
        try:
            told = read_json(path, StoreError)
            if (told["version"], told["made"]) != (VERSION, made):
                return cls(made)
            videos = {str(name): (int(serial), str(stamp)) for name, (serial, stamp) in told["videos"].items()}
            files = {str(n): {int(k): int(c) for k, c in rows.items()} for n, rows in told["files"].items()}
            return cls(made, int(told["next"]), videos, files, str(told["lists"]), int(told["learnt"]))
        except (StoreError, ValueError, KeyError, TypeError, AttributeError) as error:
            if not path.exists():
                return cls(made)
            log.warning("rebuilt: %s can't be read (%s)", path, error)
            return cls(made)


class Index:
    """A searchable folder of vectors of videos. ``made``: all that they depend on; a change rebuilds it."""

    def __init__(self, folder: Path, made: Any = None) -> None:
        self.folder, self.made = Path(folder), fingerprint(made)
        self._parts: dict[str, Part] = {}
        self._see(_Told.read(self.folder / TOLD, self.made))

    def _see(self, told: _Told) -> None:
        """What follows from what is told: whose rows count, and the parts of which all do."""
        self._told = told
        self._names = {serial: name for name, (serial, _) in told.videos.items()}
        self._alive = np.zeros(told.next + 1, bool)
        self._alive[list(self._names)] = True
        self._whole = {name for name, rows in told.files.items() if self._living(rows) == sum(rows.values())}

    def __len__(self) -> int:
        return sum(map(self._living, self._told.files.values()))

    def differs(self, wanted: Mapping[str, Any]) -> bool:
        """Whether it doesn't hold exactly these videos, with their stamps."""
        stamps = {name: fingerprint(stamp) for name, stamp in wanted.items()}
        return stamps != {name: stamp for name, (_, stamp) in self._told.videos.items()}

    def update(self, wanted: Mapping[str, Any], entries: Callable[[str], Entries], quiet: bool = True) -> None:
        """Hold exactly these videos: ``entries`` gives the vectors of one that is new or has another stamp.

        One process at a time; what others did meanwhile counts.
        """
        with locked(self.folder / TOLD):
            self._see(_Told.read(self.folder / TOLD, self.made))
            sweep(self.folder)
            self._heal()
            stamps = {name: fingerprint(stamp) for name, stamp in wanted.items()}
            gone = {name for name, (_, stamp) in self._told.videos.items() if stamps.get(name) != stamp}
            self._told.videos = {name: told for name, told in self._told.videos.items() if name not in gone}
            self._see(self._told)
            self._told.files = {name: rows for name, rows in self._told.files.items() if self._living(rows)}
            self._commit()
            new = [name for name in wanted if name not in self._told.videos]
            self._add(track(new, "indexing", len(new), quiet=quiet), stamps, entries)
            self._pack()
            self._tidy()
            if new or gone:
                log.info("indexed %d videos, left out %d: %s", len(new), len(gone), self.folder)

    def _heal(self) -> None:
        """Leave out parts that can't be read, and forget the videos that were in them."""
        for name in list(self._told.files):
            try:
                self._part(name)
            except StoreError as error:
                log.warning("rebuilt: %s", error)
                lost = self._told.files.pop(name)
                kept = ((video, told) for video, told in self._told.videos.items() if told[0] not in lost)
                self._told.videos = dict(kept)
        try:
            if self._told.lists:
                opened_lists(self.folder / self._told.lists)
        except StoreError:
            self._told.lists, self._told.learnt = "", 0

    def map(self) -> None:
        """Open all parts; StoreError if one can't be read."""
        for name in self._told.files:
            self._part(name)

    def _add(self, names: Iterable[str], stamps: Mapping[str, str], entries: Callable[[str], Entries]) -> None:
        """Write new videos in steps; one counts from the step on that holds the last of it."""
        waiting: list[Arrays] = []
        done: dict[str, tuple[int, str]] = {}
        try:
            for name in names:
                serial, self._told.next = self._told.next, self._told.next + 1
                for vectors, rows in entries(name):
                    waiting.append(parts.fresh(vectors, rows, serial))
                    if sum(len(one["codes"]) for one in waiting) >= STEP:
                        self._write(waiting, done)
                done[name] = serial, stamps[name]
        finally:
            if done:
                self._write(waiting, done)

    def _write(self, waiting: list[Arrays], done: dict[str, tuple[int, str]]) -> None:
        if waiting:
            path = self._path(PART)
            parts.write(path, parts.joined(waiting))
            self._told.files[path.name] = Part.open(path).counts()
        self._told.videos |= done
        waiting.clear()
        done.clear()
        self._commit()

    def _path(self, name: str) -> Path:
        """A file name that was never used: its place for a number is filled."""
        number = self._told.next
        self._told.next += 1
        return self.folder / name.format(number)

    def _commit(self) -> None:
        write_json(self.folder / TOLD, vars(self._told) | {"version": VERSION}, ours=True)
        self._see(self._told)

    def _living(self, rows: Mapping[int, int]) -> int:
        return sum(count for owner, count in rows.items() if owner in self._names)

    def _part(self, name: str) -> Part:
        if name not in self._parts:
            self._parts[name] = Part.open(self.folder / name)
        return self._parts[name]

    def _pack(self) -> None:
        """Bring order into the parts, step by step."""
        held = [self._part(name) for name in self._told.files]
        loose = [part for part in held if not part.lists]
        if sum(map(len, loose)) > EXACT:
            self._learn(held)
            lists = self.folder / self._told.lists
            rest = [p for p in held if len(p) < FULL // 2 or p.lists != self._told.lists]
            for group in _grouped(rest, FULL):
                self._replace(group, lists)
        elif len(loose) > LOOSE:
            self._replace(loose, None)
        for name, rows in list(self._told.files.items()):
            part = self._part(name)
            if 2 * self._living(rows) < len(part) and (self._told.lists or not part.lists):
                self._replace([part], self.folder / self._told.lists if part.lists else None)

    def _learn(self, held: Sequence[Part]) -> None:
        """Centers of lists, where there are none or many more vectors came since."""
        count = sum(map(len, held))
        if self._told.lists and count < RELEARN * self._told.learnt:
            return
        number = number_of_lists(count)
        seen = parts.sample(held, self._alive, SAMPLE * number)
        path = self._path(EMPTY)
        learn(path, seen, min(number, len(seen)))
        self._told.lists, self._told.learnt = path.name, count
        self._commit()

    def _replace(self, group: Sequence[Part], lists: Path | None) -> None:
        path = self._path(PART)
        if parts.repacked(path, group, self._alive, lists):
            self._told.files[path.name] = Part.open(path).counts()
        for part in group:
            del self._told.files[part.path.name]
            self._parts.pop(part.path.name, None)
        self._commit()
        for part in group:
            part.remove()

    def _tidy(self) -> None:
        """Remove what doesn't count any more; who has it open keeps it until then."""
        used = {Path(name).stem for name in (*self._told.files, self._told.lists)}
        for path in (*self.folder.glob("*.safetensors"), *self.folder.glob("*" + LISTS)):
            if path.stem not in used:
                path.unlink(missing_ok=True)

    def nearest(self, query: Features, count: int) -> Found:
        """The ``count`` rows nearest to a unit vector ``(D,)`` among those compared."""
        told: list[tuple[Features, Numbers, int]] = []
        held = [self._part(name) for name in self._told.files]
        query = np.asarray(query, np.float32)
        for number, part in enumerate(held):
            whole = part.path.name in self._whole
            alive = None if whole else parts.living(part.arrays["owner"], self._alive)
            told.append((*part.nearest(query, count, alive), number))
        return self._found(held, told, count)

    def _found(self, held: Sequence[Part], told: Sequence[tuple[Features, Numbers, int]], count: int) -> Found:
        scores = np.concatenate([np.empty(0, np.float32), *(one[0] for one in told)])
        rows = np.concatenate([np.empty(0, np.int64), *(one[1] for one in told)])
        whose = np.concatenate([np.empty(0, np.int64), *(np.full(len(one[0]), one[2]) for one in told)])
        best = np.argsort(-scores, kind="stable")[:count]
        at = [(held[k].arrays, row) for k, row in zip(whose[best].tolist(), rows[best].tolist(), strict=True)]
        return Found(
            scores[best],
            [self._names[int(arrays["owner"][row])] for arrays, row in at],
            np.array([arrays["spans"][row] for arrays, row in at]).reshape(-1, 2),
            np.array([arrays["places"][row] for arrays, row in at], np.float32).reshape(-1, 4),
        )


def _grouped(held: Sequence[Part], most: int) -> Iterator[list[Part]]:
    """Parts in groups of up to ``most`` rows, one at least."""
    group: list[Part] = []
    for part in held:
        if group and sum(map(len, group)) + len(part) > most:
            yield group
            group = []
        group.append(part)
    if group:
        yield group


def opened(folder: Path, made: Any, wanted: Mapping[str, Any], entries: Callable[[str], Entries], quiet: bool) -> Index:
    """An index that holds exactly these videos; written to only where it doesn't yet."""
    index = Index(folder, made)
    if index.differs(wanted):
        index.update(wanted, entries, quiet)
    try:
        index.map()
    except StoreError:  # somebody packed it just now, or a file is damaged
        index.update(wanted, entries, quiet)
        index.map()
    return index
