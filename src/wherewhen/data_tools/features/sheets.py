"""Stores, feature files and arrays of other tools as sheets to compare: one per video, read on access."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from wherewhen.core.errors import ConfigError, DataError
from wherewhen.core.feature_file import INDEX, SUFFIX, open_features
from wherewhen.data_tools.features import layouts
from wherewhen.data_tools.features.diff import Sheet, Sheets
from wherewhen.data_tools.features.layouts import plain_name
from wherewhen.datasets._feature_store import read_index


def sheets(path: str | Path) -> Sheets:
    """The features of each video in a store, a folder of one feature set, or a file; ConfigError if ambiguous.

    Arrays of others: ``(T, D)`` or ``(T, P, D)`` npy files, or any known layout.
    """
    root = Path(path)
    if root.is_file() and root.suffix == SUFFIX:
        return {root.stem: partial(of_file, root)}
    if root.is_file() and root.suffix == ".npy":
        return {plain_name(root.name): partial(of_array, root)}
    if not root.exists():
        raise DataError(f"{root}: no such file or folder")
    folder = root
    if (root / INDEX).is_file():
        sets = [name for name in read_index(root)["looks"] if (root / name).is_dir()]
        chosen = [name for name in sets if not name.startswith("frame_difference-")] or sets
        if len(chosen) != 1:
            raise ConfigError(f"{root}: has several sets; name one of {', '.join(str(root / n) for n in chosen)}")
        folder = root / chosen[0]
    feature_files = {
        p.relative_to(folder).with_suffix("").as_posix(): partial(of_file, p) for p in folder.rglob(f"*{SUFFIX}")
    }
    if feature_files:
        return feature_files
    files = layouts.gathered(root)
    layout = layouts.layout_of(layouts.recognized(root, files))
    return {key: partial(_laid_out, key, parts, layout) for key, parts in files.items()}


def matched(a: Sheets, b: Sheets) -> tuple[Sheets, Sheets]:
    """The same sheets with those of one video called alike: two single ones, or names that differ in their endings."""
    if len(a) == len(b) == 1:
        (name,), (other,) = a, b
        return a, {name: b[other]}
    plain: dict[str, list[str]] = {}
    for name in a:
        plain.setdefault(plain_name(name), []).append(name)
    renamed = {}
    for name in b:
        alike = plain.get(plain_name(name), [])
        renamed[name if name in a or len(alike) != 1 else alike[0]] = b[name]
    return a, renamed


def of_file(path: Path) -> Sheet:
    """A file of ours: ``(T, P, D)`` for a grid, or for as many rows at each time (crops); else ``(N, 1, D)``."""
    file = open_features(path)
    instances = file.instances()
    rows, length = instances.features.shape
    if file.grid is not None:
        return Sheet(instances.features.reshape(file.grid[0], -1, length), file.passport)
    new = np.flatnonzero((np.diff(instances.extents[:, :2], axis=0) != 0).any(1)) + 1
    starts = np.array([0, *new])
    sizes = np.diff([*starts, rows])
    size = int(sizes[0]) if len(set(sizes.tolist())) == 1 else 1
    return Sheet(instances.features.reshape(-1, size, length), file.passport)


def of_array(path: Path) -> Sheet:
    """An npy file of ``(T, D)`` or ``(T, P, D)``; more axes in the middle count as places."""
    array = layouts.numbers(path)
    if array.ndim < 2:
        raise DataError(f"{path}: expected (T, D) or (T, P, D), got {array.shape}")
    return Sheet(np.asarray(array, np.float32).reshape(len(array), -1, array.shape[-1]))


def _laid_out(key: str, parts: dict[int | None, Path], layout: layouts.Layout) -> Sheet:
    try:
        return Sheet(layouts.read(parts, layout))
    except DataError as error:
        raise DataError(f"{key}: {error}") from None
