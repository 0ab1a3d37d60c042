"""FiftyOne import folder: ``FiftyOneVideoLabelsDataset`` for boxes and ``FiftyOneTemporalDetectionDataset`` for events.

``manifest.json`` lists ``data/<id>.<ext>`` and ``labels/<id>.json`` (ETA VideoLabels: frames counted from 1, boxes as
relative corners, ``index`` = track); ``labels.json`` lists events whose ``support`` is ``[first, last]``, frames from
1 with an inclusive end, or ``timestamps`` in seconds. Videos are not copied: put them, or links, into ``data/``.
Sources: https://docs.voxel51.com/user_guide/import_datasets.html,
https://github.com/voxel51/eta/blob/develop/docs/video_labels_guide.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from wherewhen.core.contracts import Format, Provenance
from wherewhen.core.errors import DataError
from wherewhen.core.values import Event
from wherewhen.formats._annotated import (
    NO_CATEGORY,
    Annotated,
    Clock,
    clock_of,
    event_frames,
    frame_event,
    from_frames,
    rows_of,
    span_event,
    to_frames,
)
from wherewhen.formats._files import Node, file_name, folder, number, read_json, video_id, whole, write_json


def _labels(video: Annotated) -> dict[str, Any]:
    """ETA VideoLabels of one video."""
    rows, clock = to_frames(video), video.clock
    fractions = rows.box / [clock.width, clock.height, clock.width, clock.height]
    frames: dict[str, Any] = {}
    for frame, track, box, score in zip(
        rows.frame.tolist(), rows.track.tolist(), fractions.tolist(), rows.score.tolist(), strict=True
    ):
        corners = {"top_left": {"x": box[0], "y": box[1]}, "bottom_right": {"x": box[2], "y": box[3]}}
        detection = {
            "label": video.label(track),
            "bounding_box": corners,
            "confidence": score,
            "frame_number": frame + 1,
        }
        entry = frames.setdefault(str(frame + 1), {"frame_number": frame + 1, "objects": {"objects": []}})
        entry["objects"]["objects"].append(detection | ({"index": track} if track >= 0 else {}))
    return {"frames": frames}


def _temporal(video: Annotated) -> list[dict[str, Any]]:
    detections = []
    for event in video.events:
        first, last = event_frames(event, video.clock, video.id)
        label = event.category or NO_CATEGORY
        detections.append({"label": label, "support": [first + 1, last], "confidence": event.score})
    return detections


def write(path: Path, videos: Sequence[Annotated]) -> None:
    """Write ``manifest.json``, ``labels/`` and ``labels.json`` into the folder ``path``."""
    index, events = [], {}
    for video in videos:
        name = file_name(video.id)
        ending = PurePosixPath(video.clock.name).suffix or ".mp4"
        index.append({"data": f"data/{name}{ending}", "labels": f"labels/{name}.json"})
        events[name] = _temporal(video)
        write_json(Path(path) / "labels" / f"{name}.json", _labels(video))
    manifest = {"type": "eta.core.datasets.LabeledVideoDataset", "description": "", "index": index}
    write_json(Path(path) / "manifest.json", manifest)
    write_json(Path(path) / "labels.json", {"classes": None, "labels": events})


def _box(corners: Node, clock: Clock) -> list[float]:
    low, high = corners["top_left"], corners["bottom_right"]
    x0, y0, x1, y1 = (point[axis].number() for point in (low, high) for axis in "xy")
    return [x0 * clock.width, y0 * clock.height, x1 * clock.width, y1 * clock.height]


def _read_boxes(path: Path, video: str, clock: Clock) -> Annotated:
    frames, boxes, tracks, scores = [], [], [], []
    names: dict[int, str] = {}
    listed = read_json(path).get("frames")
    for key, entry in listed.items() if listed is not None else ():
        frame = whole(number(key, entry.where), entry.where)
        if frame < 1:
            raise DataError(f"{entry.where}: frames count from 1")
        objects = entry.get("objects")
        for detection in (objects.get("objects") or ()) if objects is not None else ():
            index, score = detection.get("index"), detection.get("confidence")
            track = index.whole() if index is not None else -1
            frames.append(frame - 1)
            boxes.append(_box(detection["bounding_box"], clock))
            tracks.append(track)
            scores.append(1.0 if score is None else score.number())
            label = detection["label"].text()
            if track >= 0 and label != NO_CATEGORY:
                names[track] = label
    rows = rows_of(frames, boxes, tracks, scores)
    return Annotated(video, clock, from_frames(rows, clock, str(path)), names=names)


def _event(detection: Node, classes: list[str], clock: Clock) -> Event:
    score, target = detection.get("confidence"), detection["label"]
    strength = 1.0 if score is None else score.number()
    if isinstance(target.value, int):
        if not 0 <= target.whole() < len(classes):
            raise DataError(f"{target.where}: class {target.value}, but {len(classes)} classes are listed, from 0")
        label = classes[target.whole()]
    else:
        label = target.text()
    if detection.get("support") is not None:
        first, last = (whole(value, detection.where) for value in detection["support"].numbers(2))
        return frame_event(first - 1, last, clock, strength, label, detection.where)
    start, end = detection["timestamps"].numbers(2)
    return span_event(start, end, strength, label, detection.where)


def _inside(path: Path, name: Node) -> Path:
    file = (path / name.text()).resolve()
    if not file.is_relative_to(path.resolve()):
        raise DataError(f"{name.where}: {name.value!r} leads out of the folder")
    return file


def read(path: Path, clocks: Mapping[str, Clock] | None = None) -> list[Annotated]:
    """Read such a folder: boxes where ``manifest.json`` is, events where ``labels.json`` is, either or both.

    ``clocks`` by id, the name of the video file without its end. Raises DataError for another structure of the files,
    and for a video without a clock.
    """
    root = folder(Path(path))
    manifest, temporal = root / "manifest.json", root / "labels.json"
    if not manifest.is_file() and not temporal.is_file():
        raise DataError(f"{root}: expected manifest.json or labels.json; is this a FiftyOne export?")
    by_id: dict[str, Annotated] = {}
    if manifest.is_file():
        for entry in read_json(manifest)["index"]:
            video = video_id(PurePosixPath(entry["data"].text()).stem)
            clock = clock_of(video, clocks, manifest)
            by_id[video] = _read_boxes(_inside(root, entry["labels"]), video, clock)
    if temporal.is_file():
        file = read_json(temporal)
        classes = [label.text() for label in file.get("classes") or ()]
        for name, listed in file["labels"].items():
            video = video_id(name)
            annotated = by_id.get(video) or Annotated(video, clock_of(video, clocks, temporal))
            events = tuple(_event(event, classes, annotated.clock) for event in (listed if listed.value else ()))
            by_id[video] = Annotated(video, annotated.clock, annotated.boxes, events, annotated.names)
    return list(by_id.values())


PLUGIN = Format(
    source=Provenance(
        title="FiftyOne video labels and temporal detections",
        homepage="https://docs.voxel51.com/user_guide/import_datasets.html",
        licence="Apache-2.0",
    ),
    suffix="",
    write=write,
    read=read,
)
