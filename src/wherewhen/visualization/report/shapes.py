"""Numbers as SVG paths, short enough for hundreds of them on one page."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wherewhen.core.values import Floats
from wherewhen.visualization.render.curves import clock, columns, curve, span
from wherewhen.visualization.report.records import Curve, VideoResult

WIDTH, HEIGHT, COLUMNS = 600, 100, 300
SIDE = 300


def polyline(points: Curve) -> str:
    """The ``d`` of a path through a curve on a square of 300 units, y upwards, without points that change nothing.

    >>> polyline(Curve("", [0, 0.5, 1], [0, 0.5, 1]))
    'M0 300L300 0'
    """
    way = np.stack([points.x, 1 - points.y], -1) * SIDE
    way = way.round().astype(int)
    way = way[np.concatenate([[True], (np.diff(way, axis=0) != 0).any(1)])]
    if len(way) > 2:
        before, after = way[1:-1] - way[:-2], way[2:] - way[1:-1]
        turns = (before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]) | ((before * after).sum(1) < 0)
        way = way[np.concatenate([[True], turns, [True]])]
    return "M" + "L".join(f"{x} {y}" for x, y in way)


def stairs(values: Floats) -> tuple[str, str]:
    """The ``d`` of a stepped line over ``(N,)`` values in [0, 1], and of the area under it; gaps where NaN.

    >>> stairs(np.array([0.0, 1.0, 1.0]))
    ('M0 100H200V0H600', 'M0 100H200V0H600V100H0Z')
    """
    edges = np.linspace(0, WIDTH, len(values) + 1).round().astype(int)
    finite = np.isfinite(values)
    heights = np.where(finite, (HEIGHT * (1 - np.clip(values, 0, 1))).round(), -1).astype(int)
    line, area = [], []
    starts = np.flatnonzero(finite & ~np.concatenate([[False], finite[:-1]]))
    ends = np.flatnonzero(finite & ~np.concatenate([finite[1:], [False]])) + 1
    for first, last in zip(starts, ends, strict=True):
        changes = first + 1 + np.flatnonzero(np.diff(heights[first:last]))
        steps = "".join(f"H{edges[number]}V{heights[number]}" for number in changes)
        path = f"M{edges[first]} {heights[first]}{steps}H{edges[last]}"
        line.append(path)
        area.append(f"{path}V{HEIGHT}H{edges[first]}Z")
    return "".join(line), "".join(area)


@dataclass(frozen=True, slots=True)
class TimeLine:
    """One video's line as the page draws it; ``true`` and ``predicted`` are starts and lengths on a width of 600."""

    video: str
    line: str
    area: str
    true: tuple[tuple[float, float], ...]
    predicted: tuple[tuple[float, float], ...]
    start: str
    end: str
    peak: str
    label: str
    words: str


def timeline(result: VideoResult) -> TimeLine:
    """The shapes of one video, and their description in words for screen readers."""
    scores, truth, events = curve(result.prediction), result.truth, result.prediction.events
    start, end = span(scores, truth, events)
    line, area = stairs(columns(scores, start, end, COLUMNS)) if scores is not None else ("", "")
    timed = truth is not None and truth.timed
    spans = [(float(a), float(b)) for a, b in truth.spans] if truth is not None and timed else []
    predicted = [(event.start, event.end) for event in events]
    peak = "" if scores is None else f"{scores.values.max():.2f}"
    words = [f"Score of {result.video} from {clock(start)} to {clock(end)}"]
    words.append(f"highest score {peak}" if peak else "no score")
    if truth is not None:
        words.append("truth: " + ((_words(spans) or "nothing happens") if timed else "anomalous, times unknown"))
    if predicted:
        words.append("found: " + _words(predicted))
    return TimeLine(
        video=result.video,
        line=line,
        area=area,
        true=tuple(_bar(a, b, start, end) for a, b in spans),
        predicted=tuple(_bar(a, b, start, end) for a, b in predicted),
        start=clock(start),
        end=clock(end),
        peak=peak,
        label="" if truth is None else ("anomalous" if truth.label else "normal"),
        words="; ".join(words),
    )


def _bar(first: float, last: float, start: float, end: float) -> tuple[float, float]:
    low = min(max((first - start) / (end - start), 0.0), 1.0) * WIDTH
    high = min(max((last - start) / (end - start), 0.0), 1.0) * WIDTH
    return round(low, 1), round(max(high - low, 1.5), 1)


def _words(spans: list[tuple[float, float]]) -> str:
    shown = ", ".join(f"{clock(a, 1)} to {clock(b, 1)}" for a, b in spans[:5])
    return shown + (f" and {len(spans) - 5} more" if len(spans) > 5 else "")
