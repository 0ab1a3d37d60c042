"""Which reader fits a folder."""

from __future__ import annotations

from pathlib import Path

from wherewhen import registry
from wherewhen.addresses import address_in
from wherewhen.contracts import DatasetReader
from wherewhen.errors import DataError
from wherewhen.formats import Annotated, from_truth

LAST = "folder"  # labels on whole videos: the reader for whatever no data set claims


def recognized(root: str | Path) -> DatasetReader | None:
    """The reader that recognizes a folder by the files in it, None if no one does.

    A reader recognizes a folder by its label files alone, also where these are damaged: its ``load`` then says how.
    """
    for candidate in sorted(registry.names("datasets"), key=lambda n: (n == LAST, n != "native", n)):
        reader: DatasetReader = registry.load("datasets", candidate)
        if reader.matches(Path(root)):
            return reader
    return None


def reader_of(root: str | Path, name: str | None = None) -> DatasetReader:
    """The reader called ``name``, or the one that recognizes the folder; DataError if there is no such folder."""
    if (where := address_in(str(root))) is not None:
        raise DataError(f"{where}: expected a folder of this machine, got an address")
    if not Path(root).is_dir():
        raise DataError(f"{root}: no such folder")
    chosen: DatasetReader | None = registry.load("datasets", name) if name else recognized(root)
    if chosen is not None:
        return chosen
    known = ", ".join(registry.names("datasets"))
    raise DataError(
        f"{root}: expected normal/ and anomalous/ folders, a labels.csv with path,label lines, or a known data set "
        f"({known})"
    )


def annotated_truth(root: Path, name: str | None = None) -> list[Annotated]:
    """What a data set says really happens, as formats write it; the videos must be there, for their sizes."""
    from wherewhen.video import reader

    source = reader_of(root, name)
    truths = source.truth(root)
    made = []
    for video in source.load(root).videos:
        if video.id in truths:
            info = reader.probe(video.path)
            made.append(from_truth(video.id, truths[video.id], info.width, info.height, video.path.name))
    return made
