"""Labels on whole videos as a user has them: ``labels.csv``, or folders ``normal/`` and ``anomalous/``."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from wherewhen.contracts import DatasetReader, Provenance
from wherewhen.errors import DataError, unknown
from wherewhen.values import Dataset, Truth, Video

VIDEO_SUFFIXES = frozenset(
    f".{s}"
    for s in [
        "3gp",
        "avi",
        "flv",
        "h264",
        "m2ts",
        "m4v",
        "mkv",
        "mov",
        "mp4",
        "mpeg",
        "mpg",
        "mts",
        "ogv",
        "ts",
        "webm",
        "wmv",
    ]
)
IMAGE_SUFFIXES = frozenset((".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"))

WORDS = {"0": 0, "normal": 0, "1": 1, "anomalous": 1, "abnormal": 1, "anomaly": 1}
"""Words for a label, in any case; the words, not the digits, are also the names of folders."""

COLUMNS = ("path", "label", "class")


@dataclass(frozen=True, slots=True)
class _Entry:
    where: str
    path: str
    label: int
    category: str | None


def _hidden(path: Path) -> bool:
    return path.name.startswith(".")


def _is_video(path: Path) -> bool:
    """Whether a path is a video file, or a folder whose own files are pictures."""
    if path.is_dir():
        return any(p.suffix.lower() in IMAGE_SUFFIXES and p.is_file() and not _hidden(p) for p in path.iterdir())
    return path.suffix.lower() in VIDEO_SUFFIXES


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Line numbers and cells of a CSV file with commas, semicolons or tabs, blank lines left out."""
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text; save it as UTF-8") from error
    first = text.lstrip().split("\n", 1)[0]
    mark = next((m for m in ",;\t" if m in first), ",")
    reader = csv.reader(text.splitlines(), delimiter=mark)
    for cells in reader:
        stripped = [cell.strip() for cell in cells]
        if any(stripped):
            yield reader.line_num, stripped


def _header(cells: list[str], where: str) -> list[str] | None:
    """The columns that a first line names, None if it is a row already."""
    names = [cell.lower() for cell in cells]
    if len(names) > 1 and names[1] in WORDS:
        return None
    if "path" not in names and "label" not in names:
        return None
    for name in names:
        if name not in COLUMNS:
            raise DataError(f"{where}: {unknown('column', name, COLUMNS)}")
    if "path" not in names or "label" not in names or len(set(names)) < len(names):
        raise DataError(f"{where}: expected the header path,label or path,label,class; got {','.join(cells)}")
    return names


def _listed(root: Path, table: Path) -> Iterator[_Entry]:
    columns: list[str] | None = None
    for number, cells in _rows(table):
        where = f"{table}: line {number}"
        if columns is None:
            header = _header(cells, where)
            columns = header or list(COLUMNS)
            if header:
                continue
        if len(cells) > len(columns) or len(cells) < 2:
            raise DataError(f"{where}: expected path,label[,class], got {len(cells)} cells: {','.join(cells)}")
        cell = dict(zip(columns, cells, strict=False))
        path, word = cell.get("path", ""), cell.get("label", "").lower()
        if not path:
            raise DataError(f"{where}: no path")
        if word not in WORDS:
            raise DataError(f"{where}: {unknown('label', cell.get('label', ''), WORDS)}")
        category = cell.get("class") or None
        if not WORDS[word] and category:
            if category.lower() != "normal":
                raise DataError(f"{where}: a normal video can't have the class {category!r}")
            category = None
        yield _Entry(where, _relative(root, path, where), WORDS[word], category)


def _relative(root: Path, path: str, where: str) -> str:
    """The path of a video relative to the root, as posix; it must be there and inside."""
    if not (root / path).exists() and "\\" in path:
        path = path.replace("\\", "/")
    pure = PurePosixPath(path)
    if pure.is_absolute() or path[1:3] in (":/", ":\\"):
        raise DataError(f"{where}: {path} is an absolute path; write it relative to {root}")
    if ".." in pure.parts:
        raise DataError(f"{where}: {path} leads out of {root}; put the video, or a link to it, inside")
    full = root / path
    if not full.exists():
        raise DataError(f"{where}: no such video: {full}")
    if not _is_video(full):
        kind = "a folder without pictures" if full.is_dir() else "not a video file"
        raise DataError(f"{where}: {full} is {kind}; expected a video or a folder of pictures")
    return pure.as_posix()


def _kinds(root: Path) -> list[tuple[Path, int]]:
    """The folders that are called like a label."""
    found = sorted(p for p in root.iterdir() if p.is_dir() and p.name.lower() in WORDS and not p.name.isdigit())
    return [(p, WORDS[p.name.lower()]) for p in found]


def _walk(folder: Path) -> Iterator[Path]:
    """Every video below a folder in the order of names, hidden ones left out."""
    for path in sorted(folder.iterdir()):
        if _hidden(path):
            continue
        if _is_video(path):
            yield path
        elif path.is_dir():
            yield from _walk(path)


def _found(root: Path) -> Iterator[_Entry]:
    for folder, label in _kinds(root):
        if _is_video(folder):
            raise DataError(f"{folder}: pictures lie directly in it; give every video a folder of its own")
        for path in _walk(folder):
            inner = path.relative_to(folder).parts
            category = inner[0] if label and len(inner) > 1 else None
            yield _Entry(str(path), path.relative_to(root).as_posix(), label, category)


def load(root: Path) -> Dataset:
    """Every video of a folder with its label, and class where given; a video's id is its path without suffix.

    ``labels.csv`` goes before folders. Raises DataError, naming the line, for whatever can't be meant.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"{root}: no such folder")
    table = root / "labels.csv"
    if not table.is_file() and not _kinds(root):
        raise DataError(f"{root}: expected a file labels.csv (path,label[,class]) or folders normal/ and anomalous/")
    videos: dict[str, Video] = {}
    origin: dict[str, _Entry] = {}
    for entry in _listed(root, table) if table.is_file() else _found(root):
        path = root / entry.path
        name = entry.path if path.is_dir() else str(PurePosixPath(entry.path).with_suffix(""))
        if name in origin:
            first = origin[name]
            raise DataError(f"{entry.where}: {entry.path} would be the same video as {first.path} ({first.where})")
        origin[name] = entry
        videos[name] = Video(name, path, entry.label, entry.category)
    if not videos:
        raise DataError(f"{table if table.is_file() else root}: no videos in it")
    labels = {video.label for video in videos.values()}
    if len(labels) == 1:
        have, lack = ("anomalous", "normal") if labels == {1} else ("normal", "anomalous")
        raise DataError(f"{root}: all {len(videos)} videos are {have}; learning needs {lack} ones as well")
    return Dataset(root.resolve().name, tuple(videos.values()))


def truth(root: Path) -> dict[str, Truth]:
    """Always empty: labels on whole videos say nothing about times. DataError where `load` raises it."""
    load(root)
    return {}


def matches(root: Path) -> bool:
    """Whether there is a ``labels.csv``, or a folder for each of the two labels."""
    root = Path(root)
    return root.is_dir() and ((root / "labels.csv").is_file() or {label for _, label in _kinds(root)} == {0, 1})


PLUGIN = DatasetReader(
    source=Provenance("Your own videos, with a label on each"),
    matches=matches,
    load=load,
    truth=truth,
)
