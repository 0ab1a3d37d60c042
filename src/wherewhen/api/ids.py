"""Names of videos in results: their file relative to a folder, unique within a run."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from glob import has_magic
from pathlib import Path

from wherewhen.api.results import About
from wherewhen.core.printable import printable, unused
from wherewhen.video.sources import Source, SourceLike, is_frames_folder, is_live, parsed, shown, stem


@dataclass(frozen=True)
class Place:
    """A source, its id, and its ``file`` relative to ``folder``, which is relative to the output folder.

    A camera, an address or pictures in memory have no folder.
    """

    source: Source
    id: str
    file: str
    folder: str | None


def base_of(text: SourceLike) -> Path | None:
    """The folder that ids of the videos of a user's text are relative to; None where the text names single videos.

    >>> base_of("clips/*/a.mp4"), base_of("a.mp4")
    (PosixPath('clips'), None)
    """
    source = parsed(text)
    if not isinstance(source, Path):
        return None
    if source.is_dir():
        return None if is_frames_folder(source) else source
    if source.exists() or not has_magic(str(source)):
        return None
    return next(parent for parent in source.parents if not has_magic(str(parent)))


def places(
    sources: Iterable[Source], output: Path, base: Path | None = None, earlier: Mapping[str, About] | None = None
) -> list[Place]:
    """The place of each source, in order; ids are unique, also where case doesn't count.

    The id of a file is its path from ``base``, else from the working directory, else its name with as many parent
    folders as make it unique. ``earlier``: results in the output folder; the same file keeps its id.
    """
    results = earlier or {}
    distinct = list(dict.fromkeys(sources))
    ways = {source: list(_ways(source, base)) for source in distinct}
    alike = Counter(name for candidates in ways.values() for name in {_key(way) for way, _, _ in candidates})
    located = {_location(about.file, about.folder, output): id for id, about in results.items() if about.folder}
    used = {_key(id) for id in results}
    located_sources = []
    for source in distinct:
        place = _same(source, ways[source], located, results, output) or _new(source, ways[source], alike, used, output)
        used.add(_key(place.id))
        located_sources.append(place)
    return located_sources


Way = tuple[str, str, Path | None]  # id, file, and the folder that it is relative to


def _ways(source: Source, base: Path | None) -> Iterator[Way]:
    """Candidate ids of a source, the best first."""
    if not isinstance(source, Path):
        name = re.sub(r"[^\w.-]+", "-", shown(source).partition("://")[2]).strip("-.")
        yield name if name and is_live(source) else stem(source), shown(source), None
        return
    path = Path(os.path.abspath(source))  # noqa: PTH100 (links are not followed)
    home = Path(os.path.abspath(base)) if base else Path.cwd()  # noqa: PTH100
    inside = path.is_relative_to(home) and path != home
    folders = [home] if inside else list(path.parents)[:-1] or [path.parent]
    files = [path.relative_to(folder) for folder in folders]
    for short in (True, False):
        for folder, file in zip(folders, files, strict=True):
            called = file.with_name(file.stem) if short and not path.is_dir() else file
            yield printable(called.as_posix()), printable(file.as_posix()), folder


def _same(
    source: Source, ways: Sequence[Way], located: Mapping[Path, str], results: Mapping[str, About], output: Path
) -> Place | None:
    """The place of the same file in an earlier run, also where results and files were moved since."""
    from wherewhen.core.feature_file import content

    if not isinstance(source, Path):
        return None
    if (id := located.get(source.resolve())) is not None:
        return Place(source, id, results[id].file, results[id].folder)
    for name, file, folder in ways:
        about = results.get(name)
        if about is not None and about.file == file and source.exists() and about.sha256 == content(source):
            return Place(source, name, file, _relative(folder, output))
    return None


def _new(source: Source, ways: Sequence[Way], alike: Mapping[str, int], used: set[str], output: Path) -> Place:
    for id, file, folder in ways:
        if alike[_key(id)] == 1 and _key(id) not in used:
            return Place(source, id, file, _relative(folder, output))
    first, file, folder = ways[0]
    id = unused(first, lambda name: _key(name) in used)
    return Place(source, id, file, _relative(folder, output))


def _key(id: str) -> str:
    return unicodedata.normalize("NFC", id).casefold()


def _relative(folder: Path | None, output: Path) -> str | None:
    return None if folder is None else printable(Path(os.path.relpath(folder, output)).as_posix())


def _location(file: str, folder: str | None, output: Path) -> Path:
    return (output / (folder or "") / file).resolve()
