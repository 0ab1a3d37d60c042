"""Pictures of alerts: the newest pictures of a camera, and the one nearest to an alert as a JPEG."""

from __future__ import annotations

from collections import deque
from io import BytesIO

from wherewhen.core.values import Pixels

SECONDS = 30.0  # that pictures are kept
QUALITY = 85


class Snapshots:
    """Keeps the last pictures of a camera; called by the thread that reads them."""

    def __init__(self) -> None:
        self._pictures: deque[tuple[float, Pixels]] = deque()

    def add(self, at: float, picture: Pixels) -> None:
        """Add a picture ``(H, W, 3)`` of a moment in seconds."""
        self._pictures.append((at, picture))
        while self._pictures[0][0] < at - SECONDS:
            self._pictures.popleft()

    def at(self, moment: float, box: tuple[float, float, float, float] | None = None) -> bytes | None:
        """The picture nearest to a moment as a JPEG, with a box x0 y0 x1 y1 in fractions drawn; None without one."""
        pictures = list(self._pictures)
        if not pictures:
            return None
        _, picture = min(pictures, key=lambda pair: abs(pair[0] - moment))
        return jpeg(picture, box)


def jpeg(picture: Pixels, box: tuple[float, float, float, float] | None = None) -> bytes:
    """A picture as a JPEG, with a box drawn."""
    from PIL import Image, ImageDraw

    image = Image.fromarray(picture)
    if box is not None:
        sides = [side * (image.width, image.height)[number % 2] for number, side in enumerate(box)]
        ImageDraw.Draw(image).rectangle(sides, outline=(255, 64, 0), width=max(2, image.width // 320))
    data = BytesIO()
    image.save(data, "JPEG", quality=QUALITY)
    return data.getvalue()
