"""The result of one video as a file that grows during detection: a line of JSON for each time step and event.

``results/<id>.jsonl`` below an output folder; ``.jsonl.part`` until it is complete. Its lines::

    {"version": 1, "id": "a/cam", "file": "a/cam.mp4", "folder": "../clips", "sha256": "...", "model": "...", ...}
    {"frames": [0.0, 0.04]}                             when further frames of the video begin, in seconds
    {"classes": ["fall", "fight"]}                      names of classes, before the first step with shares
    {"step": [0.0, 0.08, 0.31], "shares": [0.2, 0.11]}  a time step [start, end, score], and the share of each class
    {"step": [0.5, 0.58, 0.7], "map": [2, 3, "AAECAwQF"]}    of high scores also the heat map: height, width, levels
    {"event": {"score": 0.9, "category": null, "track": -1, "extents": [[0.0, 0.08, 0.1, 0.1, 0.2, 0.2]]}}
    {"end": 9.96, "complete": true, "damage": null}

The file of a killed process can be read up to its end. A later run skips only complete results.
"""

from __future__ import annotations

import errno
import json
import os
from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np

from wherewhen.core import outputs
from wherewhen.core.documents import json_of
from wherewhen.core.errors import OutputError, StoreError
from wherewhen.core.printable import fitted
from wherewhen.core.values import Event, Floats, HeatMap, Prediction
from wherewhen.review.building import NEAR, STEP
from wherewhen.review.heat import StoredMap, levels_of, scores_of

VERSION = 1
FOLDER = "results"
DONE = ".jsonl"
PART = ".jsonl.part"
THUMBNAILS = "thumbnails"
PICTURES = (".mp4", ".png")  # overlay and timeline
STOPPED = "the process was killed"
BUSY = "it is still being watched"


@dataclass(frozen=True)
class About:
    """The video and the settings of its detection.

    ``file``: relative to ``folder``, which is relative to the output folder; of a stream its address without secrets,
    and no folder. ``sha256``: of the file's content. ``model``: a fingerprint of the model and its settings.
    ``alarm``: the score at which an alarm starts.
    """

    id: str
    file: str
    folder: str | None
    sha256: str | None
    model: str
    width: int
    height: int
    alarm: float = 0.5


@dataclass(frozen=True, eq=False)
class StoredResult:
    """The content of a file of results: ``clock`` are the F + 1 borders of the video's frames in seconds.

    ``damage``: why less was read than the video holds, or how a stream ended. ``complete``: whether the video was
    processed as far as it can be read. ``maps``: heat maps of some steps with a high score.
    """

    about: About
    prediction: Prediction
    clock: Floats
    damage: str | None
    complete: bool
    maps: tuple[StoredMap, ...] = ()


def path_of(output: Path, id: str, ending: str = DONE) -> Path:
    """The path of the results of a video below an output folder."""
    return output / FOLDER / f"{fitted(id)}{ending}"


def picture_of(output: Path, id: str, ending: str) -> Path:
    """The path of its overlay (.mp4) or timeline (.png)."""
    return output / f"{fitted(id)}{ending}"


def thumbnail_of(output: Path, id: str, event: int) -> Path:
    """The path of the picture of an event; ``event``: its number in the video, from 0."""
    return output / THUMBNAILS / fitted(id) / f"{event}.jpg"


class Recorder:
    """Writes the results of one video as they are computed; `close` gives the file its final name.

    OutputError where another process writes them. An earlier file of the same name stays until the new one is whole.
    """

    def __init__(self, output: Path, about: About) -> None:
        self.done = path_of(output, about.id)
        self.part = outputs.grow(path_of(output, about.id, PART))
        self._file = _locked_file(self.part)
        self._classes: list[str] | None = None
        self._mapped = NEAR * about.alarm, STEP  # lowest score of a step with a map, and seconds between two
        self._next_map = 0.0
        self._write({"version": VERSION, **asdict(about)})

    def step(self, prediction: Prediction, frames: Sequence[float]) -> None:
        """Add final predictions, and the starts of further frames of the video."""
        if len(frames):
            self._write({"frames": list(frames)})
        if (scores := prediction.frames) is not None:
            if self._classes is None and prediction.classes:
                self._classes = list(prediction.classes)
                self._write({"classes": self._classes})
            shares = [prediction.classes[name].values[:, 0, 0].tolist() for name in self._classes or ()]
            values, edges = scores.values[:, 0, 0].tolist(), scores.edges.tolist()
            for number, score in enumerate(values):
                more: dict[str, Any] = {"shares": [share[number] for share in shares]} if shares else {}
                more |= self._map(prediction.heat, number, edges[number], score)
                self._write({"step": [*edges[number : number + 2], score], **more})
        for event in prediction.events:
            fields = {"score": float(event.score), "category": event.category, "track": int(event.track)}
            self._write({"event": {**fields, "extents": event.extents.tolist()}})

    def _map(self, heat: HeatMap | None, number: int, start: float, score: float) -> dict[str, Any]:
        """The heat map of a step with a high score, five a second at most; empty for others."""
        lowest, apart = self._mapped
        if heat is None or score < lowest or start < self._next_map - 1e-6 or heat.values[number].size == 1:
            return {}
        self._next_map = start + apart
        levels = levels_of(heat.values[number])
        return {"map": [*levels.shape, b64encode(levels.tobytes()).decode()]}

    def close(self, end: float, damage: str | None, complete: bool, keep: bool = False) -> None:
        """Write the end of the results. ``keep``: an earlier complete file is kept, and this one is deleted."""
        self._write({"end": end, "complete": complete, "damage": damage})
        if keep:
            self.drop()
            return
        self._file.close()
        outputs.enter(self.part, self.done)
        self.part.replace(self.done)

    def leave(self) -> None:
        """Close the file without completing it."""
        self._file.close()

    def drop(self) -> None:
        """Remove the file."""
        self._file.close()
        self.part.unlink(missing_ok=True)

    def _write(self, line: dict[str, Any]) -> None:
        text = (json.dumps(line, allow_nan=False) + "\n").encode()
        if self._file.write(text) != len(text):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.part))


