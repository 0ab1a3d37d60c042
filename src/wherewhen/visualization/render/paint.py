"""Drawing on pictures: letters, boxes, trails and heat, on a uint8 RGB ``(H, W, 3)`` in place."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from wherewhen.core.values import Features, Floats, Pixels

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

Color = tuple[int, int, int]
Levels = NDArray[np.uint16]

TOP = 255 * 256  # the level of score 1: finer than bytes, so that lines around low slopes are smooth

PANEL: Color = (15, 17, 22)
WHITE: Color = (255, 255, 255)
BRIGHT: Color = (236, 239, 244)
DIM: Color = (137, 145, 158)
COOL: Color = (122, 172, 214)
HOT: Color = (255, 158, 62)
BOX: Color = (64, 224, 238)
TRACKS: tuple[Color, ...] = (
    (64, 224, 238),
    (255, 214, 74),
    (126, 231, 135),
    (255, 140, 190),
    (170, 160, 255),
    (255, 150, 90),
    (150, 205, 255),
    (205, 235, 90),
)


@dataclass(frozen=True, slots=True)
class Pen:
    """Style of letters: height in pixels, color, weight, and which end of the text is at its position."""

    size: float
    color: Color = BRIGHT
    bold: bool = False
    align: str = "left"


@lru_cache(maxsize=32)
def _font(size: int, bold: bool) -> FreeTypeFont:
    # matplotlib contains this font, so letters are the same on every machine.
    import matplotlib
    from PIL import ImageFont

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/{name}", size)


@lru_cache(maxsize=1024)
def text_width(text: str, pen: Pen) -> int:
    """Width of a text in pixels."""
    return ceil(_font(max(6, round(pen.size)), pen.bold).getlength(text))


@lru_cache(maxsize=256)
def _letters(text: str, size: int, bold: bool) -> Features:
    """Ink ``(h, w)``, 0 to 1, with the middle of the capitals on the middle row."""
    from PIL import Image, ImageDraw

    font = _font(size, bold)
    image = Image.new("L", (ceil(font.getlength(text)) + 2, 2 * size + 1))
    ImageDraw.Draw(image).text((1, size + round(0.365 * size)), text, fill=255, font=font, anchor="ls")
    return np.asarray(image, np.float32) / np.float32(255)


def write(canvas: Pixels, text: str, x: float, y: float, pen: Pen) -> None:
    """Write one line with the middle of its capitals at height ``y``; the part outside the canvas is cut off."""
    ink = _letters(" ".join(text.split()), max(6, round(pen.size)), pen.bold)
    height, width = ink.shape
    left = round(x) - {"left": 0, "center": width // 2, "right": width}[pen.align]
    top = round(y) - height // 2
    y0, x0 = max(top, 0), max(left, 0)
    y1, x1 = min(top + height, canvas.shape[0]), min(left + width, canvas.shape[1])
    if y0 < y1 and x0 < x1:
        mix(canvas[y0:y1, x0:x1], pen.color, ink[y0 - top : y1 - top, x0 - left : x1 - left, None])


def mix(area: Pixels, color: Color | Floats, share: float | Features) -> None:
    """Lay ``color`` over an area, ``share`` of 1 hides it."""
    area[:] = (area + (np.asarray(color, np.float32) - area) * share + 0.5).astype(np.uint8)


def label(canvas: Pixels, text: str, box: tuple[int, int, int, int], pen: Pen) -> None:
    """Write on a tag in the pen's color that sits on top of a pixel box, or inside it where there is no room above."""
    high, wide = round(pen.size * 1.5), text_width(text, pen) + round(pen.size * 0.7)
    left = max(0, min(box[0], canvas.shape[1] - wide))
    top = box[1] - high if box[1] >= high else max(0, min(box[1], canvas.shape[0] - high))
    tag = canvas[top : top + high, left : left + wide]
    tag[:] = pen.color
    ink = Pen(pen.size, (10, 12, 16), bold=True)
    write(canvas, text, left + round(pen.size * 0.35), top + high / 2, ink)


def box(canvas: Pixels, corners: tuple[int, int, int, int], color: Color, thickness: int) -> None:
    """A plain box with a dark edge, so that it shows on bright and on dark pictures alike."""
    import cv2

    low, high = corners[:2], corners[2:]
    cv2.rectangle(canvas, low, high, (10, 12, 16), thickness + 2)
    cv2.rectangle(canvas, low, high, color, thickness)


