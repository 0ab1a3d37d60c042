"""Data sets, one file each: labels for training, truth for evaluation; and which of them reads a folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from wherewhen.core import registry
from wherewhen.core.addresses import address_in
from wherewhen.core.contracts import DatasetReader
from wherewhen.core.errors import ConfigError, DataError, unknown
from wherewhen.core.values import Dataset, Fold, Video
from wherewhen.datasets._class_folders import Folders, below, listed

__all__ = ["ALL", "LAST", "Folders", "evaluation_videos", "fold_of", "reader_of", "recognized", "training_videos"]

ALL = "all"  # in place of a fold's name: every video
LAST = "folder"  # labels on whole videos: the reader of folders that no other reader recognizes


def recognized(root: str | Path) -> DatasetReader | None:
    """The reader that recognizes a folder by the files in it, or None.

    A reader recognizes a folder by its label files alone, also damaged ones; ``load`` raises their errors.
    """
    for candidate in sorted(registry.names("datasets"), key=lambda n: (n == LAST, n != "native", n)):
        reader: DatasetReader = registry.load("datasets", candidate)
        if reader.matches(Path(root)):
            return reader
    return None


def reader_of(root: str | Path, name: str | None = None, folders: Folders | None = None) -> DatasetReader:
    """The reader called ``name``, or the one that recognizes the folder; DataError if there is no such folder.

    ``folders``: the folders of each label, where their names are not the usual ones; ConfigError where the labels
    come from elsewhere.
    """
    if (where := address_in(str(root))) is not None:
        raise DataError(f"{where}: expected a folder of this machine, got an address")
    if not Path(root).is_dir():
        raise DataError(
            f"{root}: {'a file; expected the folder of a data set' if Path(root).exists() else 'no such folder'}"
        )
    chosen: DatasetReader | None = registry.load("datasets", name) if name else recognized(root)
    if folders is not None:
        return _by_folders(root, name, chosen, folders)
    if chosen is not None:
        return chosen
    raise DataError(
        f"{root}: expected normal/ and anomalous/ folders, a labels.csv with path,label lines, or a known data set "
        f"(wherewhen list datasets). {listed(below(Path(root)))} If two folders hold the two kinds, name them: "
        "--normal NAME --anomalous NAME"
    )


def _by_folders(root: str | Path, name: str | None, chosen: DatasetReader | None, folders: Folders) -> DatasetReader:
    last: DatasetReader = registry.load("datasets", LAST)
    if chosen is not None and chosen is not last:
        message = f"{root}: --normal and --anomalous have no effect: the labels are in the files of this data set"
        raise ConfigError(f"{message} ({chosen.source.title})" + ("" if name else f"; --reader {LAST} leaves them out"))
    load: Any = last.load
    truth: Any = last.truth
    return replace(last, load=partial(load, folders=folders), truth=partial(truth, folders=folders))


def training_videos(dataset: Dataset, fold: str | None = None) -> tuple[Sequence[Video], tuple[str, ...]]:
    """The videos to train on, and the ids of those for validation, where the data set defines them.

    ``fold``: its name, `ALL` for every labelled video, or None for the default of the data set.
    """
    chosen = fold_of(dataset, fold)
    if chosen is None:
        return [v for v in dataset.videos if v.label is not None], ()
    return chosen.train, chosen.validation


def evaluation_videos(dataset: Dataset, fold: str | None = None) -> Sequence[Video]:
    """The videos to evaluate on: the test part of a fold, or every video; ``fold`` as in `training_videos`."""
    chosen = fold_of(dataset, fold)
    return dataset.videos if chosen is None else chosen.test


def fold_of(dataset: Dataset, name: str | None) -> Fold | None:
    """The fold with a name, or the data set's default; None for all videos. ConfigError for an unknown name."""
    named = {fold.name: fold for fold in dataset.folds}
    name = name if name is not None else dataset.default or ALL
    if name == ALL and ALL not in named:
        return None
    if name not in named:
        raise ConfigError(f"{dataset.name}: {unknown('fold', name, (*named, ALL))}")
    return named[name]
