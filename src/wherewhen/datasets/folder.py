"""Labels of whole videos: a ``labels.csv``, or folders ``normal/`` and ``anomalous/``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path, PurePosixPath

from wherewhen.core.contracts import DatasetReader, Provenance
from wherewhen.core.diagnostics import report
from wherewhen.core.errors import ConfigError, DataError
from wherewhen.core.printable import printable
from wherewhen.core.values import Dataset, Fold, Truth, Video
from wherewhen.datasets._class_folders import NAMES, Folders, below, listed, usual
from wherewhen.datasets._footage import is_video, videos_in, videos_left
from wherewhen.datasets._table import Row, named, quoted, rows, seconds

TABLE = "labels.csv"
COLUMNS = ("path", "label", "class", "split", "camera", "start", "end")
SPLIT = "split"  # name of the fold that the column of that name makes
WORDS = ("normal", "anomalous")


@dataclass(frozen=True, slots=True)
class _Entry:
    where: str
    path: str
    label: int
    category: str | None
    split: str | None = None
    camera: str | None = None
    span: tuple[float, float] | None = None

    @property
    def claims(self) -> tuple[object, ...]:
        """All that the row states about its video."""
        return self.label, self.category, self.split, self.camera


def _in_table(root: Path, table: Path) -> Iterator[_Entry]:
    """The videos of a table, each once."""
    entries: dict[object, _Entry] = {}
    for row in rows(table, COLUMNS, COLUMNS[:3]):
        entry = _entry(root, row)
        first = entries.setdefault((entry.path, entry.span), entry)
        if first is entry:
            yield entry
        elif first.claims == entry.claims:
            report("name-repeated", f"repeats {_line(first)}", entry.path, entry.where)
        else:
            message = f"{named(entry.path)} is {_described(entry)} here and {_described(first)} in {_line(first)}"
            raise DataError(f"{entry.where}: {message}; remove one of the two rows")


def _line(entry: _Entry) -> str:
    return entry.where.rpartition(": ")[2]


def _described(entry: _Entry) -> str:
    camera = f"camera {quoted(entry.camera)}" if entry.camera else ""
    texts = [quoted(text) for text in (entry.category, entry.split) if text]
    return ", ".join([WORDS[entry.label], *texts, *([camera] if camera else [])])


def _entry(root: Path, row: Row) -> _Entry:
    label, category = row.label(), row.cells.get("class") or None
    if not label and category:
        if category.lower() != "normal":
            raise DataError(f"{row.where}: a normal video can't have the class {quoted(category)}")
        category = None
    path = _relative(root, row.cells["path"], row.where)
    return _Entry(row.where, path, label, category, row.split(), row.cells.get("camera") or None, row.span())


def _exists(path: Path) -> bool:
    """Whether a path exists; a name that no file can have doesn't."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def _relative(root: Path, path: str, where: str) -> str:
    """The path of a video relative to the root, as posix; it must be there and inside."""
    if "\\" in path and not _exists(root / path):
        path = path.replace("\\", "/")
    pure = PurePosixPath(path)
    if pure.is_absolute() or path[1:3] in (":/", ":\\"):
        raise DataError(f"{where}: {named(path)} is an absolute path; write it relative to {root}")
    if ".." in pure.parts:
        raise DataError(f"{where}: {named(path)} leads out of {root}; put the video, or a link to it, inside")
    full = root / path
    if not _exists(full):
        raise DataError(f"{where}: no such video: {named(path)} in {root}{_suggestion(full)}")
    if not is_video(full):
        kind = "a folder without pictures" if full.is_dir() else "not a video file"
        raise DataError(f"{where}: {named(path)} is {kind}; expected a video or a folder of pictures")
    return pure.as_posix()


def _suggestion(path: Path) -> str:
    """A hint at a file of nearly the same name in the same folder."""
    try:
        names = {entry.name.lower(): entry.name for entry in path.parent.iterdir()}
    except (OSError, ValueError):
        return ""
    matches = get_close_matches(path.name.lower()[:300], names, 1, 0.8)
    return f"; did you mean {named(names[matches[0]])}?" if matches else ""


def _in_folders(root: Path, folders: Folders | None) -> Iterator[_Entry]:
    for folder, label in folders.chosen(root) if folders else usual(root):
        if is_video(folder):
            raise DataError(f"{folder}: pictures are directly in it; give every video a separate folder")
        paths = videos_in(folder)
        if not paths:
            raise DataError(f"{folder}: no videos in it, so there is nothing {WORDS[label]}")
        name = folder.name if folders and folder.name.lower() not in NAMES else None
        for path in paths:
            inner = path.relative_to(folder).parts
            category = (inner[0] if len(inner) > 1 else name) if label else None
            yield _Entry(str(path), path.relative_to(root).as_posix(), label, category)


