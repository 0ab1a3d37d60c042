"""Verdicts as files of other tools, and as the table of labels that training reads."""

from __future__ import annotations

import io
import logging
import os
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from wherewhen.core import outputs, registry
from wherewhen.core.errors import ConfigError, DataError, VideoError, unknown
from wherewhen.core.extents import WHOLE_PICTURE
from wherewhen.core.printable import legible
from wherewhen.core.store import write_atomic
from wherewhen.core.values import Event, Video
from wherewhen.data_tools.camera_list import table_text
from wherewhen.formats import Annotated, Clock, events_as_boxes
from wherewhen.review.judged import CONFIRMED, Judged, judged_items
from wherewhen.training.verdicts import WeakLabel, weak_labels
from wherewhen.video import reader

log = logging.getLogger("wherewhen")

LABELS, TABLE = "labels", "labels.csv"
NORMAL = "normal"  # label of a span that a person called false
UNNAMED = ("mot", "rbdc")  # formats without labels, in which a rejected alert would be an event
OPTIONS = {"label_studio": {"kind": "annotations"}, "activitynet": {"kind": "database"}}
"""Options of formats that tell what a person stated from what a model did."""
SHORTEST = 0.1  # seconds of a span of the table


@dataclass(frozen=True)
class Exported:
    """What was written: number of ``videos``, of ``verdicts``, and of those left out because they are ``unsure``."""

    videos: int
    verdicts: int
    unsure: int


def formats() -> list[str]:
    """What verdicts can be written as: the table of labels, and each format that has labels."""
    able = (name for name in registry.names("formats") if registry.load("formats", name).write is not None)
    return [LABELS, *(name for name in able if name not in UNNAMED)]


def export(source: Path, form: str, output: Path, boxes: bool = True) -> Exported:
    """Write the verdicts that hold, of a store of ``watch`` or of reviewed results.

    Args:
        source: the database, or the folder that holds it.
        form: one of `formats`.
        output: file or folder to write, as the format has it. A table of labels is in a folder that has all videos.
        boxes: write each event as a track of boxes too, one in each picture.

    Raises:
        ConfigError: an unknown format, or a table of labels outside of the folder of its videos.
        DataError: there are no verdicts.
        StoreError: there is no database.
    """
    _check(form)
    items = _decided(judged_items(source))
    certain = [item for item in items if item.verdict != "unsure"]
    with outputs.reading({item.footage for item in certain}):
        if form == LABELS:
            table = output / TABLE if output.is_dir() else output
            videos = labelled(certain)
            write_atomic(table, table_text(_root(videos, table), videos))
            return Exported(len({video.path for video in videos}), len(videos), len(items) - len(certain))
        listed = annotated(certain)
        written = [events_as_boxes(video) for video in listed] if boxes else listed
        registry.load("formats", form).write(output, written, **OPTIONS.get(form, {}))
    return Exported(len(listed), sum(len(video.events) for video in listed), len(items) - len(certain))


def packed(source: Path, form: str) -> tuple[str, bytes]:
    """The verdicts as one file, its name and content; several files of a format are a ZIP archive.

    The paths of a table of labels are relative to the folder that has all its videos. Errors as of `export`.
    """
    _check(form)
    if form == LABELS:
        videos = labelled([item for item in _decided(judged_items(source)) if item.verdict != "unsure"])
        return TABLE, table_text(common(videos), videos).encode("utf-8", "surrogateescape")
    suffix = registry.load("formats", form).suffix
    with TemporaryDirectory() as folder:
        export(source, form, Path(folder) / f"verdicts{suffix}")
        root = Path(folder) if suffix else Path(folder) / "verdicts"
        files = sorted(path for path in root.rglob("*") if path.is_file() and not path.name.startswith("."))
        if len(files) == 1:
            return files[0].name, files[0].read_bytes()
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in files:
                archive.write(path, path.relative_to(root).as_posix())
    return f"{form}.zip", data.getvalue()


def annotated(items: Sequence[Judged]) -> list[Annotated]:
    """The judged spans of each video as events: confirmed ones with score 1, and rejected ones, ``normal``, with 0.

    An event has the box and the class of its verdict; without a box it covers the whole picture. Videos that can't be
    read are left out, and named in the log.
    """
    by_footage: dict[Path, list[Judged]] = {}
    for item in items:
        by_footage.setdefault(item.footage, []).append(item)
    listed = []
    for footage, group in by_footage.items():
        try:
            with reader.reading(footage) as video:
                clock = Clock(video.whole(), video.info.width, video.info.height, footage.name)
        except VideoError as error:
            log.warning("%d verdicts are left out: %s", len(group), error)
            continue
        events = sorted((_event(item, clock) for item in group), key=lambda event: event.start)
        name = group[0].video or (Path("clips") / footage.stem).as_posix()
        listed.append(Annotated(legible(name), clock, events=tuple(events)))
    return listed


