"""CVAT for video 1.1: one XML file per video, with tracks of boxes in its frames.

Frames count from 0, and ``xtl ytl xbr ybr`` are pixel coordinates from the top left corner. ``outside="1"`` marks the
first frame in which an object is gone, so it is a half-open end. Between the boxes of a track CVAT moves linearly, and
a box that no ``outside`` ends stays to the last frame. A track has one box per frame; a box without a track becomes
a track of its own, as CVAT does with shapes. Scores are in an attribute ``score``, since boxes have no field for one.
Source: https://docs.cvat.ai/docs/manual/advanced/xml_format/ ("Interpolation").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from wherewhen.core.contracts import Format, Provenance
from wherewhen.core.errors import DataError
from wherewhen.core.store import write_atomic
from wherewhen.core.values import Floats
from wherewhen.formats._annotated import NO_CATEGORY, Annotated, Clock, clock_of, from_frames, rows_of, to_frames
from wherewhen.formats._files import file_name, number, read_xml, shown, video_id, whole
from wherewhen.formats._tracks import fill, runs, upright

CORNERS = ("xtl", "ytl", "xbr", "ybr")
Element = ElementTree.Element


def _meta(video: Annotated, labels: list[str]) -> Element:
    """The description of a task: its name, length and size, and the labels with their attribute."""
    meta = Element("meta")
    task = ElementTree.SubElement(meta, "task")
    clock = video.clock
    for tag, text in (("name", video.id), ("size", str(clock.frames)), ("mode", "interpolation"), ("overlap", "0")):
        ElementTree.SubElement(task, tag).text = text
    listed = ElementTree.SubElement(task, "labels")
    for label in labels:
        entry = ElementTree.SubElement(listed, "label")
        ElementTree.SubElement(entry, "name").text = label
        attribute = ElementTree.SubElement(ElementTree.SubElement(entry, "attributes"), "attribute")
        for tag, text in (("name", "score"), ("mutable", "True"), ("input_type", "text"), ("default_value", "")):
            ElementTree.SubElement(attribute, tag).text = text
        ElementTree.SubElement(attribute, "values").text = ""
    size = ElementTree.SubElement(task, "original_size")
    ElementTree.SubElement(size, "width").text = str(clock.width)
    ElementTree.SubElement(size, "height").text = str(clock.height)
    ElementTree.SubElement(meta, "source").text = video.file
    return meta


def _box(track: Element, frame: int, box: list[float], score: float, outside: bool) -> None:
    place = {key: shown(value) for key, value in zip(CORNERS, box, strict=True)}
    flags = {"outside": str(int(outside)), "occluded": "0", "keyframe": "1", "z_order": "0"}
    entry = ElementTree.SubElement(track, "box", {"frame": str(frame), **flags, **place})
    ElementTree.SubElement(entry, "attribute", {"name": "score"}).text = repr(score)


def _document(video: Annotated) -> bytes:
    labels = sorted({video.label(track) for track in video.boxes.track.tolist()}) or [NO_CATEGORY]
    for text in (video.id, video.file, *labels):
        if not all(character.isprintable() for character in text):
            raise DataError(f"{video.id!r}: XML can't hold the text {text!r}")
    root = Element("annotations")
    ElementTree.SubElement(root, "version").text = "1.1"
    root.append(_meta(video, labels))
    groups = to_frames(video).by_track()
    free = max([*groups, -1]) + 1
    for key, rows in groups.items():
        name = str(key) if key >= 0 else str(free - 1 - key)
        track = ElementTree.SubElement(root, "track", {"id": name, "label": video.label(key), "source": "auto"})
        frames, boxes, scores = rows.frame.tolist(), rows.box.tolist(), rows.score.tolist()
        for run in runs(rows.frame):
            for k in range(run.start, run.stop):
                _box(track, frames[k], boxes[k], scores[k], outside=False)
            if frames[run.stop - 1] + 1 < video.clock.frames:
                _box(track, frames[run.stop - 1] + 1, boxes[run.stop - 1], scores[run.stop - 1], outside=True)
    ElementTree.indent(root)
    document: bytes = ElementTree.tostring(root, "utf-8", xml_declaration=True)
    return document + b"\n"


def write(path: Path, videos: Sequence[Annotated]) -> None:
    """Write ``<video>.xml`` into the folder ``path``, or the only video into ``path`` where it ends in ``.xml``."""
    target = Path(path)
    if target.suffix == ".xml" and len(videos) != 1:
        raise DataError(f"{target}: a CVAT file holds one video, got {len(videos)}; give a folder")
    if target.suffix != ".xml":
        target.mkdir(parents=True, exist_ok=True)
    for video in videos:
        file = target if target.suffix == ".xml" else target / f"{file_name(video.id)}.xml"
        write_atomic(file, _document(video))


def _cell(element: Element, key: str, where: str, default: str | None = None) -> float:
    text = element.get(key, default)
    if text is None:
        raise DataError(f"{where}: {key!r} is missing")
    return number(text, f"{where}: {key}")


def _keys(track: Element, where: str) -> tuple[list[int], Floats, list[bool]]:
    """Frames, rows ``(K, 6)`` of corners, rotation and score, and whether the object shows from there on."""
    rows: dict[int, tuple[list[float], bool]] = {}
    for box in track.findall("box"):
        frame = whole(_cell(box, "frame", where), where)
        if frame in rows:
            raise DataError(f"{where}: two boxes in frame {frame}")
        place = f"{where}, frame {frame}"
        texts = [entry.text or "" for entry in box.findall("attribute") if entry.get("name") == "score"]
        score = number(texts[0], f"{place}: score") if texts and texts[0].strip() else 1.0
        values = [_cell(box, key, place) for key in CORNERS]
        rows[frame] = ([*values, _cell(box, "rotation", place, "0"), score], _cell(box, "outside", place, "0") == 0)
    order = sorted(rows)
    return order, np.array([rows[frame][0] for frame in order]).reshape(-1, 6), [rows[frame][1] for frame in order]


def _read_one(file: Path, clocks: Mapping[str, Clock] | None) -> Annotated:
    root = read_xml(file)
    if root.tag != "annotations":
        raise DataError(f"{file}: expected <annotations>, got <{root.tag}>; is this CVAT for video 1.1?")
    if root.find("image") is not None:
        raise DataError(f"{file}: this is CVAT for images; export the task as CVAT for video 1.1")
    named = root.findtext("meta/task/name") or root.findtext("meta/job/name")
    stem = video_id(file.stem)
    video = named if named and (stem not in (clocks or {}) or named in (clocks or {})) else stem
    clock = clock_of(video, clocks, file)
    frames, boxes, tracks, scores = [], [], [], []
    names: dict[int, str] = {}
    keys: set[int] = set()
    for track in root.findall("track"):
        where = f"{file}: track {track.get('id')}"
        key = whole(_cell(track, "id", where), where)
        if key < 0 or key in keys:
            raise DataError(f"{where}: expected a track id that is at least 0 and unique")
        keys.add(key)
        order, rows, shows = _keys(track, where)
        if order and not 0 <= order[0] <= order[-1] < clock.frames:
            raise DataError(f"{where}: frames {order[0]} to {order[-1]}, but the video has {clock.frames}, from 0")
        rows[:, 4] = np.unwrap(rows[:, 4], period=360)
        frame, values = fill(np.array(order, np.int64), rows, np.array(shows, bool), clock.frames, last_shows=False)
        middle = (values[:, :2] + values[:, 2:4]) / 2
        frames += frame.tolist()
        boxes += upright(values[:, :4], values[:, 4], middle).tolist()
        tracks += [key] * len(frame)
        scores += values[:, 5].tolist()
        label = track.get("label", NO_CATEGORY)
        if label != NO_CATEGORY:
            names[key] = label
    box_scores = from_frames(rows_of(frames, boxes, tracks, scores), clock, str(file))
    return Annotated(video, clock, box_scores, names=names)


def read(path: Path, clocks: Mapping[str, Clock] | None = None) -> list[Annotated]:
    """Read one such file, or each ``.xml`` of a folder; ``clocks`` by task name, or by file name without its end.

    Shapes other than boxes are left out. Raises DataError for XML that declares entities, for another structure,
    and for a video without a clock: CVAT keeps no times.
    """
    place = Path(path)
    files = sorted(place.glob("*.xml")) if place.is_dir() else [place]
    return [_read_one(file, clocks) for file in files]


PLUGIN = Format(
    source=Provenance(
        title="CVAT for video 1.1", homepage="https://docs.cvat.ai/docs/manual/advanced/xml_format/", licence="MIT"
    ),
    suffix="",
    write=write,
    read=read,
)
