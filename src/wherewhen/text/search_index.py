"""Nearest-neighbor index of vectors: a folder of parts to which videos are added and removed.

New vectors are written as parts without lists; a query compares all of them. Once these hold more than `EXACT` vectors,
they are packed into parts with inverted lists, of which a query reads a small share. Rows of removed videos are
ignored, and left out when their part is packed again. The file ``index.json`` lists the parts; it is replaced
atomically after every step, so a killed process loses that step alone.
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
RELEARN = 8  # times as many vectors as lists were learned from, after which they are learned again
VERSION = 2
MANIFEST = "index.json"
PART, EMPTY = "part-{:08}.safetensors", "lists-{:08}" + LISTS

Entries = Iterable[tuple[NDArray[Any], Floats]]
"""Unit vectors ``(N, D)`` and rows ``(N, 6)``, times and places, a piece at a time."""


class Neighbors(NamedTuple):
    """Results of a search, best first: cosines ``(N,)``, video names, times ``(N, 2)``, places ``(N, 4)``."""

    scores: Features
    videos: list[str]
    spans: Floats
    places: Features


@dataclass
class _Manifest:
    """The record in ``index.json``. ``videos``: serial number and stamp by name. ``files``: rows by owner of each part.

    ``made``: digest of the settings of the index.
    """

    made: str
    next: int = 0
    videos: dict[str, tuple[int, str]] = field(default_factory=dict)
    files: dict[str, dict[int, int]] = field(default_factory=dict)
    lists: str = ""
    learnt: int = 0

    @classmethod
    def read(cls, path: Path, digest: str) -> _Manifest:
        """The index of a file; an empty one where it is missing, damaged or has other settings."""
        try:
            record = read_json(path, StoreError)
            if (record["version"], record["made"]) != (VERSION, digest):
                return cls(digest)
            videos = {str(name): (int(serial), str(stamp)) for name, (serial, stamp) in record["videos"].items()}
            files = {str(n): {int(k): int(c) for k, c in rows.items()} for n, rows in record["files"].items()}
            return cls(digest, int(record["next"]), videos, files, str(record["lists"]), int(record["learnt"]))
        except (StoreError, ValueError, KeyError, TypeError, AttributeError) as error:
            if not path.exists():
                return cls(digest)
            log.warning("rebuilt: %s can't be read (%s)", path, error)
            return cls(digest)


class Index:
    """A searchable folder of vectors of videos. ``settings``: all that they depend on; a change rebuilds it."""

    def __init__(self, folder: Path, settings: Any = None) -> None:
        self.folder, self.digest = Path(folder), fingerprint(settings)
        self._parts: dict[str, Part] = {}
        self._apply(_Manifest.read(self.folder / MANIFEST, self.digest))

    def _apply(self, manifest: _Manifest) -> None:
        """Use a manifest: derive the living videos, and the parts with living rows only."""
        self._manifest = manifest
        self._names = {serial: name for name, (serial, _) in manifest.videos.items()}
        self._alive = np.zeros(manifest.next + 1, bool)
        self._alive[list(self._names)] = True
        self._whole = {name for name, rows in manifest.files.items() if self._living(rows) == sum(rows.values())}

    def __len__(self) -> int:
        return sum(map(self._living, self._manifest.files.values()))

    def differs(self, videos: Mapping[str, Any]) -> bool:
        """Whether it doesn't hold exactly these videos, with their stamps."""
        stamps = {name: fingerprint(stamp) for name, stamp in videos.items()}
        return stamps != {name: stamp for name, (_, stamp) in self._manifest.videos.items()}

    def update(self, videos: Mapping[str, Any], entries: Callable[[str], Entries], quiet: bool = True) -> None:
        """Hold exactly these videos: ``entries`` gives the vectors of one that is new or has another stamp.

        A lock admits one process at a time; changes by other processes are read first.
        """
        with locked(self.folder / MANIFEST):
            self._apply(_Manifest.read(self.folder / MANIFEST, self.digest))
            sweep(self.folder)
            self._heal()
            stamps = {name: fingerprint(stamp) for name, stamp in videos.items()}
            gone = {name for name, (_, stamp) in self._manifest.videos.items() if stamps.get(name) != stamp}
            self._manifest.videos = {name: entry for name, entry in self._manifest.videos.items() if name not in gone}
            self._apply(self._manifest)
            self._manifest.files = {name: rows for name, rows in self._manifest.files.items() if self._living(rows)}
            self._commit()
            new = [name for name in videos if name not in self._manifest.videos]
            self._add(track(new, "indexing", len(new), quiet=quiet), stamps, entries)
            self._pack()
            self._tidy()
            if new or gone:
                log.info("indexed %d videos, left out %d: %s", len(new), len(gone), self.folder)

    def _heal(self) -> None:
        """Remove parts that can't be read, and the videos in them."""
        for name in list(self._manifest.files):
            try:
                self._part(name)
            except StoreError as error:
                log.warning("rebuilt: %s", error)
                lost = self._manifest.files.pop(name)
                rest = ((video, entry) for video, entry in self._manifest.videos.items() if entry[0] not in lost)
                self._manifest.videos = dict(rest)
        try:
            if self._manifest.lists:
                opened_lists(self.folder / self._manifest.lists)
        except StoreError:
            self._manifest.lists, self._manifest.learnt = "", 0

    def map(self) -> None:
        """Open all parts; StoreError if one can't be read."""
        for name in self._manifest.files:
            self._part(name)

    def _add(self, names: Iterable[str], stamps: Mapping[str, str], entries: Callable[[str], Entries]) -> None:
        """Write new videos in steps; one counts from the step on that holds the last of it."""
        waiting: list[Arrays] = []
        done: dict[str, tuple[int, str]] = {}
        try:
            for name in names:
                serial, self._manifest.next = self._manifest.next, self._manifest.next + 1
                for vectors, rows in entries(name):
                    waiting.append(parts.fresh(vectors, rows, serial))
                    if sum(len(arrays["codes"]) for arrays in waiting) >= STEP:
                        self._write(waiting, done)
                done[name] = serial, stamps[name]
        finally:
            if done:
                self._write(waiting, done)

    def _write(self, waiting: list[Arrays], done: dict[str, tuple[int, str]]) -> None:
        if waiting:
            path = self._path(PART)
            parts.write(path, parts.joined(waiting))
            self._manifest.files[path.name] = Part.open(path).counts()
        self._manifest.videos |= done
        waiting.clear()
        done.clear()
        self._commit()

    def _path(self, name: str) -> Path:
        """An unused file name: ``name`` with the next serial number."""
        number = self._manifest.next
        self._manifest.next += 1
        return self.folder / name.format(number)

    def _commit(self) -> None:
        write_json(self.folder / MANIFEST, vars(self._manifest) | {"version": VERSION}, ours=True)
        self._apply(self._manifest)

    def _living(self, rows: Mapping[int, int]) -> int:
        return sum(count for owner, count in rows.items() if owner in self._names)

    def _part(self, name: str) -> Part:
        if name not in self._parts:
            self._parts[name] = Part.open(self.folder / name)
        return self._parts[name]

    def _pack(self) -> None:
        """Merge small parts, build lists, and rewrite parts with few living rows, step by step."""
        held = [self._part(name) for name in self._manifest.files]
        loose = [part for part in held if not part.lists]
        if sum(map(len, loose)) > EXACT:
            self._learn(held)
            lists = self.folder / self._manifest.lists
            rest = [p for p in held if len(p) < FULL // 2 or p.lists != self._manifest.lists]
            for group in _grouped(rest, FULL):
                self._replace(group, lists)
        elif len(loose) > LOOSE:
            self._replace(loose, None)
        for name, rows in list(self._manifest.files.items()):
            part = self._part(name)
            if 2 * self._living(rows) < len(part) and (self._manifest.lists or not part.lists):
                self._replace([part], self.folder / self._manifest.lists if part.lists else None)

    def _learn(self, held: Sequence[Part]) -> None:
        """Learn the centers of lists where there are none, or where the number of vectors grew by `RELEARN`."""
        count = sum(map(len, held))
        if self._manifest.lists and count < RELEARN * self._manifest.learnt:
            return
        number = number_of_lists(count)
        vectors = parts.sample(held, self._alive, SAMPLE * number)
        path = self._path(EMPTY)
        learn(path, vectors, min(number, len(vectors)))
        self._manifest.lists, self._manifest.learnt = path.name, count
        self._commit()

    def _replace(self, group: Sequence[Part], lists: Path | None) -> None:
        path = self._path(PART)
        if parts.repacked(path, group, self._alive, lists):
            self._manifest.files[path.name] = Part.open(path).counts()
        for part in group:
            del self._manifest.files[part.path.name]
            self._parts.pop(part.path.name, None)
        self._commit()
        for part in group:
            part.remove()

    def _tidy(self) -> None:
        """Remove unused files; a process that has one open can still read it."""
        used = {Path(name).stem for name in (*self._manifest.files, self._manifest.lists)}
        for path in (*self.folder.glob("*.safetensors"), *self.folder.glob("*" + LISTS)):
            if path.stem not in used:
                path.unlink(missing_ok=True)

    def nearest(self, query: Features, count: int) -> Neighbors:
        """The ``count`` rows nearest to a unit vector ``(D,)`` among those compared."""
        results: list[tuple[Features, Numbers, int]] = []
        held = [self._part(name) for name in self._manifest.files]
        query = np.asarray(query, np.float32)
        for number, part in enumerate(held):
            whole = part.path.name in self._whole
            alive = None if whole else parts.living(part.arrays["owner"], self._alive)
            results.append((*part.nearest(query, count, alive), number))
        return self._merged(held, results, count)

    def _merged(self, held: Sequence[Part], results: Sequence[tuple[Features, Numbers, int]], count: int) -> Neighbors:
        scores = np.concatenate([np.empty(0, np.float32), *(result[0] for result in results)])
        rows = np.concatenate([np.empty(0, np.int64), *(result[1] for result in results)])
        part_numbers = np.concatenate(
            [np.empty(0, np.int64), *(np.full(len(result[0]), result[2]) for result in results)]
        )
        best = np.argsort(-scores, kind="stable")[:count]
        at = [(held[k].arrays, row) for k, row in zip(part_numbers[best].tolist(), rows[best].tolist(), strict=True)]
        return Neighbors(
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


def opened(
    folder: Path, settings: Any, videos: Mapping[str, Any], entries: Callable[[str], Entries], quiet: bool
) -> Index:
    """An index that holds exactly these videos; written to only where it doesn't yet."""
    index = Index(folder, settings)
    if index.differs(videos):
        index.update(videos, entries, quiet)
    try:
        index.map()
    except StoreError:  # another process packed it, or a file is damaged
        index.update(videos, entries, quiet)
        index.map()
    return index
