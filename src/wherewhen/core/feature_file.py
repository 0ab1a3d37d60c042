"""Files of features of one video with a passport of their settings; opened without reading all of it.

One safetensors file per video and feature specification, written atomically. Its tensors:

    features  (N, D) float32 or float16   one row per instance, in order of time
    times     (T, 2) float64, seconds     where the instances are a grid: of its T time steps
    places    (h*w, 4) float64            where they are a grid: x0 y0 x1 y1 of its cells; N = T * h * w
    grid      (3,) int64                  where they are a grid: T, h, w
    detail    (T, H, W) float16           where they are a grid: how much moves, on a finer raster
    extents   (N, 6) float64              where they are no grid: the place of each instance
    track     (N,) int64                  where any instance has a track number
    path      (R, 6) float64              where instances move: a box of each in each frame
    owner     (R,) int64                  where instances move: the instance of each box, by row number
    surety    (R,) float64                where instances move: confidence of each box
    edges     (F + 1,) float64, seconds   where instances move: borders of the processed frames
    clock     (F + 1,) float64, seconds   borders of the frames of the whole video

Its passport (JSON in the file's head) has three parts. ``made``: everything that determines the numbers, by the names
of the settings; loaders refuse another one. ``source``: which video (sha256 of its content, span in seconds).
``about``: information, such as frame count, decoder and versions.

A store is a folder of such files:

    features.json                  index: videos with labels, folds, ``looks`` (the ``made`` of each folder)
    <look>/<video id>.safetensors  features; the folder is named by backbone, builder and a fingerprint of ``made``
    truth/<video id>.safetensors   ground truth, where the data set has it; read by evaluation only
    quarantine.json                videos that could not be read, with reasons
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wherewhen.core.array_files import Arrays, save
from wherewhen.core.config import flat
from wherewhen.core.documents import json_of
from wherewhen.core.errors import StoreError, VideoError
from wherewhen.core.printable import fitted
from wherewhen.core.recordings import no_file
from wherewhen.core.spill import Spool
from wherewhen.core.store import content_hash, pieces, plain
from wherewhen.core.values import Floats, Instances, Paths, Scores

SUFFIX = ".safetensors"
INDEX = "features.json"
STORED = ("float32", "float16")

Selected = slice | NDArray[np.intp]


class FeatureFile:
    """An open file of features: its head is read, its arrays are read on access.

    ``shape``: ``(N, D)``. ``grid``: ``(T, h, w)``, or None where the instances are no grid.
    """

    def __init__(self, path: str | Path) -> None:
        from safetensors import SafetensorError, safe_open

        mapped: Callable[..., Any] = safe_open  # it has no type annotations
        self.path = Path(path)
        try:
            self._file = mapped(self.path, framework="np")  # mapped, not read
            self.passport: dict[str, Any] = json_of((self._file.metadata() or {}).get("passport", "null"))
            self._names = set(self._file.keys())
        except FileNotFoundError:
            raise StoreError(f"{path}: no such file of features") from None
        except (SafetensorError, ValueError, OSError) as error:
            raise StoreError(f"{path}: not a readable file of features ({error}); delete it and run again") from None
        parts = [self.passport.get(part) for part in ("made", "source")] if isinstance(self.passport, dict) else [None]
        if not all(isinstance(part, dict) for part in parts) or "features" not in self._names:
            raise StoreError(f"{path}: is not a file of features: it has no passport of one")
        with self._store_errors():
            rows, length = self._file.get_slice("features").get_shape()
            self.shape: tuple[int, int] = (rows, length)
            t, h, w = self._file.get_tensor("grid").tolist() if "grid" in self._names else (0, 0, 0)
            self.grid = (t, h, w) if t else None

    @property
    def clock(self) -> Floats:
        """Borders of the video's frames ``(F + 1,)`` in seconds."""
        with self._store_errors():
            clock: Floats = self._file.get_tensor("clock")
        return clock

    @property
    def damage(self) -> str | None:
        """Why they cover less than the whole video; None if all of it was read."""
        about = self.passport.get("about")
        return about.get("damage") if isinstance(about, dict) else None

    @property
    def times(self) -> Floats:
        """When each step of the grid, or each instance, begins and ends: ``(T, 2)`` or ``(N, 2)`` seconds."""
        with self._store_errors():
            name, rows = ("times", self.grid[0]) if self.grid else ("extents", self.shape[0])
            times: Floats = self._file.get_tensor(name)
            if times.ndim != 2 or len(times) != rows or times.shape[1] < 2:
                raise ValueError(f"{name}: expected {rows} beginnings and ends, got the shape {times.shape}")
            return times[:, :2]

    def between(self, start: float, end: float) -> Instances:
        """Instances whose time touches ``[start, end)``; only these are read. StoreError where there are none."""
        times = self.times
        return self._checked(np.flatnonzero((times[:, 1] > start) & (times[:, 0] < end)), f"{start} s to {end} s")

    def instances(self) -> Instances:
        """All instances."""
        return self._checked(np.arange(len(self.times)), "the whole video")

    def _checked(self, steps: NDArray[np.intp], description: str) -> Instances:
        with self._store_errors():
            return self._read(steps, description)

    @contextmanager
    def _store_errors(self) -> Iterator[None]:
        """Arrays that are missing or of another shape or type are a StoreError."""
        from safetensors import SafetensorError

        try:
            yield
        except (SafetensorError, ValueError, TypeError, IndexError) as error:
            raise StoreError(f"{self.path}: {error}; delete it and extract the features again") from None

    def _read(self, steps: NDArray[np.intp], description: str) -> Instances:
        """Instances of some steps of the grid (or some rows): one stretch of the file is read."""
        if not len(steps):
            raise StoreError(f"{self.path}: holds nothing from {description}")
        first, last = int(steps[0]), int(steps[-1]) + 1
        chosen: Selected = slice(0, last - first) if len(steps) == last - first else steps - first

        def part(name: str, each: int = 1) -> NDArray[Any]:
            rows = self._file.get_slice(name)[first * each : last * each]
            whole: NDArray[Any] = rows.reshape(last - first, each, *rows.shape[1:])[chosen]
            return whole.reshape(-1, *rows.shape[1:])

        cells = self.grid[1] * self.grid[2] if self.grid else 1
        track = part("track", cells) if "track" in self._names else np.empty(0, np.int64)
        features = part("features", cells).astype(np.float32, copy=False)
        if self.grid is None:
            return Instances(features, part("extents"), track, paths=self._paths(steps))
        places = self._file.get_tensor("places")
        extents = _extents(part("times"), places)
        detail = part("detail").astype(np.float32) if "detail" in self._names else None
        if detail is not None and not np.isfinite(detail).all():
            raise ValueError("detail: every value must be finite")
        return Instances(features, extents, track, (len(steps), *self.grid[1:]), detail)

    def _paths(self, chosen: NDArray[np.intp]) -> Paths | None:
        """The paths of some instances."""
        if "path" not in self._names:
            return None
        path, owner, surety = (self._file.get_tensor(name) for name in ("path", "owner", "surety"))
        is_chosen = np.isin(owner, chosen)
        rows = Scores(path[is_chosen], surety[is_chosen], np.searchsorted(chosen, owner[is_chosen]))
        return Paths(rows, self._file.get_tensor("edges"))


