"""Boxes from a file of the user: MOTChallenge, COCO or CVAT, or another format that holds boxes."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, Literal
from urllib.parse import quote

import numpy as np

from wherewhen.core import registry
from wherewhen.core.contracts import ClipSpec, Proposer, ProposerAbilities, Provenance
from wherewhen.core.errors import ConfigError, DataError, VideoError, unknown
from wherewhen.core.feature_file import stamp
from wherewhen.core.values import Boxes, Floats, Frame, Video

log = logging.getLogger("wherewhen")


PLACES = {
    ("mot", "results"): "{}.txt",
    ("mot", "gt"): "{}/gt/gt.txt",
    ("mot", "det"): "{}/det/det.txt",
    ("coco", None): "{}.json",
    ("cvat", None): "{}.xml",
}
"""Path of the file with the boxes of a video in a folder, by format and kind of file."""

VAST = 2**20  # px a side of pictures of unknown size: a power of two, so that scaling is exact


@dataclass(frozen=True)
class FileConfig:
    """Settings of `File`.

    Args:
        path: a file with boxes in pixels of the video's own pictures, or a folder with a file for each video: ID.txt,
            ID/gt/gt.txt, ID/det/det.txt, ID.json or ID.xml.
        format: of the file: mot, coco, cvat, or another that holds boxes (wherewhen list formats); null: by
            the endings .txt, .json and .xml.
        kind: mot only: det, results or gt; null: the one that exists.
        video: its name in the file; null: its id, or the only one in the file.
        confidence: confidence of every box; null: that of the file, in [0, 1].
        score: boxes of lower confidence are left out.
        classes: names to keep; an empty list means all.
        stride: one of so many frames is used.
        relink: leave out the file's own track numbers.
        frames: upper limit of the number of frames, for a video whose length is unknown.
    """

    path: str = ""
    format: str | None = None
    kind: Literal["det", "results", "gt"] | None = None
    video: str | None = None
    confidence: float | None = None
    score: float = 0.0
    classes: tuple[str, ...] = ()
    stride: int = 1
    relink: bool = False
    frames: int = 100_000

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(self.classes))
        if self.confidence is not None and not 0 <= self.confidence <= 1:
            raise ConfigError(f"file: expected confidence in [0, 1]; got {self.confidence}")
        if self.stride < 1 or self.frames < 1:
            raise ConfigError(f"file: stride and frames are at least 1; got {self.stride} and {self.frames}")
        if self.format is not None and self.format not in registry.names("formats"):
            raise ConfigError(unknown("format", self.format, registry.names("formats")))

    @property
    def places(self) -> dict[tuple[str, str | None], str]:
        """The entries of `PLACES` that the settings format and kind allow."""
        patterns = {
            (form, kind): place
            for (form, kind), place in PLACES.items()
            if self.format in (None, form) and (form != "mot" or self.kind in (None, kind))
        }
        return patterns


def names_of(video: Video) -> tuple[str, ...]:
    """Names of a video in files: its id or the end of its path, as folders or as one name; without endings.

    >>> names_of(Video("a 1", Path("videos/Abuse/a 1.mp4")))
    ('a 1', 'Abuse/a 1', 'Abuse%2Fa 1')
    """
    parent = video.path.parent.name
    ids = [video.id, *([f"{parent}/{video.path.stem}"] if parent else [])]
    names = dict.fromkeys(form for name in ids for form in (name, quote(name, safe=" +-_.,()[]=@&")))
    return tuple(name for name in names if ".." not in Path(name).parts and not Path(name).is_absolute())


@dataclass(frozen=True)
class _Counter:
    """A clock with one second per frame and `VAST` pictures, while times and size are unknown."""

    frames: int
    width: int = VAST
    height: int = VAST
    name: str = ""
    rate: float = 1.0

    @cached_property
    def edges(self) -> Floats:
        return np.arange(self.frames + 1, dtype=np.float64)


class _Any(Mapping[str, _Counter]):
    """The same clock for every video name in a file."""

    def __init__(self, clock: _Counter) -> None:
        self._clock = clock

    def __getitem__(self, video: str) -> _Counter:
        return self._clock

    def __contains__(self, video: object) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(("any",))

    def __len__(self) -> int:
        return 1


class File:
    """Boxes in a file, frame by frame, with its track numbers unless ``relink`` is set.

    ``video``: the video of the boxes; it selects the file in a folder, and the part of a file of several videos.
    """

    Config: ClassVar[type] = FileConfig
    source: ClassVar[Provenance] = Provenance(title="Boxes from a file")
    abilities: ClassVar[ProposerAbilities] = ProposerAbilities(by_video=True)
    wait: float = 0.0
    tracks: bool

    def __init__(self, config: FileConfig, video: Video | None = None) -> None:
        if not config.path or not Path(config.path).exists():
            raise ConfigError(f"file: {config.path or 'path is empty'}: expected the file or folder of the boxes")
        self.config, self.video = config, video
        self.path = Path(config.path) if video is None else self.file_of(config, video)
        self.clip = ClipSpec(1, config.stride)
        self.tracks = False

    @classmethod
    def file_of(cls, config: FileConfig, video: Video) -> Path:
        """The file with the boxes of a video, or the path itself where that is a file, or holds a format as a whole.

        VideoError where the folder has none; ConfigError where it has several.
        """
        folder, places = Path(config.path), config.places
        if not folder.is_dir() or not places:
            return folder
        names = names_of(video) if config.video is None else (config.video,)
        for name in names:
            matches = [place for place in places.values() if (folder / place.format(name)).is_file()]
            if len(matches) > 1:
                listed = " and ".join(place.format(name) for place in matches)
                raise ConfigError(f"file: {folder} has {listed}; choose one with the settings format, or for mot kind")
            if matches:
                return folder / matches[0].format(name)
        listed = ", ".join(place.format(names[0]) for place in places.values())
        also = f"; or the same for {', '.join(names[1:])}" if names[1:] else ""
        raise VideoError(video.path, f"there are no boxes of {video.id!r} in {folder}: expected one of {listed}{also}")

    def __call__(self, frames: Iterable[Frame]) -> Iterator[Boxes]:
        """One `Boxes` per frame; DataError for a file that can't be read or doesn't fit the first picture."""
        rows: dict[int, _Row] | None = None
        for frame in frames:
            if rows is None:
                rows = self._rows(*frame.image.shape[:2])
            yield _boxes(rows.get(frame.index), frame)

    def _rows(self, height: int, width: int) -> dict[int, _Row]:
        """Boxes by frame number, for pictures of this size."""
        config, path = self.config, self.path
        form, kind = config.format or form_of(path), config.kind or kind_of(path)
        videos = _read(path, stamp(path), form, kind if form == "mot" else None, config.frames)
        video = _select_video(videos, config, path, self.video)
        boxes = video.boxes
        places = boxes.extents[:, 2:] * VAST / np.array([width, height, width, height])
        if outside := np.flatnonzero((places[:, :2] > 1).any(1)).tolist():
            corners = (boxes.extents[outside[0], 2:] * VAST).tolist()
            raise DataError(f"{path}: box {corners} is outside the picture; is its size {width}x{height}?")
        places = places.clip(0, 1)
        values = boxes.values if config.confidence is None else np.full(len(boxes.values), config.confidence)
        if len(values) and not (values.min() >= 0 and values.max() <= 1):
            raise DataError(
                f"{path}: confidence from {values.min():g} to {values.max():g}; expected numbers in [0, 1]: "
                "give confidence, which then holds for every box"
            )
        names = [video.names.get(int(track), "") for track in boxes.track]
        keep = np.flatnonzero(values >= config.score)
        keep = keep[[not config.classes or names[k] in config.classes for k in keep]] if len(keep) else keep
        self.tracks = not config.relink and bool(len(keep)) and bool((boxes.track[keep] >= 0).all())
        groups: dict[int, list[int]] = {}
        for k in keep.tolist():
            for number in range(int(boxes.extents[k, 0]), max(int(boxes.extents[k, 1]), int(boxes.extents[k, 0]) + 1)):
                groups.setdefault(number, []).append(k)
        track = boxes.track if self.tracks else np.full(len(boxes.track), -1)
        return {
            number: _Row(places[indices], values[indices], tuple(names[k] for k in indices), track[indices])
            for number, indices in groups.items()
        }


def form_of(path: Path) -> str:
    """The format of a file by its ending; a folder is one of MOTChallenge."""
    forms = {"": "mot", ".txt": "mot", ".json": "coco", ".xml": "cvat"}
    if path.is_dir() or path.suffix.lower() in forms:
        return "mot" if path.is_dir() else forms[path.suffix.lower()]
    raise ConfigError(f"file: {path.name} ends in none of .txt, .json and .xml; set its format")


def kind_of(path: Path) -> str:
    """The kind of a MOTChallenge file by its place.

    >>> kind_of(Path("a/gt/gt.txt")), kind_of(Path("a.txt"))
    ('gt', 'results')
    """
    kind = path.stem if path.suffix else ""
    return kind if kind in ("gt", "det") and path.parent.name == kind else "results"


@lru_cache(maxsize=4)
def _read(path: Path, changed: object, form: str, kind: str | None, frames: int) -> list[Any]:
    """All videos of a file, with `VAST` pictures; cached, so that a file of many videos is read once."""
    reader = registry.load("formats", form).read
    if reader is None:
        raise ConfigError(f"file: the format {form} is only written, not read")
    videos: list[Any] = reader(path, _Any(_Counter(frames)), **({} if kind is None else {"kind": kind}))
    return videos


@dataclass(frozen=True)
class _Row:
    places: Floats
    values: Floats
    names: tuple[str, ...]
    track: Any


def _boxes(row: _Row | None, frame: Frame) -> Boxes:
    if row is None:
        return Boxes(frame.start, frame.end)
    times = np.tile([frame.start, frame.end], (len(row.places), 1))
    names = row.names if any(row.names) else ()
    return Boxes(frame.start, frame.end, np.concatenate([times, row.places], 1), row.values, names, row.track)


def _select_video(videos: list[Any], config: FileConfig, path: Path, video: Video | None) -> Any:
    """The video with the name of the setting or the id of ``video``; or the only one."""
    ids = [item.id for item in videos]
    if config.video is not None and path == Path(config.path):
        if config.video not in ids:
            raise ConfigError(unknown(f"video in {path}", config.video, ids))
        return videos[ids.index(config.video)]
    names = () if video is None else names_of(video)
    matches = [item for item in videos if item.id in names or str(PurePosixPath(item.id).with_suffix("")) in names]
    if len(matches) == 1:
        return matches[0]
    if len(videos) == 1:
        if video is not None and path == Path(config.path):
            log.warning("%s: the boxes of %s are used for %s", path, ids[0], video.id)
        return videos[0]
    if video is not None:
        raise VideoError(video.path, f"there are no boxes of {video.id!r} in {path}, but of {', '.join(ids[:10])}")
    raise ConfigError(f"{path} holds {len(videos)} videos; set video to one of {', '.join(ids[:10])}")


PLUGIN: type[Proposer] = File
