"""The training videos of a run: where they are, as its folder records it, and whether they are still those."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from wherewhen import datasets
from wherewhen.core.config import build
from wherewhen.core.documents import read_json
from wherewhen.core.errors import DataError
from wherewhen.core.feature_file import content
from wherewhen.core.store import write_json
from wherewhen.core.values import Video
from wherewhen.datasets import Folders

log = logging.getLogger("wherewhen")

NAME = "data.json"
LEAST = 0.9  # share of the training videos that must be there


@dataclass(frozen=True)
class DataRecord:
    """Where the training videos of a run are, and which of them it was trained on; arguments of `train`.

    ``root``: relative to the run folder, or absolute. ``videos``: checksums of the contents, where the model learned
    from others too.
    """

    root: str
    reader: str | None = None
    fold: str | None = None
    normal: str | None = None
    anomalous: str | None = None
    videos: tuple[str, ...] = ()

    @classmethod
    def read(cls, folder: Path) -> DataRecord | None:
        """The record in a run folder; None where it has none."""
        path = folder / NAME
        return build(cls, read_json(path), str(path)) if path.exists() else None

    def write(self, folder: Path) -> None:
        """Write it into a run folder."""
        write_json(folder / NAME, asdict(self))

    def path(self, folder: Path) -> Path:
        """The data, seen from the run folder that the record is in."""
        return Path(os.path.normpath(folder / self.root))

    def at(self, root: Path, folder: Path) -> DataRecord:
        """The same record for a run folder, with the data at another place."""
        return replace(self, root=_relative(root, folder))

    def moved(self, old: Path, new: Path) -> DataRecord:
        """The same data, for another run folder."""
        return replace(self, root=_relative(self.path(old), new))


def hand_on(old: Path, new: Path) -> None:
    """Copy the record of a run folder into that of a model that was made from it, if there is one."""
    record = DataRecord.read(old) if old.is_dir() else None
    if record is not None:
        record.moved(old, new).write(new)


def training_data(run: Path, data: str | Path | None = None) -> tuple[DataRecord, Path]:
    """The record of a run folder and the folder of its data; ``data``: the present place of the data.

    Raises:
        DataError: the data is gone, or not recorded.
    """
    record = DataRecord.read(run) if run.is_dir() else None
    if data is not None:
        return replace(record or DataRecord(""), root=str(Path(data).absolute())), Path(data)
    if record is None:
        raise DataError(
            f"{run}: its training videos are needed too, and it does not record where they are; add --videos FOLDER, "
            "the folder that it was trained on"
        )
    root = record.path(run)
    if not root.exists():
        raise DataError(
            f"{root}: the training videos of {run} are not there any more; add --videos FOLDER, their new place"
        )
    return record, root


def training_videos(record: DataRecord, root: Path, trained_on: tuple[str, ...]) -> tuple[list[Video], tuple[str, ...]]:
    """The labelled videos that a model was trained on, and ids of those that the data set validates with, if any.

    ``trained_on``: checksums of their contents; empty where they are not known, then all labelled ones.

    Raises:
        DataError: more than a tenth of them is not there, or changed.
    """
    folders = Folders.of(record.normal, record.anomalous)
    dataset = datasets.reader_of(root, record.reader, folders).load(root)
    videos, validation = datasets.training_videos(dataset, record.fold)
    labelled = [video for video in videos if video.label is not None and video.path.exists()]
    checksums = set(record.videos or trained_on)
    if not checksums:
        return labelled, _validating(labelled, validation)
    present = [video for video in labelled if content(video.path) in checksums]
    missing = len(checksums - {content(video.path) for video in present})
    if missing > (1 - LEAST) * len(checksums):
        raise DataError(
            f"{root}: {missing} of the {len(checksums)} training videos of this model are not there or were changed; "
            "without them the new model would forget what they taught. Add --videos FOLDER, their place"
        )
    if missing:
        log.warning("%s: %d of %d training videos are not there or were changed", root, missing, len(checksums))
    return present, _validating(present, validation)


def _validating(videos: Sequence[Video], ids: Sequence[str]) -> tuple[str, ...]:
    """Ids of the validation videos that are there; none where a label is missing among them."""
    held = [video for video in videos if video.id in set(ids)]
    return tuple(video.id for video in held) if {video.label for video in held} == {0, 1} else ()


def _relative(path: Path, folder: Path) -> str:
    try:
        return os.path.relpath(path.absolute(), folder.absolute())
    except ValueError:  # another drive
        return str(path.absolute())
