"""Text files of the RBDC and TBDC evaluator: ``<video>.txt`` in a folder of tracks or of anomalies.

A line of a track file is ``track,frame,x_min,y_min,x_max,y_max``, of an anomaly file
``frame,x_min,y_min,x_max,y_max,score``. Frames count from 0 (the published ShanghaiTech tracks start exactly where
its frame masks do), and ``x_max`` and ``y_max`` are the last pixels that belong to the box: one less than our half-open
ends. The evaluator takes fractions of a pixel too and adds the one itself, so no box is rounded.
Source: https://github.com/lilygeorgescu/AED (Ramachandra and Jones, Street Scene, WACV 2020).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from wherewhen.core.contracts import Format, Provenance
from wherewhen.core.errors import DataError
from wherewhen.core.outputs import remove
from wherewhen.core.store import write_atomic
from wherewhen.formats._annotated import Annotated, Clock, clock_of, from_frames, rows_of, to_frames
from wherewhen.formats._files import file_name, folder, one_of, shown, table, video_id, whole

KINDS = ("anomalies", "tracks")


def _lines(video: Annotated, kind: str) -> list[str]:
    rows = to_frames(video)
    corners = (rows.box - [0, 0, 1, 1]).round(6)
    if kind == "anomalies":
        return [
            ",".join([str(frame), *map(shown, box), repr(score)])
            for frame, box, score in zip(rows.frame.tolist(), corners.tolist(), rows.score.tolist(), strict=True)
        ]
    if (rows.track < 0).any():
        raise DataError(f"{video.id}: a track file needs a track number for every box, and some boxes have none")
    return [
        ",".join([str(rows.track[row]), str(rows.frame[row]), *map(shown, corners[row].tolist())])
        for row in np.lexsort((rows.frame, rows.track))
    ]


def write(path: Path, videos: Sequence[Annotated], *, kind: str = "anomalies") -> None:
    """Write one file per video into the folder ``path``; a video without boxes has none, as the evaluator expects.

    ``kind``: ``anomalies`` (predictions; the order of rows decides between equal scores) or ``tracks``.
    """
    one_of("kind of file", kind, KINDS)
    Path(path).mkdir(parents=True, exist_ok=True)
    for video in videos:
        target = Path(path) / f"{file_name(video.id)}.txt"
        lines = _lines(video, kind)
        if lines:
            write_atomic(target, "\n".join(lines) + "\n")
        else:
            remove(target)


def _read_one(path: Path, video: str, clock: Clock, kind: str) -> Annotated:
    frames, boxes, tracks, scores = [], [], [], []
    for where, cells in table(path, 6, 6):
        tracked = kind == "tracks"
        corners = cells[2:] if tracked else cells[1:5]
        frames.append(whole(cells[1] if tracked else cells[0], where))
        boxes.append([corners[0], corners[1], corners[2] + 1, corners[3] + 1])
        tracks.append(whole(cells[0], where) if tracked else -1)
        scores.append(1.0 if tracked else cells[5])
    return Annotated(video, clock, from_frames(rows_of(frames, boxes, tracks, scores), clock, str(path)))


def read(path: Path, clocks: Mapping[str, Clock] | None = None, *, kind: str = "anomalies") -> list[Annotated]:
    """Read a folder of such files; every video of ``clocks`` is in the answer, without boxes where it has no file.

    Raises DataError for an invalid line, and for a file whose video has no clock.
    """
    one_of("kind of file", kind, KINDS)
    files = {video_id(file.stem): file for file in sorted(folder(Path(path)).glob("*.txt"))}
    by_video = clocks or {}
    annotated = [_read_one(file, video, clock_of(video, by_video, file), kind) for video, file in files.items()]
    missing = [Annotated(video, clock) for video, clock in by_video.items() if video not in files]
    return sorted(annotated + missing, key=lambda video: video.id)


PLUGIN = Format(
    source=Provenance(
        title="RBDC and TBDC evaluator (AED)",
        homepage="https://github.com/lilygeorgescu/AED",
        licence="CC BY-NC-ND 4.0 (the evaluator; this is our own writer)",
        citation="Georgescu et al., A Background-Agnostic Framework with Adversarial Training, TPAMI 2021",
    ),
    suffix="",
    write=write,
    read=read,
)
