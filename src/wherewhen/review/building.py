"""The items of a folder of results: events, spans just below the threshold, and random spans below it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from sqlite3 import Connection

import numpy as np

from wherewhen.core.database import Tables
from wherewhen.core.extents import WHOLE_PICTURE
from wherewhen.core.printable import printable
from wherewhen.core.values import Event, Features, Floats
from wherewhen.review.heat import StoredMap, highest, packed
from wherewhen.review.ranking import AUDITS, rank

NEAR = 0.6  # share of the threshold from which a span below it is shown
MARGIN = 2.0  # seconds between two spans that are shown
AUDIT = 5.0  # seconds of a random span
STEP = 0.2  # seconds between two scores of a curve at least


@dataclass(frozen=True)
class Span:
    """A span of a video that is shown: seconds, a score, and where it comes from (`Judged.source`).

    ``box``: x0, y0, x1, y1 in fractions of the picture; None: nowhere in particular. ``heat``: scores ``(h, w)`` of the
    picture at the peak, None where they are not known.
    """

    start: float
    end: float
    score: float
    source: str
    box: tuple[float, float, float, float] | None = None
    category: str | None = None
    heat: Features | None = field(default=None, compare=False)


@dataclass(frozen=True, eq=False)
class ReviewedVideo:
    """A video with the spans of it that are shown.

    ``path``: None where its pictures were not kept. ``edges``: ``(T + 1,)`` seconds of the ``scores`` ``(T,)``, both
    empty where there are none. ``threshold``: of an alarm.
    """

    id: str
    path: Path | None
    duration: float
    size: tuple[int, int]
    rate: float
    threshold: float
    edges: Floats
    scores: Floats
    spans: tuple[Span, ...]

    @property
    def camera(self) -> str:
        """The folder of the video in its id, which stands for its camera; of one without folder ``videos``."""
        return self.id.rpartition("/")[0] or "videos"


def with_heat(spans: Iterable[Span], maps: Sequence[StoredMap]) -> tuple[Span, ...]:
    """Spans with the map of their highest score, of those that have one."""
    return tuple(replace(span, heat=highest(maps, span.start, span.end)) for span in spans)


def spans_of(events: Iterable[Event], edges: Floats, scores: Floats, threshold: float) -> list[Span]:
    """The events of a video, and as many spans below the threshold, at least one, whose scores come nearest to it."""
    alarms = [Span(e.start, e.end, min(e.score, 1.0), "alert", _box(e), e.category) for e in events]
    below = []
    for start, end, score in runs_of(edges, scores, (scores >= NEAR * threshold) & (scores < threshold)):
        if not any(start < alarm.end + MARGIN and end > alarm.start - MARGIN for alarm in alarms):
            below.append(Span(start, end, score, "detection"))
    below.sort(key=lambda span: -span.score)
    return sorted(alarms + below[: max(len(alarms), 1)], key=lambda span: span.start)


def build(file: Path, videos: Sequence[ReviewedVideo], audits: bool = True, keep: bool = False) -> int:
    """Write or renew the items of a database; how many there are that wait for a verdict.

    Items that were judged stay, also where their span is no longer shown. One item in 20 is a random span below the
    threshold, drawn from all such time of all videos.

    Args:
        file: the database.
        videos: all videos with the spans that are shown.
        audits: add the random spans.
        keep: items that wait for a verdict stay also where they are not among these.
    """
    spans = [(video, span) for video in videos for span in video.spans]
    if spans and audits:
        count = max(1, round(len(spans) / (AUDITS - 1)))
        spans += quiet_spans(videos, count, seed=int(_id("audits", *(video.id for video in videos)), 16))
    order = sorted(spans, key=lambda pair: (pair[0].id, pair[1].start))
    places = {_item_id(*pair): -place for place, pair in enumerate(order)}
    with Tables(file) as tables:
        with tables.transaction() as changes:
            changes.executemany(
                "INSERT OR REPLACE INTO video(id, path, start, duration, width, height, rate, step, scores) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", [_video_row(video, file.parent) for video in videos],
            )  # fmt: skip
            changes.executemany(
                "INSERT INTO item(id, camera, t0, t1, severity, source, score, threshold, box_json, zones_json, state, "
                "clock, video, class, place, heat) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, '[]', 'ok', 'video', ?, ?, ?, ?) "
                "ON CONFLICT(id) DO UPDATE SET place = excluded.place, heat = COALESCE(excluded.heat, heat)",
                [_item_row(video, span, places[_item_id(video, span)]) for video, span in spans],
            )  # fmt: skip
            if not keep:
                _remove_others(changes, places)
        rank(tables)
        return int(tables.rows("SELECT COUNT(*) FROM item WHERE review = 'open'")[0][0])


def _remove_others(changes: Connection, ids: Iterable[str]) -> None:
    """Remove the items that wait for a verdict and are not among these."""
    changes.execute("CREATE TEMP TABLE shown(id TEXT PRIMARY KEY)")
    changes.executemany("INSERT OR IGNORE INTO shown VALUES (?)", [(id,) for id in ids])
    changes.execute("DELETE FROM item WHERE id NOT IN (SELECT id FROM shown) AND verdict IS NULL AND repeat_of IS NULL")
    changes.execute("DROP TABLE shown")


def quiet_spans(videos: Sequence[ReviewedVideo], count: int, seed: int) -> list[tuple[ReviewedVideo, Span]]:
    """Random spans of 5 s below the threshold, each moment of all videos as likely; fewer where there is little time.

    Shorter quiet times are not drawn from. Spans of one draw don't overlap.
    """
    rng = np.random.default_rng(seed)
    gaps = [(video, start, end) for video in videos for start, end in _quiet(video) if end - start >= AUDIT]
    chosen: list[tuple[ReviewedVideo, Span]] = []
    while gaps and len(chosen) < count:
        room = np.array([end - start - AUDIT + STEP for _, start, end in gaps])
        number = int(rng.choice(len(gaps), p=room / room.sum()))
        video, since, until = gaps.pop(number)
        start = float(rng.uniform(since, until - AUDIT))
        inside = (video.edges[1:] > start) & (video.edges[:-1] < start + AUDIT)
        score = float(video.scores[inside].max()) if inside.any() else 0.0
        chosen.append((video, Span(start, start + AUDIT, score, "audit")))
        parts = ((since, start), (start + AUDIT, until))
        gaps += [(video, *part) for part in parts if part[1] - part[0] >= AUDIT]
    return chosen


def _quiet(video: ReviewedVideo) -> list[tuple[float, float]]:
    """The times of a video without an alarm."""
    if not len(video.scores):
        return []
    edges, below = video.edges, video.scores < video.threshold
    quiet = [(start, end) for start, end, _ in runs_of(edges, video.scores, below)]
    for span in video.spans:
        if span.source == "alert":
            cut = [((start, min(end, span.start)), (max(start, span.end), end)) for start, end in quiet]
            quiet = [part for parts in cut for part in parts if part[0] < part[1]]
    return quiet


def runs_of(edges: Floats, scores: Floats, mask: np.ndarray) -> list[tuple[float, float, float]]:
    """Start, end and highest score of each run of steps ``(T,)`` that a mask has."""
    changes = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    pairs = changes.reshape(-1, 2).tolist()
    return [(float(edges[first]), float(edges[last]), float(scores[first:last].max())) for first, last in pairs]


def _box(event: Event) -> tuple[float, float, float, float] | None:
    """The place of an event in the middle of its time; None for the whole picture."""
    middle = (event.start + event.end) / 2
    row = int(np.abs(event.extents[:, :2].mean(1) - middle).argmin())
    x0, y0, x1, y1 = (float(side) for side in event.extents[row, 2:])
    return None if (x0, y0, x1, y1) == tuple(WHOLE_PICTURE) else (x0, y0, x1, y1)


def _video_row(video: ReviewedVideo, folder: Path) -> tuple[object, ...]:
    path = "" if video.path is None else printable(os.path.relpath(video.path.absolute(), folder.absolute()))
    step, scores = None, None
    start = float(video.edges[0]) if len(video.edges) else 0.0
    if len(video.scores):
        step = max(STEP, float(np.median(np.diff(video.edges))))
        count = max(1, int(np.ceil((video.edges[-1] - start) / step - 1e-6)))
        bins = np.minimum(((video.edges[:-1] - start) / step + 1e-6).astype(int), count - 1)
        peaks = np.full(count, np.nan, "<f4")
        np.fmax.at(peaks, bins, video.scores.astype("<f4"))
        filled = np.maximum.accumulate(np.where(np.isnan(peaks), 0, np.arange(count)))
        scores = peaks[filled].astype("<f4").tobytes()
    return video.id, path, start, video.duration, *video.size, video.rate, step, scores


def _item_row(video: ReviewedVideo, span: Span, place: int) -> tuple[object, ...]:
    severity = "alert" if span.source == "alert" else "detection"
    box = None if span.box is None else json.dumps(span.box)
    return (
        _item_id(video, span), video.camera, span.start, span.end, severity, span.source, span.score, video.threshold,
        box, video.id, span.category, place, None if span.heat is None else packed(span.heat),
    )  # fmt: skip


def _item_id(video: ReviewedVideo, span: Span) -> str:
    """The same name for the same span of the same video whenever it is shown."""
    return _id(video.id, span.source, f"{span.start:.2f}", f"{span.end:.2f}")


def _id(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:24]
