"""COCO JSON for video, as TAO extends it: videos, images (frames), tracks and annotations.

Boxes are ``[x, y, width, height]`` in pixels, and "are measured from the top left image corner and are 0-indexed"
(https://cocodataset.org/#format-data), so ``x + width`` is our half-open end. ``frame_index`` counts from 0. Ids are
unique in the file; a track's number within its video is ``number`` beside its id. The fields are those of
https://github.com/TAO-Dataset/tao/blob/master/tao/toolkit/tao/tao.py; frame times are in the video's ``metadata``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from wherewhen.core.contracts import Format, Provenance
from wherewhen.core.errors import DataError
from wherewhen.formats._annotated import NO_CATEGORY, Annotated, Clock, clock_of, from_frames, rows_of, to_frames
from wherewhen.formats._files import Node, read_json, write_json


def _add(video: Annotated, file: dict[str, Any], categories: dict[str, int]) -> None:
    """Append a video and its content to the lists of the file."""
    clock, rows, number = video.clock, to_frames(video), len(file["videos"]) + 1
    size = {"width": clock.width, "height": clock.height}
    file["videos"].append({"id": number, "name": video.id, **size, "metadata": {"edges": clock.edges.tolist()}})
    first = len(file["images"]) + 1
    stem = PurePosixPath(video.file).stem
    file["images"] += [
        {"id": first + k, "video_id": number, "file_name": f"{stem}/{k:06d}.jpg", **size, "frame_index": k}
        for k in range(clock.frames)
    ]
    tracks: dict[int, int] = {}
    for track in np.unique(rows.track[rows.track >= 0]).tolist():
        tracks[track] = len(file["tracks"]) + 1
        category = categories[video.label(track)]
        file["tracks"].append({"id": tracks[track], "category_id": category, "video_id": number, "number": track})
    for frame, track, box, score in zip(
        rows.frame.tolist(), rows.track.tolist(), rows.box.tolist(), rows.score.tolist(), strict=True
    ):
        x0, y0, x1, y1 = box
        width, height = round(x1 - x0, 6), round(y1 - y0, 6)
        entry = {
            "id": len(file["annotations"]) + 1,
            "image_id": first + frame,
            "video_id": number,
            "category_id": categories[video.label(track)],
            "bbox": [x0, y0, width, height],
            "area": width * height,
            "iscrowd": 0,
            "score": score,
        }
        file["annotations"].append(entry | ({"track_id": tracks[track]} if track >= 0 else {}))


def write(path: Path, videos: Sequence[Annotated]) -> None:
    """Write all videos into one file; every frame is an image, so that empty frames count in an evaluation."""
    labels = sorted({video.label(track) for video in videos for track in video.boxes.track.tolist()} | {NO_CATEGORY})
    categories = {label: number for number, label in enumerate(labels, 1)}
    file: dict[str, Any] = {"info": {"description": "Written by wherewhen"}, "licenses": []}
    file |= {"videos": [], "images": [], "tracks": [], "annotations": []}
    file["categories"] = [{"id": number, "name": label} for label, number in categories.items()]
    for video in videos:
        _add(video, file, categories)
    write_json(Path(path), file)


def _by_id(nodes: Node) -> dict[int, Node]:
    by_id: dict[int, Node] = {}
    for node in nodes:
        number = node["id"].whole()
        if number in by_id:
            raise DataError(f"{node.where}.id: {number} is repeated")
        by_id[number] = node
    return by_id


def _entry(table: dict[int, Node], node: Node) -> Node:
    if node.whole() not in table:
        raise DataError(f"{node.where}: there is nothing with id {node.value}")
    return table[node.whole()]


def _own_clock(video: Node) -> Clock | None:
    metadata = video.get("metadata")
    edges = metadata.get("edges") if metadata is not None else None
    if edges is None:
        return None
    times = [edge.number() for edge in edges]
    try:
        return Clock(np.array(times), video["width"].whole(), video["height"].whole())
    except ValueError as error:
        raise DataError(f"{video.where}: {error}") from error


def _number(track: Node) -> int:
    number = (track.get("number") or track["id"]).whole()
    if number < 0:
        raise DataError(f"{track.where}: a track number is at least 0, got {number}")
    return number


def read(path: Path, clocks: Mapping[str, Clock] | None = None) -> list[Annotated]:
    """Read all videos of such a file; ``clocks`` by video name, needed where the file is not ours.

    Track numbers are ``number`` where given, else the track's id. Raises DataError for another structure of the file.
    """
    file = read_json(Path(path))
    videos, images = _by_id(file["videos"]), _by_id(file["images"])
    tracks = _by_id(file["tracks"]) if file.get("tracks") is not None else {}
    labels = {number: node["name"].text() for number, node in _by_id(file["categories"]).items()}
    rows: dict[int, list[tuple[int, list[float], int, float]]] = {number: [] for number in videos}
    names: dict[int, dict[int, str]] = {number: {} for number in videos}
    for node in file["annotations"]:
        image = _entry(images, node["image_id"])
        video = _entry(videos, image["video_id"])["id"].whole()
        x, y, width, height = node["bbox"].numbers(4)
        score = node.get("score")
        track, owner = -1, node.get("track_id")
        if owner is not None:
            track = _number(_entry(tracks, owner) if tracks else Node({"id": owner.value}, owner.where))
            label = labels.get(node["category_id"].whole(), NO_CATEGORY)
            if label != NO_CATEGORY:
                names[video][track] = label
        entry = (image["frame_index"].whole(), [x, y, x + width, y + height], track)
        rows[video].append((*entry, 1.0 if score is None else score.number()))
    answer = []
    for number, node in videos.items():
        name = node["name"].text()
        clock = clock_of(name, clocks, Path(path), _own_clock(node))
        frame, box, track_numbers, scores = zip(*rows[number], strict=True) if rows[number] else ((), (), (), ())
        boxes = from_frames(rows_of(frame, box, track_numbers, scores), clock, f"{path}: {name}")
        answer.append(Annotated(name, clock, boxes, names=names[number]))
    return answer


PLUGIN = Format(
    source=Provenance(
        title="COCO JSON for video (TAO)",
        homepage="https://github.com/TAO-Dataset/tao",
        citation="Dave et al., TAO: A Large-Scale Benchmark for Tracking Any Object, ECCV 2020",
    ),
    suffix=".json",
    write=write,
    read=read,
)
