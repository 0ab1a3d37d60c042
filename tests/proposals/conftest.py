"""Small drawn worlds: textured things that move over a textured ground, with their exact boxes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import cv2
import numpy as np
import pytest

from wherewhen.core.values import Frame, Pixels

RATE = 12.5
Path2 = Callable[[int], tuple[float, float]]


class World:
    """A ground of blurred noise with ``movers``: (width, height, where in frame k its upper left is)."""

    def __init__(self, movers: Sequence[tuple[int, int, Path2]], size: tuple[int, int] = (240, 320), seed: int = 0):
        rng = np.random.default_rng(seed)
        self.rng, self.size, self.movers = rng, size, movers
        coarse = rng.integers(60, 200, (size[0] // 4 + 30, size[1] // 4 + 30, 3), np.uint8)
        self.ground: Pixels = cv2.resize(coarse, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC).astype(np.uint8)
        self.skins = []
        for number, (wide, tall, _) in enumerate(movers):
            base = np.zeros(3)
            base[number % 3] = 150
            skin = base + rng.integers(0, 105, (tall // 3 + 1, wide // 3 + 1, 3))
            self.skins.append(cv2.resize(skin.astype(np.uint8), (wide, tall), interpolation=cv2.INTER_NEAREST))

    def boxes(self, k: int) -> list[tuple[int, int, int, int]]:
        """Half-open pixel boxes of frame k, cut to the picture; all zeros where a mover is outside."""
        found = []
        for wide, tall, where in self.movers:
            x, y = (round(value) for value in where(k))
            x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + wide, self.size[1]), min(y + tall, self.size[0])
            found.append((x0, y0, x1, y1) if x0 < x1 and y0 < y1 else (0, 0, 0, 0))
        return found

    def picture(self, k: int, shift: tuple[int, int] = (0, 0), light: float = 1.0) -> Pixels:
        """Frame k, seen by a camera that looks ``shift`` pixels to the right and down."""
        height, width = self.size
        image = self.ground[20 + shift[1] : 20 + shift[1] + height, 20 + shift[0] : 20 + shift[0] + width].copy()
        for (_, _, where), skin, (x0, y0, x1, y1) in zip(self.movers, self.skins, self.boxes(k), strict=True):
            x, y = (round(value) for value in where(k))
            if x1:
                image[y0:y1, x0:x1] = skin[y0 - y : y1 - y, x0 - x : x1 - x]
        noisy = image * light + self.rng.normal(0, 2, image.shape)
        return noisy.clip(0, 255).astype(np.uint8)

    def frames(self, count: int, **changes: Callable[[int], object]) -> Iterator[Frame]:
        """``count`` frames; ``shift`` and ``light`` may be functions of the frame."""
        for k in range(count):
            told = {name: change(k) for name, change in changes.items()}
            yield Frame(self.picture(k, **told), k, k / RATE, (k + 1) / RATE)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def world() -> type[World]:
    return World
