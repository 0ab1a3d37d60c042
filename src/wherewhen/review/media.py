"""Clips, thumbnails and curves of items, cut from their videos when they are asked for."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from threading import BoundedSemaphore, Lock
from typing import Any

import numpy as np

from wherewhen.core.documents import json_of
from wherewhen.core.errors import StoreError, VideoError
from wherewhen.core.printable import original
from wherewhen.core.store import write_atomic
from wherewhen.core.values import Pixels
from wherewhen.review.items import window
from wherewhen.video import reader
from wherewhen.video.writer import Writer

CACHE = "review-cache"  # folder of clips and thumbnails beside the database
LARGEST = 2 * 10**9  # bytes of it
WIDEST = 960  # pixels of a clip
THUMB = 320  # pixels of the width of a thumbnail
FASTEST = 30.0  # pictures per second of a clip
AT_ONCE = 2  # clips that are encoded at the same time
PLAYED = "h264"  # the coding that every browser plays
CURVE = 120.0  # seconds of the curve before and after an event
POINTS = 1200  # of a curve at most

_encoders = BoundedSemaphore(AT_ONCE)
_locks: dict[str, Lock] = {}
_codecs: dict[tuple[Path, int], str] = {}


def footage(row: Mapping[str, Any], folder: Path) -> Path | None:
    """The video file that shows an item; None where it is gone. ``row``: see `wherewhen.review.items.row_of`.

    The row has its path. A clip of a store lies within its folder; a video of a reviewed folder may be anywhere, and is
    only ever decoded.
    """
    if row["video"] is not None:
        path = (folder / original(row["path"])).resolve() if row["path"] else None
        return path if path is not None and path.exists() else None
    return _within(folder, row["clip"])


def clip(row: Mapping[str, Any], folder: Path) -> Path | None:
    """An mp4 of an item that browsers play: the file itself where that is one, else encoded once; None without one.

    Raises:
        VideoError: the video can't be read.
    """
    source = footage(row, folder)
    if source is None:
        return None
    if row["video"] is None and _codec(source) == PLAYED:
        return source
    begin, end = window(row)
    target = _cached(folder, "clip", row["id"], source, begin, end).with_suffix(".mp4")
    with _lock(target), _encoders:
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            span = (begin, end) if row["video"] is not None else None
            _encode(source, target, span)
            _trim(target.parent)
    return target


def thumb(row: Mapping[str, Any], folder: Path) -> Path | None:
    """A picture of an item as WEBP, with its box; None without one.

    Raises:
        VideoError: the video can't be read.
    """
    if row["video"] is None:
        return _within(folder, row["thumb"])
    source = footage(row, folder)
    if source is None:
        return None
    moment = (row["t0"] + row["t1"]) / 2
    target = _cached(folder, "thumb", row["id"], source, moment, row["box_json"]).with_suffix(".webp")
    with _lock(target):
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            picture = reader.picture(source, moment, width=THUMB).image
            write_atomic(target, _webp(picture, json_of(row["box_json"] or "null")), ours=True)
    return target


def curve(row: Mapping[str, Any], scores: bytes | None, step: float | None, start: float) -> dict[str, Any]:
    """The scores around an item of a video, in seconds of the video.

    Args:
        row: the item.
        scores: of the whole video, float32.
        step: seconds between two of them; None without scores.
        start: when the first begins, in seconds.
    """
    values = np.frombuffer(scores or b"", "<f4")
    since, until = row["t0"] - CURVE, row["t1"] + CURVE
    times = start + np.arange(len(values)) * (step or 1.0)
    return points(row, times, values, max(since, start), until)


def points(row: Mapping[str, Any], times: Any, values: Any, since: float, until: float) -> dict[str, Any]:
    """Scores ``(N,)`` at ``times`` from ``since`` to ``until`` as the API shows them: few, with all peaks."""
    times, values = np.asarray(times, np.float64), np.asarray(values, np.float64)
    inside = (times >= since) & (times <= until)
    times, values = times[inside], values[inside]
    if len(values) > POINTS:
        groups = np.linspace(0, len(values), POINTS + 1).astype(int)[:-1]
        times, values = times[groups], np.maximum.reduceat(values, groups)
    return {
        "times": times.round(3).tolist(), "scores": values.round(4).tolist(), "threshold": row["threshold"],
        "start": since, "end": float(times[-1]) if row["clock"] == "video" and len(times) else until,
    }  # fmt: skip


def _lock(target: Path) -> Lock:
    """The lock of a file that is written; the same for all who ask at the same time."""
    return _locks.setdefault(str(target), Lock())


def _within(folder: Path, name: str | None) -> Path | None:
    """A file below a folder; None for any other."""
    path = (folder / name).resolve() if name else None
    return path if path is not None and path.is_relative_to(folder.resolve()) and path.is_file() else None


def _codec(path: Path) -> str:
    """The coding of a video, empty where it can't be read."""
    key = path, path.stat().st_mtime_ns
    if key not in _codecs:
        try:
            _codecs[key] = reader.probe(path).codec
        except VideoError:
            _codecs[key] = ""
    return _codecs[key]


def _cached(folder: Path, kind: str, id: str, source: Path, *about: object) -> Path:
    """The path of a file of the cache, without suffix: another one for another video or span."""
    changed = source.stat().st_mtime_ns
    name = hashlib.sha256(repr((kind, id, str(source), changed, about)).encode()).hexdigest()[:32]
    return folder / CACHE / name


def _encode(source: Path, target: Path, span: tuple[float, float] | None) -> None:
    """Encode a span of a video in seconds, the whole of it for None; the clip's time 0 is the begin of the span."""
    begin = 0.0 if span is None else span[0]
    pictures = reader.frames(source, span=span, rate=FASTEST, width=WIDEST, damaged="keep")
    first = next(pictures, None)
    if first is None:
        raise VideoError(source, f"has no picture from {begin:g} s on")
    rate = min(FASTEST, 1 / max(first.end - first.start, 1e-3))
    with Writer(target, rate, ours=True) as writer:
        writer.write(first.image, max(0.0, first.start - begin))
        for frame in pictures:
            writer.write(frame.image, frame.start - begin)


def _webp(picture: Pixels, box: list[float] | None) -> bytes:
    """A picture as WEBP, with a box x0 y0 x1 y1 in fractions."""
    from PIL import Image, ImageDraw

    image = Image.fromarray(picture)
    if box is not None:
        sides = [side * (image.width, image.height)[number % 2] for number, side in enumerate(box)]
        ImageDraw.Draw(image).rectangle(sides, outline=(255, 64, 0), width=2)
    data = io.BytesIO()
    image.save(data, "WEBP", quality=80)
    return data.getvalue()


def _trim(folder: Path) -> None:
    """Remove the oldest files of the cache until it is small enough."""
    files = [(path.stat().st_mtime, path.stat().st_size, path) for path in folder.iterdir() if path.is_file()]
    excess = sum(size for _, size, _ in files) - LARGEST
    for _, size, path in sorted(files):
        if excess <= 0:
            return
        with suppress(OSError):
            path.unlink()
        excess -= size


def scores_of(rows: list[Any]) -> tuple[bytes | None, float | None, float]:
    """Scores, step and start from rows of the table of videos."""
    if not rows:
        raise StoreError("the video of this item is not in the database; run wherewhen review again")
    scores, step, start = rows[0]
    return scores, step, start
