"""A store of features as a data set; its videos are not needed."""

from __future__ import annotations

from pathlib import Path

from wherewhen.core.contracts import DatasetReader, Provenance
from wherewhen.core.values import Dataset, Truth
from wherewhen.datasets._feature_store import is_store, read_index, read_truths, read_videos


def load(root: Path) -> Dataset:
    """The videos of a store with labels and folds, each at a file of features; DataError where there is no store."""
    return read_videos(Path(root), read_index(Path(root)))


def truth(root: Path) -> dict[str, Truth]:
    """What really happens in the videos where it is known, by id; DataError where there is no store."""
    return read_truths(Path(root), [row["id"] for row in read_index(Path(root))["videos"]])


PLUGIN = DatasetReader(
    source=Provenance("Features that wherewhen extracted"),
    matches=is_store,
    load=load,
    truth=truth,
    split_rule="the folds of the extracted data set",
)
