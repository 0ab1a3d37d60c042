"""A video with its scores painted on: heat, boxes, trails, time and the running curve."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from wherewhen.core import extents as ext
from wherewhen.core.values import Event, Floats, Frame, HeatMap, Pixels, Prediction, Scores, Truth
from wherewhen.visualization.render import paint
from wherewhen.visualization.render.curves import clock, curve, span
from wherewhen.visualization.render.strip import Plot, Strip

WIDEST = 3840  # px: wider pictures are shrunk to it before they are painted
SMALLEST_WIDTH = 640
TALLEST_ENLARGED = 1440
MOST_BOXES = 24


def overlay(
    frames: Iterable[Frame],
    prediction: Prediction,
    *,
    truth: Truth | None = None,
    threshold: float = 0.5,
    trail: float = 2.0,
) -> Iterator[Pixels]:
    """Each frame with the prediction painted on it: uint8 RGB ``(H', W', 3)``, one at a time, all of one even size.

    Pictures narrower than 640 pixels are enlarged. Boxes show from ``threshold`` on; boxes of one track leave a
    ``trail`` of so many seconds, and so do events that are a mover's path, with its number.
    Truth is white: dashed boxes, and its spans shaded under the curve.

    >>> frame = Frame(np.zeros((48, 64, 3), np.uint8), 0, 0.0, 0.1)
    >>> [picture.shape[1] for picture in overlay([frame], Prediction(frames=HeatMap([0.7], [0, 0.1])))]
    [640]
    """
    stage: _Stage | None = None
    for frame in frames:
        if stage is None:
            stage = _Stage(frame, prediction, truth, threshold, trail)
        yield stage.paint(frame)


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows sorted by their start, for queries by time that read only a part of them."""

    extents: Floats
    values: Floats
    track: np.ndarray
    names: tuple[str, ...]
    longest: float

    @classmethod
    def of(cls, extents: Floats, values: Floats, track: np.ndarray, names: tuple[str, ...] = ()) -> _Rows:
        order = np.argsort(extents[:, 0], kind="stable")
        longest = float((extents[:, 1] - extents[:, 0]).max(initial=0))
        sorted_names = tuple(names[row] for row in order) if names else ()
        return cls(extents[order], values[order], track[order], sorted_names, longest)

    def during(self, start: float, end: float) -> np.ndarray:
        """Row numbers of the extents that reach into ``[start, end]``."""
        first = np.searchsorted(self.extents[:, 0], start - self.longest)
        last = np.searchsorted(self.extents[:, 0], end, "right")
        return first + np.flatnonzero(self.extents[first:last, 1] > start)


def _events(prediction: Prediction) -> _Rows:
    chains = prediction.events
    sizes = [len(event.extents) for event in chains]
    rows = np.concatenate([event.extents for event in chains]) if chains else np.empty((0, 6))
    names = tuple(_called(event) for event in chains for _ in event.extents)
    track = np.repeat(np.array([event.track for event in chains], np.int64), sizes)
    return _Rows.of(rows, np.repeat([event.score for event in chains], sizes), track, names)


def _called(event: Event) -> str:
    """Its category and, of a mover's path, the mover's number."""
    return (event.category or "event") + (f" #{event.track}" if event.track >= 0 else "")


