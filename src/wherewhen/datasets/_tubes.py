"""Reads region tracks, rows ``track,frame,x0,y0,x1,y1`` with frames from 0, one text file per video."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from wherewhen.core.diagnostics import report
from wherewhen.core.values import Floats
from wherewhen.datasets import _files


def read(path: Path, video: str, inclusive: bool) -> Floats:
    """Rows ``track, frame, x0, y0, x1, y1`` with half-open corners, in order of frame and track.

    ``inclusive``: x1 and y1 are the box's last pixels rather than its borders. A row may be parted by commas or
    blanks; a second box of a track in one frame is reported and left out.
    """
    rows: dict[tuple[int, int], list[float]] = {}
    for number, line in _files.lines(path):
        fields = line.replace(",", " ").split()
        try:
            track, frame, *corners = (float(field) for field in fields)
            if len(corners) != 4 or not np.isfinite([track, frame, *corners]).all():
                raise ValueError
        except ValueError:
            message = f"expected track,frame,x0,y0,x1,y1, got: {line}"
            report("row-malformed", message, video, f"{path}:{number}")
            continue
        if (int(frame), int(track)) in rows:
            message = f"a second box of track {int(track)} in frame {int(frame)}"
            report("row-repeated", message, video, f"{path}:{number}")
            continue
        rows[int(frame), int(track)] = [track, frame, *corners]
    out = np.array([rows[key] for key in sorted(rows)], np.float64).reshape(-1, 6)
    out[:, 4:] += int(inclusive)
    return out


def spans(boxes: Floats) -> list[tuple[int, int]]:
    """Half-open frame ranges in which there is any box.

    >>> spans(np.array([[0, 3, 0, 0, 1, 1], [1, 3, 0, 0, 1, 1], [0, 4, 0, 0, 1, 1], [0, 9, 0, 0, 1, 1]]))
    [(3, 5), (9, 10)]
    """
    frames = np.unique(boxes[:, 1].astype(np.int64))
    parts = np.split(frames, np.flatnonzero(np.diff(frames) > 1) + 1) if len(frames) else []
    return [(int(part[0]), int(part[-1]) + 1) for part in parts]
