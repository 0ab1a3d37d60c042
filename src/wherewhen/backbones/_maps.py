"""Motion measures of the pixels of a pair of pictures, at every second row and column."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wherewhen.core.values import Pixels

Array = NDArray[np.float32]
Box = tuple[slice, slice]

EDGES = 4
SPEEDS = (0.5, 1.0, 2.0, 4.0, 8.0)  # px per frame
NOISE = 6.0  # gray levels: a change below this is mostly the sensor and the codec
SPREAD = 4 + len(SPEEDS) + EDGES  # maps of which the root is taken
CHANNELS = SPREAD + 5


def steadied(picture: Pixels, model: Array) -> Pixels:
    """A picture ``(H, W)`` as if the camera, whose affine flow is ``model`` ``(2, 3)``, had not moved."""
    import cv2

    matrix = model + np.eye(2, 3, dtype=np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    back = cv2.warpAffine(picture, matrix, picture.shape[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(back, np.uint8)


def subtract_camera(fields: Array, model: Array) -> None:
    """Subtract an affine flow ``(2, 3)`` from a half-size one ``(2, H / 2, W / 2)``, in place."""
    rows, columns = fields.shape[1:]
    x = np.arange(0, 2 * columns, 2, dtype=np.float32)
    y = np.arange(0, 2 * rows, 2, dtype=np.float32)[:, None]
    for field, (by_x, by_y, shift) in zip(fields, model, strict=True):
        field -= by_x * x + (by_y * y + shift)


def fill_change(first: Pixels, second: Pixels, out: Array) -> None:
    """Mean change of gray ``(H, W)`` around every second pixel, into ``out`` ``(H / 2, W / 2)``."""
    import cv2

    sample = np.subtract(second[::4, ::4], first[::4, ::4], dtype=np.int16).ravel()
    half = len(sample) // 2
    lamp = int(np.partition(sample, half)[half])  # a lamp or the exposure changes the whole picture at once
    change: NDArray[Any]
    if lamp:
        signed = cv2.subtract(second, first, dtype=cv2.CV_16S)
        signed -= np.int16(lamp)
        change = np.abs(signed, out=signed).view(np.uint16)
    else:
        change = cv2.absdiff(second, first)
    nine = np.asarray(cv2.boxFilter(change, cv2.CV_16U, (3, 3), normalize=False), np.uint16)
    np.divide(nine[::2, ::2], np.float32(9), out=out)


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
    """Fill ``out`` ``(CHANNELS, h, w)`` with the maps to average over windows.

    ``gray``: the first picture; ``fields``: see `fill_share`; ``box``: the part of ``fields`` to use.
    """
    import cv2

    u, v, change, share = (np.ascontiguousarray(field[box]) for field in fields)
    flows, faster, edges, rest = np.split(out, (4, 4 + len(SPEEDS), SPREAD))
    speed, square, fourth, shear, amount = rest
    u, v = u * share, v * share
    np.multiply(u, u, out=square)
    np.multiply(v, v, out=speed)
    square += speed
    np.sqrt(square, out=speed)
    np.multiply(square, square, out=fourth)
    for row, field in ((0, u), (2, v)):
        cv2.threshold(field, 0, 0, cv2.THRESH_TOZERO, dst=flows[row])
        np.subtract(flows[row], field, out=flows[row + 1])
    for row, least in zip(faster, SPEEDS, strict=True):
        cv2.threshold(speed, least, 1, cv2.THRESH_BINARY, dst=row)
        row *= share
    _fill_shear(u, v, shear)
    weight: Array = np.divide(share, np.float32(255))
    np.multiply(change, weight, out=amount)
    _fill_edges(gray, weight, box, edges)


def _fill_shear(u: Array, v: Array, out: Array) -> None:
    import cv2

    slope = np.empty_like(out)
    out[:] = 0
    for field in (u, v):
        for dx, dy in ((1, 0), (0, 1)):
            cv2.Sobel(field, cv2.CV_32F, dx, dy, dst=slope, scale=1 / 8)
            out += np.abs(slope, out=slope)


def _fill_edges(gray: Pixels, weight: Array, box: Box, out: Array) -> None:
    import cv2

    under = gray[tuple(slice(2 * side.start, 2 * side.stop) for side in box)]
    x, y = (slope[::2, ::2].astype(np.float32) for slope in cv2.spatialGradient(under))
    part = np.empty_like(x)
    x *= weight
    y *= weight
    np.abs(x, out=out[0])
    for row in range(1, EDGES):
        turn = np.float32(row * np.pi / EDGES)
        np.multiply(x, np.cos(turn), out=out[row])
        out[row] += np.multiply(y, np.sin(turn), out=part)
        np.abs(out[row], out=out[row])
