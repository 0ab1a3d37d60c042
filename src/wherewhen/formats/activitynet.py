"""ActivityNet JSON: events as ``segment`` ``[start, end]`` in seconds, of results or of a database.

Results are ``{"version", "results": {id: [{"label", "score", "segment"}]}, "external_data"}``; a database is
``{"version", "taxonomy", "database": {id: {"duration", "resolution", "subset", "annotations": [...]}}}``.
Seconds are ours, so nothing is converted; the format has no places, and an event covers the whole picture on reading.
Sources: http://activity-net.org/download.html, http://activity-net.org/challenges/2016/guidelines.html.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wherewhen.core.contracts import Format, Provenance
from wherewhen.core.errors import DataError
from wherewhen.core.values import Event
from wherewhen.formats._annotated import NO_CATEGORY, Annotated, Clock, clock_of, span_event
from wherewhen.formats._files import Node, one_of, read_json, write_json

KINDS = ("results", "database")


def _entries(video: Annotated, scored: bool) -> list[dict[str, Any]]:
    return [
        {"label": event.category or NO_CATEGORY, "segment": [event.start, event.end]}
        | ({"score": event.score} if scored else {})
        for event in video.events
    ]


def write(path: Path, videos: Sequence[Annotated], *, kind: str = "results", subset: str = "validation") -> None:
    """Write one file. ``kind``: ``results`` (predictions) or ``database`` (the truth, of the ``subset``)."""
    one_of("kind of file", kind, KINDS)
    if kind == "results":
        results = {video.id: _entries(video, scored=True) for video in videos}
        external = {"used": False, "details": ""}
        write_json(Path(path), {"version": "VERSION 1.3", "results": results, "external_data": external})
        return
    database: dict[str, dict[str, Any]] = {
        video.id: {
            "duration": video.clock.duration,
            "subset": subset,
            "resolution": f"{video.clock.width}x{video.clock.height}",
            "url": "",
            "annotations": _entries(video, scored=False),
        }
        for video in videos
    }
    labels = sorted({entry["label"] for row in database.values() for entry in row["annotations"]})
    taxonomy: list[dict[str, Any]] = [{"nodeName": "Root", "nodeId": 0, "parentName": None, "parentId": None}]
    taxonomy += [
        {"nodeName": label, "nodeId": k, "parentName": "Root", "parentId": 0} for k, label in enumerate(labels, 1)
    ]
    write_json(Path(path), {"version": "VERSION 1.3", "taxonomy": taxonomy, "database": database})


def _event(entry: Node) -> Event:
    start, end = entry["segment"].numbers(2)
    score = entry.get("score")
    return span_event(start, end, 1.0 if score is None else score.number(), entry["label"].text(), entry.where)


def read(path: Path, clocks: Mapping[str, Clock] | None = None) -> list[Annotated]:
    """Read a file of results or a database; ``clocks`` by video id, since it has no frames.

    Raises DataError for another structure of the file, and for a video without a clock.
    """
    file = read_json(Path(path))
    kind = next((kind for kind in KINDS if file.get(kind) is not None), None)
    if kind is None:
        raise DataError(f"{path}: expected 'results' or 'database'; is this an ActivityNet file?")
    return [
        Annotated(
            video,
            clock_of(video, clocks, Path(path)),
            events=tuple(_event(entry) for entry in (node if kind == "results" else node["annotations"])),
        )
        for video, node in file[kind].items()
    ]


PLUGIN = Format(
    source=Provenance(
        title="ActivityNet",
        homepage="http://activity-net.org/download.html",
        citation="Heilbron et al., ActivityNet: A Large-Scale Video Benchmark, CVPR 2015",
    ),
    suffix=".json",
    write=write,
    read=read,
)
