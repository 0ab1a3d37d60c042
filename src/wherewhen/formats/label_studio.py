"""Label Studio JSON for video: tasks with ``videorectangle`` tracks and ``timelinelabels`` ranges.

``x y width height`` are percent of the picture, from the top left corner. Frames count from 1, and ``time`` is
frame / rate, the end of the frame. In a ``sequence``, boxes move linearly from key to key; a key with ``enabled``
false is the last frame in which the object shows (an inclusive end), and the last key stays to the end otherwise.
``ranges`` of a timeline are frames from 1 with an inclusive end. A turned box is read as the upright box around it.
Sources: https://labelstud.io/tags/videorectangle, https://labelstud.io/tags/timelinelabels,
https://labelstud.io/templates/video_object_detector.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from wherewhen.core.contracts import Format, Provenance
from wherewhen.core.errors import DataError
from wherewhen.core.values import Event
from wherewhen.formats._annotated import (
    NO_CATEGORY,
    Annotated,
    Clock,
    FrameBoxes,
    clock_of,
    event_frames,
    frame_event,
    from_frames,
    rows_of,
    to_frames,
)
from wherewhen.formats._files import Node, one_of, read_json, write_json
from wherewhen.formats._tracks import fill, runs, upright

KINDS = ("predictions", "annotations")
LABELING = """<View>
  <Video name="video" value="$video"/>
  <VideoRectangle name="box" toName="video"/>
  <Labels name="labels" toName="video"><Label value="anomaly"/></Labels>
  <TimelineLabels name="timeline" toName="video"><Label value="anomaly"/></TimelineLabels>