def _locked_file(path: Path) -> FileIO:
    """The emptied file, locked for this process."""
    file = FileIO(path, "a")
    if not _lock(file):
        file.close()
        raise OutputError(f"{path}: another process writes these results now; wait for it, or choose another --output")
    file.truncate(0)
    return file


def _lock(file: FileIO) -> bool:
    """Whether this process locked the file; always true where the system has no locks."""
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        pass
    return True


def all_of(output: Path) -> Iterator[Path]:
    """The files of results below an output folder, complete ones first."""
    root = output / FOLDER
    for ending in (DONE, PART):
        yield from sorted(path for path in root.rglob(f"*{ending}") if not path.name.startswith(".") and path.is_file())


def head(path: Path) -> About:
    """The head of a file of results; StoreError for another file."""
    try:
        with path.open("rb") as file:
            return _about(json_of(file.readline()), path)
    except (ValueError, KeyError, RecursionError) as error:
        raise _broken(path, error) from None


def read(path: Path) -> StoredResult | None:
    """The results in a file; None for an unfinished one without a time step. StoreError for a damaged complete file."""
    partial = path.name.endswith(PART)
    lines = path.read_bytes().splitlines(keepends=True)
    if partial and not (lines and lines[0].endswith(b"\n")):
        return None
    try:
        about = _about(json_of(lines[0]) if lines else None, path)
        return _stored_result(about, list(_rows(lines[1:], partial)), partial, path)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        if partial:
            return None
        raise _broken(path, error) from None


def _rows(lines: list[bytes], partial: bool) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            if partial and not line.endswith(b"\n"):
                return
            yield json_of(line)
        except ValueError:
            if not partial:
                raise
            return


def _stored_result(about: About, rows: list[dict[str, Any]], partial: bool, path: Path) -> StoredResult | None:
    steps = [row for row in rows if "step" in row]
    if not steps:
        if partial:
            return None
        raise ValueError("no time step")
    edges = np.array([row["step"][0] for row in steps] + [steps[-1]["step"][1]])
    starts = [start for row in rows if "frames" in row for start in row["frames"]]
    if "end" in rows[-1]:
        end, complete, damage = float(rows[-1]["end"]), bool(rows[-1]["complete"]), rows[-1]["damage"]
    elif partial:
        complete, damage = False, BUSY if _busy(path) else STOPPED
        starts = [start for start in starts if start < edges[-1]] or edges[:-1].tolist()
        end = float(edges[-1])
    else:
        raise ValueError("no end")
    shares = {
        name: HeatMap(np.array([row["shares"][number] for row in steps], np.float32), edges)
        for number, name in enumerate(next((row["classes"] for row in rows if "classes" in row), ()))
    }
    unsorted = [Event(np.array(e["extents"]), e["score"], e["category"], e["track"]) for e in _each(rows, "event")]
    events = tuple(sorted(unsorted, key=lambda event: (event.start, -event.score)))
    scores = HeatMap(np.array([row["step"][2] for row in steps], np.float32), edges)
    clock = np.array([*starts, end])
    maps = tuple(_map(row["step"], *row["map"]) for row in steps if "map" in row)
    return StoredResult(about, Prediction(scores, events=events, classes=shares), clock, damage, complete, maps)


def _map(step: list[float], height: int, width: int, text: str) -> StoredMap:
    start, end, score = step
    levels = np.frombuffer(b64decode(text, validate=True), np.uint8).reshape(height, width)
    return StoredMap(start, end, score, scores_of(levels))


def _each(rows: list[dict[str, Any]], key: str) -> Iterator[Any]:
    return (row[key] for row in rows if key in row)


def _busy(path: Path) -> bool:
    with FileIO(path, "a") as file:
        return not _lock(file)


def _about(line: Any, path: Path) -> About:
    if not isinstance(line, dict) or line.get("version") != VERSION:
        raise StoreError(
            f"{path}: expected results of version {VERSION}; move it to another folder, or choose another --output"
        )
    return About(**{field.name: line[field.name] for field in fields(About)})


def _broken(path: Path, error: Exception) -> StoreError:
    return StoreError(f"{path}: can't be read as results ({error}); remove it, and detect in its video again")
