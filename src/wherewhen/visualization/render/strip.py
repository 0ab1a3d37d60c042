"""The running curve under a picture: drawn bright and dim, joined at the current time."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from wherewhen.core.values import Floats, HeatMap, Pixels
from wherewhen.visualization.render import paint
from wherewhen.visualization.render.curves import clock, columns, ticks


@dataclass(frozen=True, slots=True)
class Plot:
    """Content of the strip: scores, the time in seconds from ``start`` to ``end``, a threshold and true spans."""

    scores: HeatMap | None
    start: float
    end: float
    threshold: float
    spans: Floats


class Strip:
    """A curve of ``height`` x ``width`` pixels; ``unit`` is the size of its letters."""

    def __init__(self, plot: Plot, width: int, height: int, unit: float) -> None:
        self.plot, self.unit = plot, unit
        self.left, self.right = round(2.9 * unit), width - round(1.1 * unit)
        if self.right - self.left < 20:
            self.left, self.right = 0, width
        self.top, self.bottom = round(0.8 * unit), max(round(0.8 * unit) + 2, height - round(1.7 * unit))
        self.shape = (height, width, 3)
        self.dim = self._draw(0.38)
        self.lit = self._draw(1.0)

    def at(self, time: float) -> Pixels:
        """The strip ``(height, width, 3)`` at a moment."""
        picture = self.dim.copy()
        x = self._x(time)
        picture[:, :x] = self.lit[:, :x]
        half = max(1, round(self.unit * 0.07))
        paint.mix(picture[self.top - half : self.bottom, max(0, x - half) : x + half], paint.WHITE, 0.9)
        return picture

    def _x(self, time: float) -> int:
        share = (time - self.plot.start) / (self.plot.end - self.plot.start)
        return round(self.left + (self.right - self.left) * min(max(share, 0.0), 1.0))

    def _y(self, score: Floats) -> Floats:
        return self.bottom - (self.bottom - self.top) * score.clip(0, 1)

    def _draw(self, light: float) -> Pixels:
        canvas = np.empty(self.shape, np.uint8)
        canvas[:] = paint.PANEL
        self._truth(canvas, light)
        self._curve(canvas, light)
        if self.plot.scores is not None or len(self.plot.spans):
            self._axes(canvas)
        return canvas

    def _truth(self, canvas: Pixels, light: float) -> None:
        for first, last in self.plot.spans:
            x0, x1 = self._x(first), max(self._x(first) + 1, self._x(last))
            paint.mix(canvas[self.top : self.bottom, x0:x1], paint.WHITE, 0.06 + 0.08 * light)
            edge = max(1, round(self.unit * 0.12))
            paint.mix(canvas[self.top - edge : self.top, x0:x1], paint.WHITE, 0.35 + 0.45 * light)

    def _curve(self, canvas: Pixels, light: float) -> None:
        import cv2

        if self.plot.scores is None:
            if len(self.plot.spans):
                return
            pen = paint.Pen(self.unit * 0.85, paint.DIM, align="center")
            paint.write(canvas, "no score", (self.left + self.right) / 2, (self.top + self.bottom) / 2, pen)
            return
        values = columns(self.plot.scores, self.plot.start, self.plot.end, self.right - self.left)
        finite = np.isfinite(values)
        heights = self._y(np.where(finite, values, 0))
        rows = np.arange(self.top, self.bottom)[:, None]
        hot = finite & (values >= self.plot.threshold)
        for chosen, color in ((finite & ~hot, paint.COOL), (hot, paint.HOT)):
            fill = ((rows >= heights) & chosen).astype(np.float32)[..., None]
            paint.mix(canvas[self.top : self.bottom, self.left : self.right], color, fill * 0.30 * light)
        line = np.stack([np.arange(self.left, self.right) + 0.5, heights], -1)
        thickness = max(1, round(self.unit * 0.11))
        for first, last, above in _runs(finite, hot):
            color = paint.HOT if above else paint.COOL
            shade = tuple(round(p + (c - p) * light) for p, c in zip(paint.PANEL, color, strict=True))
            points = np.round(line[max(first - 1, 0) if finite[max(first - 1, 0)] else first : last] * 16)
            cv2.polylines(canvas, [points.astype(np.int32)], False, shade, thickness, cv2.LINE_AA, 4)

    def _axes(self, canvas: Pixels) -> None:
        pen = paint.Pen(self.unit * 0.72, paint.DIM, align="right")
        y = round(float(self._y(np.array(self.plot.threshold))))
        step = max(2, round(self.unit * 0.3))
        dotted = (np.arange(self.right - self.left) // step) % 2 == 0
        paint.mix(canvas[y : y + 1, self.left : self.right], paint.WHITE, 0.42 * dotted[:, None].astype(np.float32))
        paint.mix(canvas[self.bottom : self.bottom + 1, self.left : self.right], paint.WHITE, 0.25)
        if self.left:
            paint.write(canvas, f"{self.plot.threshold:.2f}", self.left - self.unit * 0.4, y, pen)
        most = max(2, int((self.right - self.left) / (self.unit * 6)))
        for moment in ticks(self.plot.start, self.plot.end, most):
            x = self._x(moment)
            paint.mix(canvas[self.bottom : self.bottom + max(2, round(self.unit * 0.25)), x : x + 1], paint.WHITE, 0.4)
            middle = paint.Pen(pen.size, pen.color, align="center")
            text = clock(moment, 0 if float(moment).is_integer() else 1)
            paint.write(canvas, text, x, self.bottom + self.unit * 0.9, middle)


def _runs(finite: np.ndarray, hot: np.ndarray) -> list[tuple[int, int, bool]]:
    """Half-open ranges of finite columns that are all above or all below the threshold."""
    state = np.where(finite, hot.astype(int), -1)
    borders = [0, *(np.flatnonzero(np.diff(state)) + 1).tolist(), len(state)]
    return [(a, b, bool(state[a] == 1)) for a, b in pairwise(borders) if state[a] >= 0]
