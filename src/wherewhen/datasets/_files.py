"""Finding and reading the files of a data set, for any arrangement of its folders."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wherewhen.core.diagnostics import report
from wherewhen.core.errors import DataError
from wherewhen.core.recordings import PICTURE_SUFFIXES, VIDEO_SUFFIXES
from wherewhen.datasets import _table

VIDEOS, IMAGES = VIDEO_SUFFIXES, PICTURE_SUFFIXES
FEATURES = {".npy", ".npz", ".h5", ".pt", ".mat"}


def walk(root: Path, depth: int = 5) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Folders under ``root``, in order and no deeper than ``depth``, hidden ones left out, links followed."""
    for folder, folders, files in os.walk(root, followlinks=True):
        path = Path(folder)
        if len(path.relative_to(root).parts) >= depth:
            folders.clear()
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        yield path, folders, sorted(f for f in files if not f.startswith("."))


def locate(root: Path, *names: str, depth: int = 3) -> Path | None:
    """The first of ``names`` (files or folders, case ignored) in or under ``root``; None if there is none."""
    for name in names:
        if (root / name).exists():
            return root / name
    lowered = [PurePosixPath(name).name.lower() for name in names]
    for folder, subfolders, files in walk(root, depth):
        by_name = {entry.lower(): entry for entry in (*subfolders, *files)}
        for name in lowered:
            if name in by_name:
                return folder / by_name[name]
    return None


def need(root: Path, *names: str, content: str) -> Path:
    """``locate``, or DataError that names the missing ``content``."""
    path = locate(root, *names)
    if path is None:
        raise DataError(f"{root}: {content} not found; expected a file called {' or '.join(names)} in it or below it")
    return path


def lines(path: Path) -> list[tuple[int, str]]:
    """Rows that are not empty with their 1-based numbers; blanks at their ends are cut and reported once."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        report("text-encoding", f"byte {error.start} is not UTF-8; names with such letters may be wrong", where=path)
        text = path.read_text(encoding="latin-1")
    rows = [(number, row) for number, row in enumerate(text.splitlines(), 1) if row.strip()]
    blank = sum(row != row.rstrip() for _, row in rows)
    if blank:
        report("row-blank", f"{blank} rows end in blanks", where=path)
    return [(number, row.strip()) for number, row in rows]


def named_rows(path: Path) -> Iterator[tuple[str, str, list[str], str]]:
    """Rows ``name field field ...`` of a file: the video's id, the row as written, its fields, and its place."""
    for number, row in lines(path):
        name, *fields = row.split()
        yield stem(name), row, fields, f"{path}:{number}"


def stem(name: str) -> str:
    """A video's id from its listed path: the file name without folders and without a known extension.

    >>> stem("Abuse/Abuse001_x264.mp4"), stem("v=0__#00-01-10_label_A"), stem("C:\\\\x\\\\a.b.npy")
    ('Abuse001_x264', 'v=0__#00-01-10_label_A', 'a.b')
    """
    last = PureWindowsPath(name).name if "\\" in name else PurePosixPath(name).name
    suffix = PurePosixPath(last).suffix.lower()
    return last[: -len(suffix)] if suffix in VIDEOS | FEATURES | IMAGES else last


def listed(path: Path) -> list[tuple[str, str]]:
    """A list of videos as pairs (id, path as written): repeated names are reported and kept once."""
    names = [row.split(maxsplit=1)[0] if path.suffix != ".csv" else row.split(",")[0] for _, row in lines(path)]
    pairs = [(stem(name), name) for name in names]
    absolute = [n for n in names if PurePosixPath(n).is_absolute() or PureWindowsPath(n).is_absolute()]
    if absolute:
        report("path-absolute", f"{len(absolute)} of {len(names)} paths are absolute: {absolute[0]}", where=path)
    endings = {name.replace("\\", "/").rpartition("/")[2][len(key) :].lower() for key, name in pairs}
    if endings & FEATURES or len(endings) > 1:
        report("path-extension", f"names end in {', '.join(sorted(e or 'nothing' for e in endings))}", where=path)
    return unique(pairs, path)


def unique(pairs: Sequence[tuple[str, str]], where: object) -> list[tuple[str, str]]:
    """The pairs whose id came first; a second one is reported."""
    by_id: dict[str, str] = {}
    folded: dict[str, str] = {}
    for key, name in pairs:
        if key in by_id:
            kind = "name-repeated" if by_id[key] == name else "name-variant"
            report(kind, f"listed twice: {by_id[key]} and {name}", key, where)
            continue
        if key.lower() in folded:
            report("name-variant", f"differs from {folded[key.lower()]} only in case", key, where)
        by_id[key] = name
        folded[key.lower()] = key
    return list(by_id.items())


def table(path: Path) -> list[dict[str, str]]:
    """A CSV or TSV with a header as rows, keys and cells stripped; DataError names the line of a fault."""
    (_, head), *rows = _table.cells(path) or [(1, [""])]
    return [dict(zip(head, [*cells, *[""] * (len(head) - len(cells))], strict=False)) for _, cells in rows]


def array(path: Path) -> NDArray[Any]:
    """The numbers in an ``.npy`` file, memory-mapped; DataError for any other content.

    Never unpickles.
    """
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiub":
            raise ValueError(f"expected an array of numbers, got {getattr(values, 'dtype', 'an archive')}")
    except Exception as error:  # a damaged head may raise nearly anything
        message = (str(error).splitlines() or [""])[0][:120]
        raise DataError(f"{path}: not a readable npy file of numbers ({message})") from None
    return values


class Footage:
    """The places of the videos: files by id, and folders of numbered pictures, anywhere under a root."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._files: dict[str, Path] = {}
        for folder, folders, files in walk(root):
            pictures = any(Path(f).suffix.lower() in IMAGES for f in files[:3])
            if pictures:
                folders.clear()
                self._files.setdefault(stem(folder.name).lower(), folder)
                continue
            for name in files:
                if Path(name).suffix.lower() in VIDEOS:
                    self._files[stem(name).lower()] = folder / name

    def path(self, video: str, expected: str) -> Path:
        """The video's file; where there is none, the path at which it is expected (inside the root)."""
        if (self.root / expected).exists():
            return self.root / expected
        return self._files.get(video.lower(), self.root / expected)

    def under(self, folder: str) -> list[Path]:
        """Every file or picture folder below the folder of that name, in order."""
        parts = [(p, p.relative_to(self.root).parts[:-1]) for p in self._files.values()]
        return sorted(p for p, above in parts if folder.lower() in [a.lower() for a in above])

    def all(self) -> list[Path]:
        """Every file or picture folder."""
        return sorted(self._files.values())


def pictures(folder: Path) -> list[Path]:
    """The pictures of a folder in the order of their numbers (2 comes before 10)."""
    paths = [p for p in folder.iterdir() if p.suffix.lower() in IMAGES and not p.name.startswith(".")]
    return sorted(paths, key=lambda p: (int("".join(c for c in p.stem if c.isdigit()) or 0), p.name))
