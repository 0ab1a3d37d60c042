"""The report page of a detection: its events with pictures and links to their time, and the scores of every video."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from wherewhen.api.results import StoredResult, picture_of, thumbnail_of
from wherewhen.core import outputs
from wherewhen.core.store import write_atomic
from wherewhen.core.values import HeatMap, Pixels, Prediction
from wherewhen.inference.result import Result
from wherewhen.visualization.render.curves import columns, span
from wherewhen.visualization.report import EventCard, Facts, ReportData, VideoResult, jpeg_bytes, report
from wherewhen.visualization.report.page import MOST_EVENTS

NAME = "report.html"
WIDTH = 480  # of a thumbnail
POINTS = 600  # of a video's scores, more than a page shows


def best_frames(result: Result) -> dict[int, list[int]]:
    """The frame of each event in which the video's score is highest: numbers of events by number of frame.

    Limited to the highest-scored events that a page shows.
    """
    ranked = sorted(range(len(result.events)), key=lambda number: -result.events[number].score)
    frames: dict[int, list[int]] = {}
    for number in ranked[:MOST_EVENTS]:
        event = result.events[number]
        first, last = np.searchsorted(result.clock[:-1], [event.start, event.end])
        first = min(int(first), len(result.scores) - 1)
        frame = first + int(np.argmax(result.scores[first : max(int(last), first + 1)]))
        frames.setdefault(frame, []).append(number)
    return frames


def write_thumbnail(output: Path, id: str, event: int, picture: Pixels) -> None:
    """Write the picture of an event, uint8 RGB ``(H, W, 3)``, as a small JPEG."""
    write_atomic(thumbnail_of(output, id, event), jpeg_bytes(picture, WIDTH), painted=True)


def cards(output: Path, result: StoredResult) -> Iterator[EventCard]:
    """The events of one video, with pictures and links to files of the output folder."""
    id, overlay = result.about.id, picture_of(output, result.about.id, ".mp4")
    link = overlay.relative_to(output).as_posix() if outputs.rendered(overlay) else ""
    for number, event in enumerate(result.prediction.events):
        thumbnail = thumbnail_of(output, id, number)
        picture = thumbnail.read_bytes() if outputs.rendered(thumbnail) else b""
        yield EventCard(id, event.start, event.end, event.score, event.category or "", picture, link)


def short(result: StoredResult) -> VideoResult:
    """A video's events, and its scores reduced to the maxima of `POINTS` stretches, so that all fit into memory."""
    scores, events = result.prediction.frames, result.prediction.events
    if scores is not None and len(scores.values) > POINTS:
        start, end = span(scores, None)
        scores = HeatMap(columns(scores, start, end, POINTS).astype(np.float32), np.linspace(start, end, POINTS + 1))
    return VideoResult(result.about.id, Prediction(scores, events=events))


def write(
    output: Path,
    events: Sequence[EventCard],
    videos: Sequence[VideoResult],
    alarms: Sequence[float],
    damage: Mapping[str, str],
    quarantine: Sequence[tuple[str, str]],
) -> None:
    """Write the page of all videos in an output folder.

    ``alarms``: score at which an alarm starts, per video. ``damage``: why a video was not read completely.
    """
    counts = Counter(alarms)
    levels = ", ".join(f"{alarm:.2f} ({count} videos)" for alarm, count in sorted(counts.items()))
    notes = [f"alarms start at different scores: {levels}"] if len(counts) > 1 else []
    alarmed = sum(bool(video.prediction.events) for video in videos)
    row = ("videos", str(len(videos)), str(alarmed), str(len(events)), str(len(quarantine)))
    facts = [Facts("Summary", ("all", "with events", "events", "skipped"), [row])]
    notes += [f"{id}: not all of it was read: {why}" for id, why in damage.items()]
    threshold = counts.most_common(1)[0][0] if counts else 0.5
    data = ReportData(
        "Detection", notes=notes, facts=facts, events=events, videos=videos, quarantine=quarantine, threshold=threshold
    )
    report(data, output / NAME)