def load(root: Path, folders: Folders | None = None) -> Dataset:
    """Every video of a folder with its label, and class where given; a video's id is its path without suffix.

    A span of a video has it in its id too: ``yard@8-14.5``. ``labels.csv`` goes before folders. ``folders``: names of
    the label folders, in place of the usual ones. Raises DataError, naming file and line, for invalid labels.
    """
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"{root}: no such folder")
    entries = _entries(root, folders)
    videos: dict[str, Video] = {}
    origin: dict[str, _Entry] = {}
    for entry in entries:
        path = root / entry.path
        name = printable(entry.path if path.is_dir() else PurePosixPath(entry.path).with_suffix(""))
        name = name if entry.span is None else f"{name}@{'-'.join(map(seconds, entry.span))}"
        if name in origin:
            first = origin[name]
            message = f"{named(entry.path)} would be the same video as {named(first.path)} ({first.where})"
            raise DataError(f"{entry.where}: {message}; rename one of them")
        origin[name] = entry
        videos[name] = Video(name, path, entry.label, entry.category, entry.span, entry.camera)
    labels = {video.label for video in videos.values()}
    if len(labels) == 1:
        have, lack = WORDS[::-1] if labels == {1} else WORDS
        raise DataError(f"{root}: all {len(videos)} videos are {have}; learning needs {lack} ones as well")
    _report_unlabelled(root, [video.path for video in videos.values()])
    parts = {name: entry.split for name, entry in origin.items()}
    fold = _fold(videos, parts, root / TABLE)
    return Dataset(root.resolve().name, tuple(videos.values()), (fold,) if fold else (), SPLIT if fold else "")


def _entries(root: Path, folders: Folders | None) -> list[_Entry]:
    table = root / TABLE
    if table.exists():
        if folders:
            raise ConfigError(f"{table}: the table has the labels; leave --normal and --anomalous out, or rename it")
        entries = list(_in_table(root, table))
        if not entries:
            raise DataError(f"{table}: no videos in it")
        return entries
    if not folders and not usual(root):
        raise DataError(f"{root}: {nothing(root)}")
    return list(_in_folders(root, folders))


def _report_unlabelled(root: Path, labelled: list[Path]) -> None:
    """Report videos below the root that have no label."""
    left = videos_left(root, labelled)
    if left:
        examples = ", ".join(named(path.relative_to(root).as_posix()) for path in left[:3])
        message = f"{len(left)} videos without a label: {examples}{', ...' if left[3:] else ''}"
        report("unlabelled", message, where=root / TABLE if (root / TABLE).exists() else root)


def nothing(root: Path) -> str:
    """What a folder without labels needs, and what is there instead."""
    message = f"expected a file {TABLE} (path,label[,class]) or folders normal/ and anomalous/"
    return f"{message}, or --normal NAMES --anomalous NAMES with other names. {listed(below(root))}"


def _fold(videos: dict[str, Video], parts: dict[str, str | None], table: Path) -> Fold | None:
    """The fold of a column ``split``; None where the column is empty."""
    if not any(parts.values()):
        return None
    train, val, test = (
        tuple(video for name, video in videos.items() if parts[name] == part) for part in ("train", "val", "test")
    )
    for column, part in (("train", train), ("val", val)):
        labels = {video.label for video in part}
        if labels != {0, 1} and (part or column == "train"):
            has = f"has {WORDS[labels.pop() or 0]} videos only" if labels else "has no videos"
            raise DataError(f"{table}: column split: {column} {has}; it needs both labels")
    left = sum(part is None for part in parts.values())
    if left:
        report(
            "split-empty",
            f"{left} of {len(parts)} videos are in no part and so in neither training nor test",
            "",
            table,
        )
    return Fold(SPLIT, train + val, test, tuple(video.id for video in val))


def truth(root: Path, folders: Folders | None = None) -> dict[str, Truth]:
    """Always empty: labels on whole videos hold no times. DataError where `load` raises it."""
    load(root, folders)
    return {}


def matches(root: Path) -> bool:
    """Whether there is a ``labels.csv``, or a folder for each of the two labels."""
    root = Path(root)
    return root.is_dir() and ((root / TABLE).exists() or {label for _, label in usual(root)} == {0, 1})


PLUGIN = DatasetReader(
    source=Provenance("Your own videos, with a label on each"),
    matches=matches,
    load=load,
    truth=truth,
    split_rule="the column split of labels.csv, where there is one",
)
