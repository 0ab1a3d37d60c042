"""Motion measures of the pixels of a pair of pictures, at every second row and column."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wherewhen.backbones._room import room
from wherewhen.core.values import Pixels

Array = NDArray[np.float32]
Box = tuple[slice, slice]

EDGES = 4
SPEEDS = (0.5, 1.0, 2.0, 4.0, 8.0)  # px per frame
NOISE = 6.0  # gray levels: a change below this is mostly the sensor and the codec
SPREAD = 4 + len(SPEEDS) + EDGES  # maps of which the root is taken
CHANNELS = SPREAD + 5
SCALES = np.ones((CHANNELS, 1, 1), np.float32)
"""Factors that give each of the maps of `fill_channels` its unit."""
SCALES[4 + len(SPEEDS) : SPREAD] = 1 / 255
SCALES[5 + len(SPEEDS) : SPREAD : 2] = np.sqrt(0.5) / 255  # of diagonals
SCALES[-2:, 0, 0] = 1 / 8, 1 / 255


def steadied(picture: Pixels, model: Array) -> Pixels:
    """A picture ``(H, W)`` as if the camera, whose affine flow is ``model`` ``(2, 3)``, had not moved."""
    import cv2

    matrix = model + np.eye(2, 3, dtype=np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    wide, back = (room(name, *picture.shape) for name in ("wide", "back"))
    wide[:] = picture  # faster to move than bytes, with the same rounding
    size = picture.shape[::-1]
    cv2.warpAffine(wide, matrix, size, dst=back, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.convertScaleAbs(back), np.uint8)


def subtract_camera(fields: Array, model: Array) -> None:
    """Subtract an affine flow ``(2, 3)`` from a half-size one ``(2, H / 2, W / 2)``, in place."""
    rows, columns = fields.shape[1:]
    down, along = np.ones((2, rows, 2), np.float32), np.ones((2, 2, columns), np.float32)
    down[..., 0] = model[:, 1:2] * np.arange(0, 2 * rows, 2, dtype=np.float32) + model[:, 2:]
    along[:, 1] = model[:, :1] * np.arange(0, 2 * columns, 2, dtype=np.float32)
    fields -= down @ along  # sums of a term of the row and one of the column


def fill_change(first: Pixels, second: Pixels, out: Array) -> None:
    """Mean change of gray ``(H, W)`` around every second pixel, into ``out`` ``(H / 2, W / 2)``."""
    import cv2

    lamp = _lamp(np.subtract(second[::4, ::4], first[::4, ::4], dtype=np.int16))
    change: NDArray[Any]
    if lamp:
        signed = cv2.subtract(second, first, dtype=cv2.CV_16S)
        signed -= np.int16(lamp)
        change = np.abs(signed, out=signed).view(np.uint16)
    else:
        change = cv2.absdiff(second, first)
    nine = room("nine", *first.shape, kind=np.uint16)
    cv2.boxFilter(change, cv2.CV_16U, (3, 3), dst=nine, normalize=False)
    np.divide(nine[::2, ::2], np.float32(9), out=out)


def _lamp(changes: NDArray[np.int16]) -> int:
    """The upper median of changes: a lamp or the exposure changes the whole picture at once."""
    half = changes.size // 2
    if np.count_nonzero(changes < 0) <= half < np.count_nonzero(changes <= 0):
        return 0  # far faster to find than another median
    return int(np.partition(changes.ravel(), half)[half])


def fill_share(fields: Array) -> None:
    """Share of motion of each pixel, into the last of ``fields`` ``(4, h, w)``: flow right and down, change, share."""
    right, down, change, share = fields
    square, other = right * right, down * down
    square += other
    np.add(square, np.float32(0.25), out=share)
    np.divide(square, share, out=share)
    np.multiply(change, change, out=square)
    np.add(square, np.float32(NOISE * NOISE), out=other)
    square /= other
    share *= square


def fill_channels(gray: Pixels, fields: Array, box: Box, out: Array) -> None:
    """Fill ``out`` ``(CHANNELS, h, w)`` with the maps to average over windows; times `SCALES` they have their units.

    ``gray``: the first picture; ``fields``: see `fill_share`; ``box``: the part of ``fields`` to use.
    """
    import cv2

    u, v, change, share = (field[box] for field in fields)
    flows, faster, edges = out[:4], out[4 : -EDGES - 5], out[-EDGES - 5 : -5]
    speed, square, fourth, shear, amount = out[-5:]
    u, v, share = u * share, v * share, np.ascontiguousarray(share)
    np.multiply(u, u, out=square)
    np.multiply(v, v, out=speed)
    square += speed
    cv2.sqrt(square, dst=speed)
    np.multiply(square, square, out=fourth)
    for row, field in ((0, u), (2, v)):
        cv2.threshold(field, 0, 0, cv2.THRESH_TOZERO, dst=flows[row])
        np.subtract(flows[row], field, out=flows[row + 1])
    for row, least in zip(faster, SPEEDS, strict=True):
        cv2.threshold(speed, least, 1, cv2.THRESH_BINARY, dst=row)
        row *= share
    _fill_shear(u, v, shear)
    np.multiply(change, share, out=amount)
    _fill_edges(gray, share, box, edges)


def _fill_shear(u: Array, v: Array, out: Array) -> None:
    import cv2

    slope = np.empty_like(out)
    cv2.Sobel(u, cv2.CV_32F, 1, 0, dst=out)
    np.abs(out, out=out)
    for field, dx, dy in ((u, 0, 1), (v, 1, 0), (v, 0, 1)):
        cv2.Sobel(field, cv2.CV_32F, dx, dy, dst=slope)
        out += np.abs(slope, out=slope)


def _fill_edges(gray: Pixels, share: Array, box: Box, out: Array) -> None:
    import cv2

    under = gray[tuple(slice(2 * side.start, 2 * side.stop) for side in box)]
    slopes = room("slopes", 2, *under.shape, kind=np.int16)
    cv2.spatialGradient(under, slopes[0], slopes[1])
    x, y = slopes[:, ::2, ::2] * share
    across, rising, down, falling = out
    cv2.absdiff(x, y, dst=falling)
    np.add(x, y, out=rising)
    for values, row in ((x, across), (rising, rising), (y, down)):
        np.abs(values, out=row)