</View>
"""
"""The labeling configuration that written files fit; add a ``Label`` for each category."""


def _sequence(rows: FrameBoxes, clock: Clock) -> list[dict[str, Any]]:
    ends = {run.stop - 1 for run in runs(rows.frame)}
    percent = rows.box / [clock.width, clock.height, clock.width, clock.height] * 100
    keys = []
    for k, (frame, box) in enumerate(zip(rows.frame.tolist(), percent.tolist(), strict=True)):
        size = {"x": box[0], "y": box[1], "width": box[2] - box[0], "height": box[3] - box[1], "rotation": 0}
        time = float(clock.edges[frame + 1])
        more = {"frame": frame + 1, "time": time, "enabled": k not in ends, "score": float(rows.score[k])}
        keys.append(size | more)
    return keys


def _results(video: Annotated, origin: str) -> list[dict[str, Any]]:
    clock, common = video.clock, {"to_name": "video", "origin": origin}
    results: list[dict[str, Any]] = []
    for key, rows in to_frames(video).by_track().items():
        value = {"framesCount": clock.frames, "duration": clock.duration, "labels": [video.label(key)]}
        name = f"track{key}" if key >= 0 else f"box{-1 - key}"
        region = {"id": name, "type": "videorectangle", "from_name": "box", "score": float(rows.score.max()), **common}
        results.append(region | {"value": value | {"sequence": _sequence(rows, clock)}})
    for number, event in enumerate(video.events):
        first, last = event_frames(event, clock, video.id)
        label = event.category or NO_CATEGORY
        span = {"ranges": [{"start": first + 1, "end": last}], "timelinelabels": [label]}
        region = {"id": f"event{number}", "type": "timelinelabels", "from_name": "timeline", "score": event.score}
        results.append(region | common | {"value": span})
    return results


def write(path: Path, videos: Sequence[Annotated], *, kind: str = "predictions") -> None:
    """Write one file of tasks to import.

    ``kind``: ``predictions`` (to review) or ``annotations`` (as if a person had drawn them).
    """
    one_of("kind of result", kind, KINDS)
    origin = "prediction" if kind == "predictions" else "manual"
    tasks = []
    for video in videos:
        results = _results(video, origin)
        entry: dict[str, Any] = {"result": results}
        if kind == "predictions":
            entry |= {"model_version": "wherewhen", "score": max((r["score"] for r in results), default=0.0)}
        tasks.append({"data": {"video": video.file, "id": video.id}, kind: [entry]})
    write_json(Path(path), tasks)


def _boxes(region: Node, clock: Clock) -> tuple[list[int], list[list[float]], list[float]]:
    """Frames from 0, pixel boxes and scores of one ``videorectangle``."""
    keys: dict[int, tuple[list[float], bool]] = {}
    default = region.get("score")
    for key in region["value"]["sequence"]:
        frame = key["frame"].whole() - 1
        if not 0 <= frame < clock.frames:
            raise DataError(f"{key.where}: frame {frame + 1}, but the video has {clock.frames}, counted from 1")
        if frame in keys:
            raise DataError(f"{key.where}: frame {frame + 1} is repeated")
        place = [key[name].number() for name in ("x", "y", "width", "height")]
        turn, score, shows = key.get("rotation"), key.get("score") or default, key.get("enabled")
        extra = [turn.number() if turn else 0.0, score.number() if score else 1.0]
        keys[frame] = ([*place, *extra], shows is None or shows.flag())
    order = sorted(keys)
    values = np.array([keys[frame][0] for frame in order]).reshape(-1, 6)
    on = np.array([keys[frame][1] for frame in order], bool)
    frames, rows = fill(np.array(order, np.int64), values, on, clock.frames, last_shows=True)
    corner = rows[:, :2] / 100 * [clock.width, clock.height]
    size = rows[:, 2:4] / 100 * [clock.width, clock.height]
    boxes = upright(np.concatenate([corner, corner + size], 1).round(6), rows[:, 4], corner)
    return frames.tolist(), boxes.tolist(), rows[:, 5].tolist()


def _label(value: Node, key: str) -> str:
    labels = value.get(key)
    return next((label.text() for label in labels), NO_CATEGORY) if labels is not None else NO_CATEGORY


def _events(region: Node, clock: Clock) -> list[Event]:
    value, score = region["value"], region.get("score")
    strength = 1.0 if score is None else score.number()
    label = _label(value, "timelinelabels")
    return [
        frame_event(span["start"].whole() - 1, span["end"].whole(), clock, strength, label, span.where)
        for span in value["ranges"]
    ]


def _numbers(regions: list[Node]) -> list[int]:
    """A track number per region: the one in its id, -1 for a box without one, else the next free."""
    ids = [(node.text() if (node := region.get("id")) else "") for region in regions]
    ours = [re.fullmatch(r"track(\d{1,15})|box\d+", name) for name in ids]
    numbers = [(int(match[1]) if match[1] else -1) if match else None for match in ours]
    tracks = [number for number in numbers if number is not None and number >= 0]
    if len(set(tracks)) < len(tracks):
        raise DataError(f"{regions[0].where}: two regions have the same id")
    free = max(tracks, default=-1)
    answer = []
    for number in numbers:
        free += number is None
        answer.append(free if number is None else number)
    return answer


def _read_task(task: Node, kind: str | None, path: Path, clocks: Mapping[str, Clock] | None) -> Annotated:
    data = task["data"]
    name, task_id = data["video"].text(), data.get("id")
    video = task_id.text() if task_id is not None and isinstance(task_id.value, str) else PurePosixPath(name).stem
    clock = clock_of(video, clocks, path)
    entries = [entry for key in ([kind] if kind else KINDS[::-1]) for entry in task.get(key) or ()]
    regions = list(entries[0]["result"]) if entries else []
    tracks = [region for region in regions if region["type"].text() == "videorectangle"]
    frames, boxes, numbers, scores = [], [], [], []
    names: dict[int, str] = {}
    for region, number in zip(tracks, _numbers(tracks), strict=True):
        frame, box, score = _boxes(region, clock)
        frames += frame
        boxes += box
        scores += score
        numbers += [number] * len(frame)
        label = _label(region["value"], "labels")
        if number >= 0 and label != NO_CATEGORY:
            names[number] = label
    box_scores = from_frames(rows_of(frames, boxes, numbers, scores), clock, task.where)
    spans = [region for region in regions if region["type"].text() == "timelinelabels"]
    events = tuple(event for region in spans for event in _events(region, clock))
    return Annotated(video, clock, box_scores, events, names)


def read(path: Path, clocks: Mapping[str, Clock] | None = None, *, kind: str | None = None) -> list[Annotated]:
    """Read an export: of each task the first annotation, or the first prediction where there is none.

    ``clocks`` by the task's ``id`` in ``data``, else by the video's file name without its end. ``kind`` chooses
    ``annotations`` or ``predictions`` alone. Regions of other types are left out. Raises DataError for another
    structure of the file, and for a video without a clock.
    """
    if kind is not None:
        one_of("kind of result", kind, KINDS)
    return [_read_task(task, kind, Path(path), clocks) for task in read_json(Path(path))]


PLUGIN = Format(
    source=Provenance(
        title="Label Studio video", homepage="https://labelstud.io/tags/videorectangle", licence="Apache-2.0"
    ),
    suffix=".json",
    write=write,
    read=read,
)
