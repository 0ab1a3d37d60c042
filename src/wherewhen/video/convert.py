"""From a decoder's picture to RGB: shrunk, then converted, then turned upright."""

from __future__ import annotations

import re
from typing import Any, TypeAlias

import av
import numpy as np
from av.sidedata.sidedata import Type
from av.video.reformatter import VideoReformatter

from wherewhen.core.errors import VideoError
from wherewhen.core.values import Pixels

# Formats that swscale both reads and writes: there the shrinking is done before the conversion, on less data.
_PLANAR = re.compile(r"(yuvj?4(20|22|44)p|gray)(10le)?")
# Formats of devices as those of the processor: the same colors, to a level or two.
_OF_DEVICES = {"nv12": "yuv420p", "p010le": "yuv420p10le"}


_Orientation: TypeAlias = tuple[bool, tuple[slice, slice]]


class Converter:
    """Pictures of one video to uint8 RGB ``(H, W, 3)``: at most ``width`` wide, or exactly ``exact`` (height, width).

    Resized once, before the conversion to RGB where swscale can. Shrinking averages over areas, so nothing aliases;
    enlarging, only by ``exact``, is bilinear. Alpha is dropped, not blended. Raises VideoError if the
    size changes within the video.
    """

    def __init__(self, path: str, width: int | None, exact: tuple[int, int] | None = None) -> None:
        self._path, self._width, self._exact = path, width, exact
        self._shrink, self._color = VideoReformatter(), VideoReformatter()
        self._size: tuple[int, int] | None = None
        self._orientations: dict[int, _Orientation] = {}

    def __call__(self, frame: av.VideoFrame, where: str) -> Pixels:
        """RGB of one picture; ``where`` names it in errors."""
        size = frame.width, frame.height
        self._size = self._size or size
        if size != self._size:
            was, now = ("x".join(map(str, pair)) for pair in (self._size, size))
            raise VideoError(self._path, f"every picture must have one size: {where} is {now}, those before are {was}")
        transposed, flips = self._orientation(frame)
        target = self._target(size, transposed)
        try:
            rgb = self._rgb(frame, target)
        except (OSError, ValueError) as error:
            cause = f"{where} has pixels of a kind that can't be converted to RGB ({frame.format.name}: {error})"
            raise VideoError(self._path, cause) from error
        return np.ascontiguousarray((rgb.transpose(1, 0, 2) if transposed else rgb)[flips])

    def _orientation(self, frame: av.VideoFrame) -> _Orientation:
        """That of the first picture with this rotation: PyAV keeps each whose side data is read until a collection."""
        if frame.rotation not in self._orientations:
            self._orientations[frame.rotation] = _orientation(frame)
        return self._orientations[frame.rotation]

    def _target(self, size: tuple[int, int], transposed: bool) -> tuple[int, int]:
        if self._exact is not None:
            return self._exact if transposed else (self._exact[1], self._exact[0])
        side = size[transposed]
        if self._width is None or side <= self._width:
            return size
        width, height = (max(1, round(length * self._width / side)) for length in size)
        return width, height

    def _rgb(self, frame: av.VideoFrame, size: tuple[int, int]) -> Pixels:
        planar = _OF_DEVICES.get(frame.format.name, frame.format.name)
        if planar != frame.format.name or (size != (frame.width, frame.height) and _PLANAR.fullmatch(planar)):
            frame = self._shrink.reformat(frame, *size, format=planar, interpolation="AREA", threads=1)
        frame = self._color.reformat(frame, *size, format="rgb24", interpolation="AREA", threads=1)
        plane = frame.planes[0]
        rows: Pixels = np.frombuffer(memoryview(plane), np.uint8, plane.line_size * frame.height)
        rows = rows.reshape(frame.height, plane.line_size)[:, : 3 * frame.width]
        return rows.reshape(frame.height, frame.width, 3)


def upright(frame: av.VideoFrame) -> tuple[int, int]:
    """Width and height of a picture as it is shown."""
    return (frame.height, frame.width) if _orientation(frame)[0] else (frame.width, frame.height)


def _orientation(frame: av.VideoFrame) -> _Orientation:
    """Whether rows and columns change places, and which then run backwards, from the display matrix."""
    sides: Any = frame.side_data
    data = sides.get(Type.DISPLAYMATRIX)
    if data is None:
        return False, (slice(None), slice(None))
    xx, xy, _, yx, yy, *_ = np.frombuffer(data, np.int32).tolist()
    transposed = abs(xy) > abs(xx)
    across, down = (yx, xy) if transposed else (xx, yy)
    return transposed, (slice(None, None, -1 if down < 0 else 1), slice(None, None, -1 if across < 0 else 1))
