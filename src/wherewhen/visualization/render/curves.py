"""One score per time step of a prediction, and that score over the columns of a drawing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wherewhen.core.values import Event, Floats, HeatMap, Prediction, Truth


def curve(prediction: Prediction) -> HeatMap | None:
    """The score over time as a 1x1 heat map: of frames, else the highest cell, box or event; None without any.

    >>> from wherewhen.core.values import Event
    >>> curve(Prediction(events=(Event([[1, 2, 0, 0, 1, 1]], 0.5), Event([[3, 4, 0, 0, 1, 1]], 0.9)))).values.ravel()
    array([0.5, 0. , 0.9], dtype=float32)
    """
    maps = prediction.frames or prediction.heat
    if maps is not None:
        return HeatMap(maps.values.max((1, 2)), maps.edges)
    if prediction.boxes is not None and len(prediction.boxes.values):
        return _highest(prediction.boxes.extents, prediction.boxes.values)
    if prediction.events:
        rows = np.concatenate([event.extents for event in prediction.events])
        return _highest(
            rows, np.repeat([e.score for e in prediction.events], [len(e.extents) for e in prediction.events])
        )
    return None


def _highest(extents: Floats, values: Floats) -> HeatMap | None:
    """The highest of the rows that cover each stretch of time, 0 where none does."""
    edges = np.unique(extents[:, :2])
    if len(edges) < 2:
        return None
    steps = np.zeros(len(edges) - 1, np.float32)
    first, last = np.searchsorted(edges, extents[:, 0]), np.searchsorted(edges, extents[:, 1])
    for row in np.argsort(values, kind="stable"):
        steps[first[row] : last[row]] = values[row]
    return HeatMap(steps, edges)


def span(scores: HeatMap | None, truth: Truth | None, events: tuple[Event, ...] = ()) -> tuple[float, float]:
    """The time in seconds from the first to the last moment that any of these covers; ``(0, 1)`` without any.

    >>> span(HeatMap([0.1], [2, 3]), Truth([0, 2, 4]))
    (0.0, 4.0)
    """
    edges = [part.edges for part in (scores, truth) if part is not None]
    starts = [float(row[0]) for row in edges] + [event.start for event in events]
    ends = [float(row[-1]) for row in edges] + [event.end for event in events]
    first, last = min(starts, default=0.0), max(ends, default=1.0)
    return first, last if last > first else first + 1.0


def columns(scores: HeatMap, start: float, end: float, count: int) -> Floats:
    """The highest score ``(count,)`` in each of ``count`` equal stretches from ``start`` to ``end``; NaN outside.

    The highest, not the mean: a peak of one frame stays a peak however narrow the drawing is.

    >>> columns(HeatMap([0.1, 0.9, 0.2, 0.3], [0, 1, 2, 3, 4]), 0, 4, 2).round(1)
    array([0.9, 0.3])
    """
    borders = np.linspace(start, end, count + 1)
    low, high = borders[:-1], borders[1:]
    first = (np.searchsorted(scores.edges, low, "right") - 1).clip(0)
    last = np.searchsorted(scores.edges, high, "left").clip(max=len(scores.values))
    filled = first < last
    padded = np.append(scores.values[:, 0, 0].astype(np.float64), -np.inf)
    pairs = np.stack([first, np.maximum(last, first + 1)], -1).clip(max=len(scores.values)).ravel()
    highest: Floats = np.maximum.reduceat(padded, pairs)[::2]
    highest[~filled | ~np.isfinite(highest)] = np.nan
    return highest


def clock(seconds: float, decimals: int = 0) -> str:
    """Seconds as hours, minutes and seconds.

    >>> clock(65), clock(3.44, 1), clock(3661), clock(59.96, 1)
    ('1:05', '0:03.4', '1:01:01', '1:00.0')
    """
    ticks = round(abs(seconds) * 10**decimals)
    whole, rest = divmod(ticks, 10**decimals)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    head = f"{hours}:{minute:02}" if hours else f"{minute}"
    tail = f".{rest:0{decimals}}" if decimals else ""
    return f"{'-' if seconds < 0 and ticks else ''}{head}:{second:02}{tail}"


def ticks(start: float, end: float, most: int) -> Floats:
    """At most ``most`` (at least 2) round moments in ``[start, end]``, evenly apart.

    >>> ticks(0, 62, 5).tolist()
    [0.0, 15.0, 30.0, 45.0, 60.0]
    """
    steps: NDArray[np.float64] = np.array(
        [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400]
    )
    counts = np.floor(end / steps) - np.ceil(start / steps) + 1
    fitting = steps[counts <= most]
    step = fitting[0] if len(fitting) else 21600 * np.ceil((end - start) / (21600 * (most - 1)))
    moments: Floats = np.arange(np.ceil(start / step), np.floor(end / step) + 1) * step
    return moments
