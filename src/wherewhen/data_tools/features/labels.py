"""Labels, folds, lengths and ground truth of videos with imported features."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from wherewhen import datasets
from wherewhen.core import diagnostics
from wherewhen.core.errors import DataError
from wherewhen.core.values import Truth
from wherewhen.core.video_info import read_sidecar, supposed
from wherewhen.data_tools.features.layouts import plain_name
from wherewhen.datasets._codes import CAMERA, CODED, category
from wherewhen.datasets._table import named, quoted, rows

COLUMNS = ("path", "label", "class", "seconds", "split", "camera")
SHOWN = 3  # names in a message


@dataclass(frozen=True)
class Known:
    """Labels of one video; None where unknown. ``seconds``: how long it is."""

    label: int | None = None
    category: str | None = None
    seconds: float | None = None
    camera: str | None = None


@dataclass(frozen=True)
class Part:
    """A fold by plain names; ``validation`` are among ``train``."""

    train: frozenset[str]
    test: frozenset[str]
    validation: frozenset[str] = frozenset()


@dataclass
class Labels:
    """What is known of videos by plain name; folds; what really happens; and what a user must know about it.

    ``source``: where it is from, for messages. ``default``: name of the fold that is taken where none is named.
    ``relative``: truths count no seconds; each video lasts from 0 to 1.
    """

    rows: dict[str, Known] = field(default_factory=dict)
    folds: dict[str, Part] = field(default_factory=dict)
    truths: dict[str, Truth] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    source: str = ""
    default: str = ""
    relative: bool = False

    def put(self, name: str, row: Known, where: object) -> None:
        """Add a video; DataError where something else is known of it already."""
        if self.rows.setdefault(name, row) != row:
            raise DataError(f"{where}: two videos are called {named(name)}, with different labels")

    def check_names(self, names: Collection[str]) -> None:
        """DataError where none of these names (plain ones of features) is known, a note where some aren't."""
        lacking = [name for name in names if name not in self.rows]
        if self.rows and len(lacking) == len(names):
            message = f"{self.source}: names none of the {len(names)} videos that have features"
            called = f"the features are called {preview(names)}, the videos there {preview(self.rows)}"
            raise DataError(f"{message}; {called}. Names must agree, without folders, suffixes and endings like _i3d")
        if self.rows:
            count = len(names) - len(lacking)
            self.notes.append(f"labels: {count} of the {len(self.rows)} videos of {self.source} have features here")
        if self.rows and lacking:
            self.notes.append(f"{len(lacking)} videos with features are not in {self.source}: {preview(lacking)}")


