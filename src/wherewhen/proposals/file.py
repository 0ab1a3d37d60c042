"""Boxes of your own, from a file: MOTChallenge, COCO or CVAT, or another format that holds boxes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from wherewhen import registry
from wherewhen.contracts import ClipSpec, Proposer, Provenance
from wherewhen.errors import ConfigError, DataError, unknown
from wherewhen.values import Boxes, Floats, Frame


@dataclass(frozen=True)
class FileConfig:
    """Settings of `File`.

    Args:
        path: file or folder with the boxes, in pixels of the video's own pictures.
        format: of the file: mot, coco, cvat, or another that holds boxes (wherewhen list formats).
        kind: mot only: det, results or gt.
        video: its name in the file; null means the only one there.
        confidence: of every box; null takes the file's, which must lie in [0, 1].
        score: boxes less sure than this are left out.
        classes: names to keep; an empty list means all.
        stride: every so many frames are looked at.
        relink: leave out the file's own track numbers.
        frames: of the video, for a file that doesn't say: the most that it can have.
    """

    path: str = ""
    format: str = "mot"
    kind: str = "results"
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
            raise ConfigError(f"file: confidence lies in [0, 1]; got {self.confidence}")
        if self.stride < 1 or self.frames < 1:
            raise ConfigError(f"file: stride and frames are at least 1; got {self.stride} and {self.frames}")
        if self.format not in registry.names("formats"):
            raise ConfigError(unknown("format", self.format, registry.names("formats")))


@dataclass(frozen=True)
class _Counter:
    """A clock that ticks once a frame: what formats need to count, before anybody knows the video's times."""

    frames: int
    width: int
    height: int
    name: str = ""
    rate: float = 1.0

    @cached_property
    def edges(self) -> Floats:
        return np.arange(self.frames + 1, dtype=np.float64)


class _Any(Mapping[str, _Counter]):
    """The same clock for whatever video a file speaks of."""

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
    """Boxes that lie in a file, frame by frame; its track numbers stay, unless they are to be found anew."""

    Config: ClassVar[type] = FileConfig
    source: ClassVar[Provenance] = Provenance(title="Boxes of your own")
    wait: float = 0.0

    def __init__(self, config: FileConfig) -> None:
        if not config.path or not Path(config.path).exists():
            raise ConfigError(f"file: {config.path or 'path is empty'}: say which file or folder holds the boxes")
        self.config = config
        self.clip = ClipSpec(1, config.stride)
        self.tracks = False

    def __call__(self, frames: Iterable[Frame]) -> Iterator[Boxes]:
        """One `Boxes` per frame; DataError for a file that can't be read or doesn't fit the first picture."""
        rows: dict[int, _Row] | None = None
        for frame in frames:
            if rows is None:
                rows = self._rows(frame)
            yield _boxes(rows.get(frame.index), frame)

    def _rows(self, first: Frame) -> dict[int, _Row]:
        """Boxes by frame number."""
        config, height, width = self.config, *first.image.shape[:2]
        reader = registry.load("formats", config.format).read
        if reader is None:
            raise ConfigError(f"file: the format {config.format} is only written, not read")
        clock = _Any(_Counter(config.frames, width, height))
        found = reader(Path(config.path), clock, **({"kind": config.kind} if config.format == "mot" else {}))
        video = _one(found, config)
        boxes = video.boxes
        values = boxes.values if config.confidence is None else np.full(len(boxes.values), config.confidence)
        if len(values) and not (values.min() >= 0 and values.max() <= 1):
            raise DataError(
                f"{config.path}: confidence from {values.min():g} to {values.max():g}; expected numbers in [0, 1]: "
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
            number: _Row(boxes.extents[own, 2:], values[own], tuple(names[k] for k in own), track[own])
            for number, own in groups.items()
        }


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


def _one(found: list[Any], config: FileConfig) -> Any:
    """The video that is asked for, or the only one."""
    ids = [video.id for video in found]
    if config.video is not None:
        if config.video not in ids:
            raise ConfigError(unknown(f"video in {config.path}", config.video, ids))
        return found[ids.index(config.video)]
    if len(found) != 1:
        raise ConfigError(f"{config.path} holds {len(found)} videos; say which: video is one of {', '.join(ids[:10])}")
    return found[0]


PLUGIN: type[Proposer] = File
