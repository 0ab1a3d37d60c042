"""Recognition of pictures that repeat the one before, as converted and dropped-frame recordings have them."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

from wherewhen.core.values import Pixels

SAMPLES = 16_000  # pixels of a picture that are compared, evenly spread
CHANGED = 8  # gray levels: a smaller change of a pixel is mostly the codec
SHARE = 0.15  # of the second strongest recent change: a weaker one is a repetition
MEMORY = 0.5  # seconds of recent changes
LONGEST = 0.25  # seconds that a picture can be shown: no more are left out in a row
_LUMA = frozenset(("yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "nv12", "gray"))


class Repeats:
    """Whether each picture of a video repeats the one before it: called with every one, in order.

    Files of 25 or 30 pictures per second often hold fewer: each is shown two or more times, with the small differences
    of compression. A picture is a repetition if far fewer of its pixels change than of two others in the last half of a
    second (of one other at the start), one of them in its second half. A single cut has no effect. The result
    depends on the pictures of this time alone, not on where reading began before it. ``step``: nominal seconds
    between pictures.

    >>> repeats = Repeats(1 / 25)
    >>> pictures = [np.full((32, 32, 3), 30 * k, np.uint8) for k in (0, 1, 1, 2, 2, 3)]
    >>> [repeats(picture, number / 25) for number, picture in enumerate(pictures)]
    [False, False, True, False, True, False]
    """

    def __init__(self, step: float) -> None:
        self._step, self._margin = step, 0.01 * step
        self._changes: deque[tuple[float, int]] = deque()
        self._last: Pixels | None = None

    def __call__(self, picture: Any, start: float) -> bool:
        """Whether this picture, a frame of the decoder or RGB ``(H, W, 3)``, repeats the last one."""
        gray = samples(picture)
        last, self._last = self._last, gray
        if last is None or last.shape != gray.shape:
            self._changes.clear()
            return False
        change = int(np.count_nonzero(np.abs(gray - last) > CHANGED))
        while self._changes and self._changes[0][0] < start - MEMORY - self._margin:
            self._changes.popleft()
        recent = sorted(amount for _, amount in self._changes)
        young = not recent or self._changes[0][0] > start - MEMORY + 1.5 * self._step
        least = SHARE * (recent[-1] if young else recent[-2 if len(recent) > 1 else -1]) if recent else 0.0
        since = start - LONGEST - self._margin
        lasting = any(amount >= least for begin, amount in self._changes if begin >= since)
        self._changes.append((start, change))
        return change < least and lasting


def samples(picture: Any) -> Any:
    """About 16,000 evenly spread pixels of a picture in gray, int16."""
    if isinstance(picture, np.ndarray):
        gray = picture[..., 1]
    else:
        if picture.format.name not in _LUMA:
            picture = picture.reformat(format="gray")
        plane = picture.planes[0]
        rows = np.frombuffer(memoryview(plane), np.uint8, plane.line_size * picture.height)
        gray = rows.reshape(picture.height, plane.line_size)[:, : picture.width]
    every = max(1, round((gray.size / SAMPLES) ** 0.5))
    return gray[::every, ::every].astype(np.int16)
