"""``events.json``: each event's time, place, score and category, in seconds and in frames.

All ranges are half-open, frames count from 0, seconds from the start of the file, and pixels from the top left corner::

    {"version": 1, "videos": {"<id>": {
      "file": "a.mp4", "width": 320, "height": 240, "frames": 250, "start": 0.0, "duration": 10.0,
      "events": [{"start": 1.0, "end": 3.0, "start_frame": 25, "end_frame": 75, "score": 0.9, "category": null,
        "track": 0, "boxes": [{"time": 1.0, "end_time": 3.0, "frame": 25, "end_frame": 75,
          "box": [32, 24, 64, 48], "fraction": [0.1, 0.1, 0.2, 0.2]}]}]}}}

``track`` is the event's number in its video, under which formats of boxes write it. An event that is one mover's path
has its number as ``mover``, which several events may share. ``fraction`` is the place itself, as shares of width and
height; ``box`` is the same in pixels for readers. A video of an unsteady frame rate has ``edges``, its frame borders
in seconds. ``file`` is relative to ``folder``, and that to the folder of ``events.json``; an address has no folder.
``damage``: why less than the whole video was read, or how a stream ended; ``"complete": false`` where detection was
stopped before the end. Source: our own format, described in docs/formats.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wherewhen.core import extents as ext
from wherewhen.core.contracts import Format, Provenance
from wherewhen.core.errors import DataError
from wherewhen.core.values import Event, Floats
from wherewhen.formats._annotated import Annotated, Clock, event_frames, frame_spans
from wherewhen.formats._files import LONGEST, Node, read_json, write_json

VERSION = 1
STEADY = 1e-6  # seconds by which a steady clock's borders may be off


def _even(start: float, duration: float, frames: int) -> Floats:
    borders: Floats = start + np.arange(frames + 1, dtype=np.float64) * (duration / frames)
    return borders


def _clock(clock: Clock) -> dict[str, Any]:
    start = float(clock.edges[0])
    fields = {"width": clock.width, "height": clock.height, "frames": clock.frames}
    steady = np.abs(_even(start, clock.duration, clock.frames) - clock.edges).max() <= STEADY
    return fields | {"start": start, "duration": clock.duration} | ({} if steady else {"edges": clock.edges.tolist()})


def _event(event: Event, number: int, video: Annotated) -> dict[str, Any]:
    clock = video.clock
    first, last = event_frames(event, clock, video.id)
    pixels = ext.to_pixels(event.extents, clock.width, clock.height).round(2).tolist()
    frames = frame_spans(event.extents, clock, video.id).tolist()
    boxes = []
    for row, box, (begin, stop) in zip(event.extents.tolist(), pixels, frames, strict=True):
        times = {"time": row[0], "end_time": row[1], "frame": begin, "end_frame": stop}
        boxes.append(times | {"box": box, "fraction": row[2:]})
    span = {"start": event.start, "end": event.end, "start_frame": first, "end_frame": last}
    mover = {"mover": event.track} if event.track >= 0 else {}
    return span | {"score": event.score, "category": event.category, "track": number, **mover, "boxes": boxes}


def as_json(videos: Sequence[Annotated]) -> dict[str, Any]:
    """The content of ``events.json`` as plain values, without boxes outside of events.

    >>> as_json([])
    {'version': 1, 'videos': {}}
    """
    listed = {
        video.id: {"file": video.file, **video.about, **_clock(video.clock)}
        | {"events": [_event(event, number, video) for number, event in enumerate(video.events)]}
        for video in videos
    }
    return {"version": VERSION, "videos": listed}


def write(path: Path, videos: Sequence[Annotated]) -> None:
    """Write ``events.json``."""
    write_json(Path(path), as_json(videos))


def _read_clock(video: Node) -> Clock:
    width, height, frames = (video[key].whole() for key in ("width", "height", "frames"))
    edges, name = video.get("edges"), video.get("file")
    if not 1 <= frames <= LONGEST:
        raise DataError(f"{video.where}.frames: expected 1 to {LONGEST}, got {frames}")
    if edges is not None:
        times = np.array(edges.numbers(frames + 1))
    else:
        times = _even(video["start"].number(), video["duration"].number(), frames)
    try:
        return Clock(times, width, height, "" if name is None else name.text())
    except ValueError as error:
        raise DataError(f"{video.where}: {error}") from error


def _read_box(node: Node, clock: Clock) -> list[float]:
    times = [node["time"].number(), node["end_time"].number()]
    place = node.get("fraction")
    if place is not None:
        return times + place.numbers(4)
    x0, y0, x1, y1 = node["box"].numbers(4)
    return [*times, x0 / clock.width, y0 / clock.height, x1 / clock.width, y1 / clock.height]


def _read_event(node: Node, clock: Clock) -> Event:
    boxes = node.get("boxes")
    rows = [_read_box(box, clock) for box in boxes] if boxes is not None else []
    rows = rows or [[node["start"].number(), node["end"].number(), *ext.WHOLE_PICTURE]]
    category, mover = node.get("category"), node.get("mover")
    named, track = None if category is None else category.text(), -1 if mover is None else mover.whole()
    try:
        return Event(np.array(rows), node["score"].number(), named, track)
    except ValueError as error:
        raise DataError(f"{node.where}: {error}") from error


def read(path: Path, clocks: Mapping[str, Clock] | None = None) -> list[Annotated]:
    """Read ``events.json``; the file has its own clocks, which ``clocks`` overrule.

    An event without ``boxes`` covers the whole picture. Raises DataError for another structure of the file.
    """
    file = read_json(Path(path))
    version = file["version"].whole()
    if version != VERSION:
        raise DataError(f"{path}: version {version}, but this release reads version {VERSION}")
    videos = []
    for video, node in file["videos"].items():
        clock = (clocks or {}).get(video) or _read_clock(node)
        events = tuple(_read_event(event, clock) for event in node["events"])
        about: dict[str, Any] = {
            key: text.text() for key in ("folder", "damage") if (text := node.get(key)) is not None
        }
        about |= {"complete": complete.flag()} if (complete := node.get("complete")) is not None else {}
        videos.append(Annotated(video, clock, events=events, about=about))
    return videos


PLUGIN = Format(
    source=Provenance(title="events.json", licence="Apache-2.0"),
    suffix=".json",
    write=write,
    read=read,
)