def dashes(canvas: Pixels, corners: tuple[int, int, int, int], length: int, thickness: int) -> None:
    """A box of thin white dashes with dark gaps."""
    x0, y0, x1, y1 = corners
    thickness = max(1, thickness)
    for line in (
        canvas[y0 : y0 + thickness, x0:x1],
        canvas[max(y1 - thickness, 0) : y1, x0:x1],
        canvas[y0:y1, x0 : x0 + thickness].swapaxes(0, 1),
        canvas[y0:y1, max(x1 - thickness, 0) : x1].swapaxes(0, 1),
    ):
        white = (np.arange(line.shape[1]) // max(2, length)) % 2 == 0
        line[:, white] = WHITE
        line[:, ~white] = (line[:, ~white] * 0.45).astype(np.uint8)


def trail(canvas: Pixels, points: Floats, color: Color, thickness: int) -> None:
    """A path ``(N, 2)`` in pixels, oldest first, that gets thicker towards its end."""
    import cv2

    grid = np.round(points * 16).astype(int)
    for number, (a, b) in enumerate(zip(grid[:-1].tolist(), grid[1:].tolist(), strict=True)):
        width = max(1, round(thickness * (number + 1) / (len(grid) - 1)))
        cv2.line(canvas, a, b, color, width, cv2.LINE_AA, 4)


@lru_cache(maxsize=1)
def _heat_colors() -> tuple[Pixels, Features]:
    """RGB ``(256, 1, 3)`` and opacity ``(256,)`` of each level: below about 0.1 nothing is painted."""
    import cv2

    level = np.linspace(0, 1, 256, dtype=np.float32)
    # The lowest third of the color map is nearly black and would only darken the picture.
    places = np.round(255 * (0.32 + 0.63 * level)).astype(np.uint8)
    colors = cv2.applyColorMap(places[:, None], cv2.COLORMAP_INFERNO)[..., ::-1]
    rise = ((level - 0.08) / 0.75).clip(0, 1)
    return np.ascontiguousarray(colors), (0.55 * rise * rise * (3 - 2 * rise)).astype(np.float32)


def heat(picture: Pixels, scores: Features, threshold: float) -> None:
    """Paint a translucent map of scores ``(h, w)``, with a fine line around all from ``threshold`` on."""
    import cv2

    colors, opacity = _heat_colors()
    levels = _levels(scores, picture.shape[1], picture.shape[0])
    whole = _whole(levels)
    x, y, width, height = cv2.boundingRect((whole >= np.argmax(opacity > 0)).astype(np.uint8))
    if width:
        area = (slice(y, y + height), slice(x, x + width))
        share = cv2.LUT(whole[area], opacity)
        picture[area] = cv2.blendLinear(picture[area], cv2.applyColorMap(whole[area], colors), 1 - share, share)
    _outline(picture, levels, threshold, (255, 226, 160))


def heat_layer(scores: Features, width: int, height: int, threshold: float) -> Pixels:
    """The map of scores ``(h, w)`` as a layer to put over a picture: RGB and opacity ``(height, width, 4)``."""
    import cv2

    colors, opacity = _heat_colors()
    levels = _levels(scores, width, height)
    whole = _whole(levels)
    alpha = np.round(cv2.LUT(whole, opacity) * 255).astype(np.uint8)
    layer = np.dstack([cv2.applyColorMap(whole, colors), alpha])
    _outline(layer, levels, threshold, (255, 226, 160, 255))
    return layer


def _outline(canvas: Pixels, levels: Levels, threshold: float, color: tuple[int, ...]) -> None:
    """A fine line around all levels of scores above a threshold."""
    import cv2

    if 0 < threshold <= 1:  # rounded as the levels are: what equals the threshold is inside
        above = (levels >= max(1, round(TOP * threshold))).astype(np.uint8)
        lines, _ = cv2.findContours(above, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        cv2.drawContours(canvas, lines, -1, color, max(1, canvas.shape[1] // 900), cv2.LINE_AA)


def _levels(scores: Features, width: int, height: int) -> Levels:
    """Scores ``(h, w)`` over ``(height, width)`` pixels, cell middles in place: 0 to `TOP` for 0 to 1."""
    import cv2

    # A bicubic step first: a bilinear one alone turns the blob of a coarse grid into a diamond.
    rows, columns = scores.shape
    steps = [min(8, 1 + pixels // (4 * cells)) for pixels, cells in ((width, columns), (height, rows))]
    fine = (min(width, columns * steps[0]), min(height, rows * steps[1]))
    small = cv2.resize(scores.clip(0, 1), fine, interpolation=cv2.INTER_CUBIC)
    levels = np.round(small.clip(0, 1) * TOP).astype(np.uint16)
    return cv2.resize(levels, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.uint16, copy=False)


def _whole(levels: Levels) -> Pixels:
    """Levels of 256."""
    return ((levels + 128) >> 8).astype(np.uint8)
