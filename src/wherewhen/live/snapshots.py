"""Pictures of alerts: the newest pictures of a camera, and the one nearest to an alert, encoded."""

from __future__ import annotations

from collections import deque
from io import BytesIO

from wherewhen.core.values import Pixels
from wherewhen.live.alerts import Box

SECONDS = 30.0  # that pictures are kept
QUALITY = 85


class Snapshots:
    """Keeps the last pictures of a camera; called by the thread that reads them."""

    def __init__(self) -> None:
        self._pictures: deque[tuple[float, Pixels]] = deque()

    def add(self, at: float, picture: Pixels) -> None:
        """Add a picture ``(H, W, 3)`` that begins at a moment in seconds."""
        self._pictures.append((at, picture))
        while not at - SECONDS <= self._pictures[0][0] <= at:  # also later ones: the clock was put back
            self._pictures.popleft()

    def nearest(self, moment: float) -> Pixels | None:
        """The picture that begins nearest to a moment; None without one."""
        return min(self._list(), key=lambda pair: abs(pair[0] - moment), default=(0.0, None))[1]

    def between(self, since: float, until: float) -> list[tuple[float, Pixels]]:
        """The pictures that begin within a time, with the moments."""
        return [pair for pair in self._list() if since <= pair[0] <= until]

    def _list(self) -> list[tuple[float, Pixels]]:
        return list(self._pictures)


def encoded(picture: Pixels, kind: str, box: Box | None = None, width: int | None = None) -> bytes:
    """A picture as JPEG or WEBP, with a box x0 y0 x1 y1 in fractions drawn, at most ``width`` pixels wide."""
    from PIL import Image, ImageDraw

    image = Image.fromarray(picture)
    if box is not None:
        sides = [side * (image.width, image.height)[number % 2] for number, side in enumerate(box)]
        ImageDraw.Draw(image).rectangle(sides, outline=(255, 64, 0), width=max(2, image.width // 320))
    if width is not None:
        image.thumbnail((width, image.height))
    data = BytesIO()
    image.save(data, kind, quality=QUALITY)
    return data.getvalue()
