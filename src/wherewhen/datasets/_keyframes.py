"""Reads the box files of SST-WSVADL: events with boxes that stay as they are from one key frame to the next.

``[{"file_name", "start_frame", "end_frame", "bounding_boxes": [{"start_frame", "end_frame", "keyframes":
{"54": [[x, y] * 4]}}]}]``. Frames count from 0 and ends are included: a segment mostly starts one frame after the last
one ended, videos cut to F = 16 n frames end at F - 1, and the MSAD starts are the official 1-based ones minus 1.
Corners are borders in pixels of the video as published.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from wherewhen.core import documents
from wherewhen.core.diagnostics import report
from wherewhen.core.errors import DataError
from wherewhen.core.values import Floats
from wherewhen.datasets import _files
from wherewhen.datasets._truths import Draft


def drafts(path: Path) -> dict[str, Draft]:
    """Spans and one box per frame and segment, by video id; segments that follow on each other share a track."""
    events = documents.read_json(path)
    if not isinstance(events, list):
        raise DataError(f"{path}: expected a list of events, got {type(events).__name__}")
    out: dict[str, Draft] = {}
    for number, event in enumerate(events):
        where = f"{path}[{number}]"
        try:
            key = _files.stem(event["file_name"])
            draft = out.setdefault(key, Draft(where=path))
            span = (int(event["start_frame"]), int(event["end_frame"]) + 1)
            first_track = int(draft.boxes[:, 0].max()) + 1 if len(draft.boxes) else 0
            boxes = _event(event["bounding_boxes"], first_track)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            report("row-malformed", f"not an event ({type(error).__name__}: {error})", where=where)
            continue
        draft.spans.append(span)
        draft.boxes = np.concatenate([draft.boxes, *boxes])
    return out


def _event(segments: list[dict[str, Any]], track: int) -> list[Floats]:
    """Rows ``track, frame, x0, y0, x1, y1`` of one event."""
    out: list[Floats] = []
    ends: dict[int, int] = {}  # the frame after a track's last box -> the track
    for segment in sorted(segments, key=lambda s: int(s["start_frame"])):
        first, stop = int(segment["start_frame"]), int(segment["end_frame"]) + 1
        number = ends.pop(first, None)
        if number is None:
            number, track = track, track + 1
        keys = sorted((int(frame), np.array(corners, float)) for frame, corners in segment["keyframes"].items())
        frames = np.arange(first, stop)
        numbers = np.array([frame for frame, _ in keys])
        corners = np.array([[*c.reshape(-1, 2).min(0), *c.reshape(-1, 2).max(0)] for _, c in keys])
        last_key = np.searchsorted(numbers, frames, "right").clip(1) - 1
        out.append(np.column_stack([np.full(len(frames), number), frames, corners[last_key]]))
        ends[stop] = number
    return out