def open_features(path: str | Path) -> FeatureFile:
    """Open a file of features; StoreError if it is missing, damaged or something else."""
    return FeatureFile(path)


def save_features(
    path: str | Path, instances: Instances, clock: Floats, passport: Mapping[str, Any], stored: str = "float32"
) -> None:
    """Write the instances of a video atomically; ``stored``: float32 is exact, float16 halves the size."""
    arrays: Arrays = {"features": _rounded(instances.features, stored), "clock": np.asarray(clock, np.float64)}
    if (instances.track >= 0).any():
        arrays["track"] = instances.track
    if (compact := _grid(instances)) is not None:
        arrays |= compact
        if instances.detail is not None:
            arrays["detail"] = _rounded(instances.detail, "float16")
    else:
        arrays["extents"] = instances.extents
        if instances.paths is not None:
            rows = instances.paths.rows
            arrays |= {"path": rows.extents, "owner": rows.track, "surety": rows.values, "edges": instances.paths.edges}
    save(path, arrays, passport, ours=True)  # callers check an existing file


def _rounded(array: NDArray[Any], stored: str) -> NDArray[Any]:
    if array.dtype == stored:
        return array
    spool = Spool()
    for rows in pieces(array):
        spool.append(rows.astype(stored))
    return spool.whole()