def labelled(items: Sequence[Judged]) -> list[Video]:
    """The judged spans as labelled videos, with the margins that `learn` has: see `wherewhen.training.verdicts`.

    No moment of a file has both labels: margins end where a span of the other label begins, and where spans overlap the
    confirmed one counts. Rejected spans of which nothing is left are counted in the log.
    """
    labels = weak_labels(items)
    rejected = _spans_of(label for label in labels if not label.label)
    confirmed: dict[Path, list[tuple[float, float]]] = {}
    videos: dict[object, Video] = {}
    cameras = {item.id: item.camera for item in items if item.video is None}
    lost = 0
    for label in sorted(labels, key=lambda label: not label.label):
        start, end = _free(label.span, (rejected if label.label else confirmed).get(label.path, ()))
        if label.label:
            start, end = min(start, label.start), max(end, label.end)
            confirmed.setdefault(label.path, []).append((start, end))
        elif end - start < SHORTEST:
            lost += 1
            continue
        span = round(start, 3), round(end, 3)
        category = label.category if label.label else None
        videos[label.path, span] = Video(label.id, label.path, label.label, category, span, cameras.get(label.id))
    if lost:
        log.warning("%d rejected spans are left out: confirmed events are in all of them", lost)
    return sorted(videos.values(), key=lambda video: (str(video.path), video.span))


def common(videos: Sequence[Video]) -> Path:
    """The innermost folder that has all videos."""
    return Path(os.path.commonpath([video.path.parent for video in videos]))


def _check(form: str) -> None:
    if form in UNNAMED:
        raise ConfigError(
            f"{form} has no labels, so that rejected alerts would be events in it: {', '.join(formats())}"
        )
    if form not in formats():
        raise ConfigError(unknown("format", form[:40], formats()))


def _decided(items: list[Judged]) -> list[Judged]:
    """The items, with plain paths of their videos; DataError where none can be written."""
    if all(item.verdict == "unsure" for item in items):
        raise DataError("there are no verdicts to export yet; judge first: wherewhen review")
    return [replace(item, footage=_plain(item.footage)) for item in items]


def _plain(path: Path) -> Path:
    """An absolute path without ``..``; a link keeps its name, as a table of labels has it."""
    plain = Path(os.path.abspath(path))  # noqa: PTH100 (links are not followed)
    return plain if plain.exists() else path.resolve()


def _spans_of(labels: Iterable[WeakLabel]) -> dict[Path, list[tuple[float, float]]]:
    """The spans of items without margins, by file."""
    spans: dict[Path, list[tuple[float, float]]] = {}
    for label in labels:
        spans.setdefault(label.path, []).append((label.start, label.end))
    return spans


def _free(span: tuple[float, float], others: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """A span without the parts that others have, seen from its middle; the end may come before the start."""
    (start, end), middle = span, sum(span) / 2
    for since, until in others:
        if since < end and until > start:
            start, end = (max(start, until), end) if (since + until) / 2 < middle else (start, min(end, since))
    return start, end


def _root(videos: Sequence[Video], table: Path) -> Path:
    """The folder of a table of labels; ConfigError where a video is outside of it, or ``train`` would not find it."""
    root = _plain(table.parent)
    if table.name != TABLE:
        raise ConfigError(f"{table}: expected a file called {TABLE}, which train reads, or a folder")
    if not all(video.path.is_relative_to(root) for video in videos):
        raise ConfigError(
            f"{table}: a table of labels is in a folder that has all its videos; "
            f"write --output {common(videos) / TABLE}"
        )
    return root


def _event(item: Judged, clock: Clock) -> Event:
    """An item as an event within the times of its video, of one picture at least."""
    first, last = float(clock.edges[0]), float(clock.edges[-1])
    step = 1 / clock.rate
    start = min(max(item.start, first), last - step)
    end = min(max(item.end, start + step), last)
    box = item.box or (None if item.verdict == "wrong_place" else item.shown_box)
    place = WHOLE_PICTURE if box is None else (box[0], box[1], box[0] + box[2], box[1] + box[3])
    is_event = item.verdict in CONFIRMED
    return Event(np.array([[start, end, *place]]), float(is_event), (item.category if is_event else NORMAL) or None)