def preview(names: Iterable[str]) -> str:
    """The first names, and how many more.

    >>> preview(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    listed = list(names)
    more = f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return ", ".join(named(name) for name in listed[:SHOWN]) + more


def labels_of(
    source: str | Path | None,
    reader: str | None = None,
    frames: Mapping[str, int] | None = None,
    rate: float | None = None,
) -> Labels:
    """Labels from a table, or with folds and truth from the folder of a data set (its videos needn't be there).

    ``frames``: plain names of the videos that are wanted, with their lengths in frames at ``rate`` as their features
    tell them, 0 where these don't: where the data set itself knows no length, this one is taken. Then what is wrong
    with other videos doesn't matter.
    """
    if source is None:
        return Labels()
    if Path(source).is_file():
        return _of_table(Path(source))
    return _of_folder(Path(source), reader, frames, rate)


def _of_folder(source: Path, reader: str | None, frames: Mapping[str, int] | None, rate: float | None) -> Labels:
    chosen = datasets.reader_of(source, reader)
    measured: set[str] = set()

    def length(video: str) -> Mapping[str, float] | None:
        count = (frames or {}).get(plain_name(video))
        if not count:
            return None
        measured.add(video)
        return {"frames": count} | ({"fps": rate} if rate else {})

    with diagnostics.listening() as odd, supposed(length):
        dataset, truths = chosen.load(source), chosen.truth(source)
    labels = Labels(source=str(source), default=dataset.default)
    sidecar = read_sidecar(source)
    for video in dataset.videos:
        row = sidecar.get(video.id, {})
        count, fps = row.get("frames"), row.get("fps") or rate
        seconds = count / fps if count and fps else None
        labels.put(plain_name(video.id), Known(video.label, video.category, seconds, video.camera), source)
    for fold in dataset.folds:
        train, test = (frozenset(plain_name(v.id) for v in part) for part in (fold.train, fold.test))
        labels.folds[fold.name] = Part(train, test, frozenset(map(plain_name, fold.validation)))
    labels.truths = {plain_name(name): truth for name, truth in truths.items()}
    concern = [finding for finding in odd if frames is None or not finding.video or plain_name(finding.video) in frames]
    diagnostics.raise_errors(
        [finding for finding in concern if frames is None or finding.kind != "length-unknown"], source
    )
    diagnostics.log_findings(concern, source)
    if measured:
        labels.notes.append(
            f"lengths of {len(measured)} videos are those of their features, because no other file has them"
        )
    tested = {name for part in labels.folds.values() for name in part.test} & set(frames or ())
    if lost := sorted(tested - labels.truths.keys()):
        message = (
            f"no truth for {len(lost)} of {len(tested)} test videos ({preview(lost)}): their lengths are not known"
        )
        labels.notes.append(
            f"{message}; give --frames-per-clip, or measure the videos with wherewhen data probe {source}"
        )
    return labels


def _of_table(path: Path) -> Labels:
    """A table ``path,label[,class][,seconds][,split][,camera]``."""
    labels, parts = Labels(source=str(path)), {part: set[str]() for part in ("train", "val", "test")}
    for row in rows(path, COLUMNS):
        name, label, category = plain_name(row.cells["path"]), row.label(), row.cells.get("class") or None
        if not name:
            raise DataError(f"{row.where}: {quoted(row.cells['path'])} names no video")
        seconds, camera = _seconds(row.cells.get("seconds"), row.where), row.cells.get("camera") or None
        labels.put(name, Known(label, category if label else None, seconds, camera), row.where)
        if (part := row.split()) is not None:
            other = [p for p, members in parts.items() if name in members and p != part]
            if other:
                raise DataError(f"{row.where}: {named(name)} is in {part} here and in {other[0]} above")
            parts[part].add(name)
    if not labels.rows:
        raise DataError(f"{path}: no videos in it")
    if any(parts.values()):
        labels.folds[path.stem] = Part(
            frozenset(parts["train"] | parts["val"]), frozenset(parts["test"]), frozenset(parts["val"])
        )
        labels.default = path.stem
    return labels


def _seconds(word: str | None, where: str) -> float | None:
    if not word:
        return None
    try:
        seconds = float(word)
    except ValueError:
        raise DataError(f"{where}: seconds are a number, got {quoted(word)}") from None
    if not 0 < seconds < np.inf:
        raise DataError(f"{where}: seconds are above 0, got {quoted(word)}")
    return seconds


def by_name(video: str) -> Known:
    """Label and class by the names of UCF-Crime, MSAD, XD-Violence and ShanghaiTech; DataError for any other name.

    >>> by_name("Abuse/Abuse001_x264"), by_name("Normal_Videos_003_x264").label, by_name("x__#1_label_B2-G-0").category
    (Known(label=1, category='Abuse', seconds=None, camera=None), 0, 'shooting+explosion')
    """
    name = plain_name(video)
    if code := CODED.search(name):
        return Known(int(code[1] != "A"), category(name))
    if camera := CAMERA.fullmatch(name):
        return Known(int(len(camera[1]) == 4))
    if "normal" in name.lower():
        return Known(0)
    if kind := re.match(r"([A-Za-z]+)_?\d", name):
        return Known(1, kind[1])
    examples = "Normal_Videos001, Abuse001, ..._label_A, ..._label_B1-0-0, 01_0014"
    raise DataError(f"{named(name)}: the name has no label; expected one like {examples}. Give a table with --labels")