def _extents(times: Floats, places: Floats) -> Floats:
    rows = np.empty((len(times), len(places), 6))
    rows[..., :2], rows[..., 2:] = times[:, None], places
    return rows.reshape(-1, 6)


def _grid(instances: Instances) -> Arrays | None:
    """Extents of a grid as time steps and places; None where these would not restore them exactly."""
    if instances.shape is None:
        return None
    t, h, w = instances.shape
    table = instances.extents.reshape(t, h * w, 6)
    times, places = np.ascontiguousarray(table[:, 0, :2]), np.ascontiguousarray(table[0, :, 2:])
    if not ((table[..., :2] == times[:, None]).all() and (table[..., 2:] == places).all()):
        return None
    return {"times": times, "places": places, "grid": np.array(instances.shape, np.int64)}


def is_features(path: str | Path) -> bool:
    """Whether a path names a file of features rather than a video."""
    return Path(path).suffix == SUFFIX


def store_of(path: str | Path) -> Path:
    """The store that contains a file of features; StoreError if none does."""
    for folder in Path(path).parents:
        if (folder / INDEX).is_file():
            return folder
    raise StoreError(f"{path}: is not in a store of features (no {INDEX} in a folder above it)")


def inside(store: Path, folder: str, video: str) -> Path:
    """The path of the features of a video in a store; StoreError for an id that leads out of the folder."""
    path = store / folder / f"{fitted(video)}{SUFFIX}"
    if Path(video).is_absolute() or ".." in Path(video).parts:
        raise StoreError(f"{video!r}: an id that leads out of the store can't name a file in it")
    return path


def differences(expected: Mapping[str, Any], actual: Mapping[str, Any]) -> list[str]:
    """How two records differ, field by field, by dotted names.

    >>> differences({"backbone": "motion", "motion": {"width": 320}}, {"backbone": "motion", "motion": {"width": 160}})
    ['motion.width: expected 320, got 160']
    """
    expected_values, actual_values = flat(plain(expected)), flat(plain(actual))
    keys = [key for key in {**expected_values, **actual_values} if expected_values.get(key) != actual_values.get(key)]
    return [f"{key}: expected {expected_values.get(key)!r}, got {actual_values.get(key)!r}" for key in keys]


def stamp(path: Path) -> tuple[str, int, int]:
    """A video's path, size and time of change: a cheap test whether it is unchanged.

    VideoError where there is none, or something that can't be read to an end, such as a pipe.
    """
    if (kind := no_file(path)) is not None:
        raise VideoError(path, f"this is {kind}; expected a video file or a folder of pictures")
    try:
        newest = max(
            (p.stat() for p in [path, *(path.iterdir() if path.is_dir() else ())]), key=lambda s: s.st_mtime_ns
        )
    except FileNotFoundError:
        raise VideoError(path, "no such file") from None
    return str(path.resolve()), newest.st_size, newest.st_mtime_ns


def content(path: Path) -> str:
    """sha256 of a video, read again only when its size or time changes; for a file of features that of its video."""
    return _content(*stamp(path))


@lru_cache(maxsize=100_000)
def _content(path: str, size: int, changed: int) -> str:
    if is_features(path):
        sha256 = open_features(path).passport["source"].get("sha256")
        return str(sha256 or content_hash(path))
    return content_hash(path)