class _Stage:
    """All that is the same for every frame: sizes, the strip, rows sorted by time."""

    def __init__(
        self, first: Frame, prediction: Prediction, truth: Truth | None, threshold: float, trail: float
    ) -> None:
        height, width = first.image.shape[:2]
        scale = max(1.0, min(SMALLEST_WIDTH / width, TALLEST_ENLARGED / height))
        self.width, self.height = 2 * max(1, round(width * scale / 2)), 2 * max(1, round(height * scale / 2))
        self.unit = 16 * (max(self.width, 320) / 640) ** 0.8
        self.head = 2 * round(self.unit * 1.1)
        self.threshold, self.trail = threshold, trail
        self.heat = prediction.heat
        self.scores: HeatMap | None = curve(prediction)
        boxes = prediction.boxes or Scores(np.empty((0, 6)), np.empty(0))
        self.boxes = _Rows.of(boxes.extents, boxes.values, boxes.track)
        self.events = _events(prediction)
        true = truth.boxes if truth else np.empty((0, 6))
        self.truth = _Rows.of(true, np.ones(len(true)), np.full(len(true), -1))
        self.has_truth = truth is not None
        start, end = span(self.scores, truth)
        plot = Plot(self.scores, start, end, threshold, truth.spans if truth else np.empty((0, 2)))
        self.strip = Strip(plot, self.width, 2 * round(self.unit * 3.1), self.unit)

    def paint(self, frame: Frame) -> Pixels:
        import cv2

        size = (self.width, self.height)
        way = cv2.INTER_CUBIC if frame.image.shape[1] <= self.width else cv2.INTER_AREA
        picture: Pixels = (
            np.array(frame.image, order="C")
            if frame.image.shape[1::-1] == size
            else cv2.resize(frame.image, size, interpolation=way).astype(np.uint8, copy=False)
        )
        time = (frame.start + frame.end) / 2
        if self.heat is not None and self.heat.values[0].size > 1:
            paint.heat(picture, np.ascontiguousarray(self.heat.at(time)), self.threshold)
        self._truth(picture, time)
        self._boxes(picture, time)
        return np.concatenate([self._header(frame, time), picture, self.strip.at(time)])

    def _corners(self, extent: Floats) -> tuple[int, int, int, int]:
        x0, y0, x1, y1 = np.round(ext.to_pixels(extent, self.width - 1, self.height - 1)).astype(int).tolist()
        return x0, y0, x1, y1

    def _truth(self, picture: Pixels, time: float) -> None:
        for row in self.truth.during(time, time):
            x0, y0, x1, y1 = self._corners(self.truth.extents[row])
            thickness = max(1, round(self.unit * 0.09))
            paint.dashes(picture, (x0, y0, x1 + 1, y1 + 1), round(self.unit * 0.45), thickness)

    def _boxes(self, picture: Pixels, time: float) -> None:
        thickness = max(2, round(self.unit * 0.12))
        chosen = self._chosen(time)
        for source, row in chosen:
            self._trail(picture, source, row, time)
            wide = thickness + 1 if source is self.events else thickness
            paint.box(picture, self._corners(source.extents[row]), _track_color(source.track[row]), wide)
        for source, row in chosen[: MOST_BOXES // 2]:
            color = _track_color(source.track[row])
            name = f"{source.names[row]} " if source.names else ""
            pen = paint.Pen(self.unit * 0.75, color, bold=True)
            paint.label(picture, f"{name}{source.values[row]:.2f}", self._corners(source.extents[row]), pen)

    def _chosen(self, time: float) -> list[tuple[_Rows, int]]:
        """The rows to draw: events first, then boxes by score, without boxes that repeat what is drawn already."""
        drawn: list[tuple[_Rows, int]] = []
        for source in (self.events, self.boxes):
            rows = source.during(time, time)
            rows = rows[source.values[rows] >= self.threshold] if source is self.boxes else rows
            for row in rows[np.argsort(-source.values[rows], kind="stable")]:
                if len(drawn) < MOST_BOXES and not any(_repeats(source, row, *other) for other in drawn):
                    drawn.append((source, int(row)))
        return drawn

    def _trail(self, picture: Pixels, source: _Rows, row: int, time: float) -> None:
        track = source.track[row]
        if track < 0 or self.trail <= 0:
            return
        past = source.during(time - self.trail, time)
        way = source.extents[past[source.track[past] == track]]
        if len(way) > 1:
            middles = (way[:, 2:4] + way[:, 4:6]) / 2 * [self.width, self.height]
            paint.trail(picture, middles, _track_color(track), max(2, round(self.unit * 0.13)))

    def _header(self, frame: Frame, time: float) -> Pixels:
        canvas = np.empty((self.head, self.width, 3), np.uint8)
        canvas[:] = paint.PANEL
        unit, middle = self.unit, self.head / 2
        big = paint.Pen(unit, paint.BRIGHT, bold=True)
        small = paint.Pen(unit * 0.78, paint.DIM)
        text = clock(frame.start, 1)
        paint.write(canvas, text, unit * 0.8, middle, big)
        paint.write(canvas, f"frame {frame.index}", unit * 1.6 + paint.text_width(text, big), middle, small)
        right = float(self.width - unit * 0.8)
        if self.scores is not None:
            right = self._gauge(canvas, float(self.scores.at(time).max()), right)
        if self.has_truth and self.width > unit * 30:
            paint.write(canvas, "truth", right - unit, middle, paint.Pen(small.size, small.color, align="right"))
            x1 = round(right - unit * 1.4 - paint.text_width("truth", small))
            size = round(unit * 0.5)
            box = (x1 - 3 * size, round(middle) - size, x1, round(middle) + size)
            paint.dashes(canvas, box, max(2, round(unit * 0.3)), max(1, round(unit * 0.09)))
        return canvas

    def _gauge(self, canvas: Pixels, score: float, right: float) -> float:
        """The score as a number and a bar with a notch at the threshold; returns where it begins."""
        unit, middle = self.unit, self.head // 2
        color = paint.HOT if score >= self.threshold else paint.COOL
        paint.write(canvas, f"{score:.2f}", right, middle, paint.Pen(unit, color, bold=True, align="right"))
        x1, length, half = round(right - unit * 3.1), round(unit * 6), max(2, round(unit * 0.22))
        x0 = x1 - length
        if x0 < self.width * 0.4:
            return float(right - unit * 3)
        paint.mix(canvas[middle - half : middle + half, x0:x1], paint.WHITE, 0.14)
        canvas[middle - half : middle + half, x0 : x0 + round(length * min(max(score, 0), 1))] = color
        notch = x0 + round(length * min(max(self.threshold, 0), 1))
        canvas[middle - 2 * half : middle + 2 * half, notch : notch + max(1, round(unit * 0.09))] = paint.BRIGHT
        paint.write(canvas, "score", x0 - unit * 0.6, middle, paint.Pen(unit * 0.78, paint.DIM, align="right"))
        return float(x0 - unit * 0.6 - paint.text_width("score", paint.Pen(unit * 0.78)))


def _track_color(track: int) -> paint.Color:
    return paint.BOX if track < 0 else paint.TRACKS[int(track) % len(paint.TRACKS)]


def _repeats(source: _Rows, row: int, other: _Rows, drawn: int) -> bool:
    tracks = source.track[row], other.track[drawn]
    if source is other and min(tracks) >= 0 and tracks[0] != tracks[1]:
        return False
    return bool(ext.iou(source.extents[row], other.extents[drawn]) > 0.5)
