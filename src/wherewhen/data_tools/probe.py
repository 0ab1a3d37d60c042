"""Measures the videos of a data set and writes their rates, lengths and sizes to ``videos.json``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from wherewhen.core.contracts import DatasetReader
from wherewhen.core.diagnostics import Finding, listening, report
from wherewhen.core.errors import VideoError, WherewhenError
from wherewhen.core.video_info import write_sidecar
from wherewhen.video.reader import edges, probe
from wherewhen.video.sources import expand

Row = dict[str, float]


def measure(path: Path, picture_rate: float | None = None) -> Row:
    """Frames, rate and size of a video file or folder of pictures; raises VideoError.

    Frames are counted, not taken from the file's head. A folder of pictures has no rate but ``picture_rate``.
    """
    info = probe(path, picture_rate=picture_rate)
    row: Row = {"frames": len(edges(path, picture_rate=picture_rate)) - 1, "width": info.width, "height": info.height}
    if path.is_file() or picture_rate:
        row["fps"] = info.rate
    return row


def places(root: Path, reader: DatasetReader | None) -> dict[str, Path]:
    """Videos by id as the reader calls them, and every other video below the root by its name."""
    paths: dict[str, Path] = {}
    fault = ""
    if reader is not None:
        with listening():
            try:
                paths = {v.id: v.path for v in reader.load(root).videos if v.path.exists() and v.span is None}
            except WherewhenError as error:  # some readers can't name their videos before these are measured
                fault = str(error)
    resolved = {path.resolve() for path in paths.values()}
    try:
        below = [path for path in expand(root) if isinstance(path, Path) and path.resolve() not in resolved]
    except VideoError:  # no video at all below the root
        below = []
    if fault and below:
        report("names-unknown", f"measured under the names of their files, for the labels can't be read: {fault}")
    return {path.stem: path for path in below} | paths


def probe_set(
    root: Path,
    reader: DatasetReader | None = None,
    picture_rate: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[dict[str, Row], list[Finding]]:
    """Measure every video and write ``videos.json``; gives its new rows, and a finding per video that can't be read."""
    rows: dict[str, Row] = {}
    with listening() as findings:
        todo = places(root, reader)
        for number, (key, path) in enumerate(sorted(todo.items()), 1):
            try:
                rows[key] = measure(path, picture_rate)
            except VideoError as error:
                report("video-unreadable", error.cause, key, path)
            if progress:
                progress(number, len(todo))
        if rows:
            write_sidecar(root, rows)
    return rows, findings
