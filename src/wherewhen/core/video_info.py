"""How long, how fast and how large each video is: published constants and the sidecar ``videos.json``.

Annotations count frames and pixels; seconds and fractions need a rate, a length and a size. Nothing is guessed: only
imports of features assume lengths, with a note. ``videos.json`` is in the root of a data set and maps a video id to
``{"frames": 1440, "fps": 30.0, "width": 320, "height": 240}``; ``wherewhen data probe ROOT`` writes it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wherewhen.core import documents, outputs
from wherewhen.core.diagnostics import report
from wherewhen.core.errors import DataError
from wherewhen.core.store import write_atomic
from wherewhen.core.values import Floats

SIDECAR = "videos.json"

Supposed = Callable[[str], Mapping[str, float] | None]
_supposed: ContextVar[Supposed] = ContextVar("supposed", default=lambda _video: None)


@contextmanager
def supposed(lengths: Supposed) -> Iterator[None]:
    """Inside the block, ``lengths`` gives the row of a video of which ``videos.json`` has none, or None."""
    token = _supposed.set(lengths)
    try:
        yield
    finally:
        _supposed.reset(token)


@dataclass(frozen=True, slots=True)
class Measure:
    """One video: frames, frames per second, and picture size in pixels (0 where unknown)."""

    frames: int
    fps: float
    width: int = 0
    height: int = 0

    def __post_init__(self) -> None:
        if self.frames < 1 or not 0 < self.fps < 1000 or min(self.width, self.height) < 0:
            raise ValueError(f"a video has frames, a rate and a size, got {self}")

    @property
    def edges(self) -> Floats:
        """The F + 1 borders of the frames in seconds."""
        return np.arange(self.frames + 1) / self.fps


@dataclass(frozen=True, slots=True)
class Usual:
    """The publisher's rate and size for all videos; 0 where they differ or are not stated."""

    fps: float = 0
    width: int = 0
    height: int = 0


def read_sidecar(root: Path) -> dict[str, dict[str, Any]]:
    """The rows of ``videos.json``; empty if there is none, DataError if it isn't of the form shown above."""
    path = root / SIDECAR
    if not path.exists():
        return {}
    try:
        rows = documents.read_json(path)
    except DataError as error:
        raise DataError(f"{error}; write it anew with: wherewhen data probe {root}") from None
    if not isinstance(rows, dict) or not all(isinstance(row, dict) for row in rows.values()):
        raise DataError(f'{path}: expected {{"video id": {{"frames": ..., "fps": ...}}}}')
    return rows


def write_sidecar(root: Path, rows: Mapping[str, Mapping[str, float]]) -> Path:
    """Write ``videos.json``, keeping the rows of other videos and values that were not measured.

    In a file that was written by hand every number is kept; contradictions to measured ones are reported.
    """
    path, existing = root / SIDECAR, read_sidecar(root)
    ours = outputs.is_output(path)
    merged = dict(existing)
    for key, row in rows.items():
        old = existing.get(key, {})
        merged[key] = {**old, **row} if ours else {**row, **old}
        for name in sorted(old.keys() & row.keys()):
            if not ours and old[name] != row[name]:
                text = f"{name} is {old[name]}, measured {row[name]}; the file was not changed: correct it by hand"
                report("measure-differs", text, key, path)
    write_atomic(path, json.dumps(merged, indent=1, sort_keys=True) + "\n", ours=True)
    if ours or not existing:
        outputs.adopt([path])
    return path


class Measures:
    """Measures of videos: the row in the sidecar first, then the statement of the publisher."""

    def __init__(self, root: Path, usual: Usual | None = None) -> None:
        self.root = root
        self.usual = usual or Usual()
        self.rows = read_sidecar(root)

    def find(self, video: str, frames: int = 0, size: tuple[int, int] = (0, 0)) -> Measure | None:
        """The measure of a video; ``frames`` and ``size`` (width, height) where the annotation itself has them."""
        row = self.rows.get(video) or (None if frames else _supposed.get()(video)) or {}
        count, fps = row.get("frames") or frames, row.get("fps") or self.usual.fps
        if not count or not fps:
            return None
        width = row.get("width") or size[0] or self.usual.width
        height = row.get("height") or size[1] or self.usual.height
        try:
            return Measure(int(frames or count), float(fps), int(width), int(height))
        except (TypeError, ValueError) as error:
            raise DataError(f"{self.root / SIDECAR}: {video}: {error}") from None

    def need(self, videos: Iterable[str], frames: Mapping[str, int] | None = None) -> dict[str, Measure]:
        """The measures of all ``videos``; those without one are reported (an error) and left out."""
        counts = frames or {}
        measures = {video: self.find(video, counts.get(video, 0)) for video in videos}
        missing = [video for video, measure in measures.items() if measure is None]
        if missing:
            names = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
            report(
                "length-unknown",
                f"{len(missing)} videos have no known length or rate ({names}); expected them in "
                f'{self.root / SIDECAR} as "id": {{"frames": ..., "fps": ...}}; '
                f"put the videos there and run: wherewhen data probe {self.root}",
                missing[0] if len(missing) == 1 else "",
                self.root / SIDECAR,
            )
        return {video: measure for video, measure in measures.items() if measure is not None}
