from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from wherewhen.core.values import Pixels


def _draw(index: int, width: int = 64, height: int = 48) -> Pixels:
    """A picture that carries its number in 16 big black or white fields, so that lossy coding can't blur it."""
    bits = [255 * (index >> bit & 1) for bit in range(16)]
    cells = np.array(bits, np.uint8).reshape(4, 4)
    rows, columns = np.arange(height) * 4 // height, np.arange(width) * 4 // width
    return np.repeat(cells[rows][:, columns, None], 3, 2)


def _number(image: Pixels) -> int:
    height, width, _ = image.shape
    rows, columns = [(2 * k + 1) * height // 8 for k in range(4)], [(2 * k + 1) * width // 8 for k in range(4)]
    bits = image[rows][:, columns, 1].reshape(-1) > 127
    return int(sum(1 << bit for bit in range(16) if bits[bit]))


@pytest.fixture
def draw() -> Callable[..., Pixels]:
    return _draw


@pytest.fixture
def number() -> Callable[[Pixels], int]:
    return _number


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Path]:
    """Makes a video of numbered pictures (or of given ones) in a temporary folder."""

    def film(
        name: str,
        count: int = 30,
        *,
        codec: str = "libx264",
        rate: Fraction | int = 25,
        stamps: Sequence[int] | None = None,
        size: tuple[int, int] = (64, 48),
        pixels: str = "yuv420p",
        pictures: Sequence[Pixels] | None = None,
        setup: Callable[[Any], None] | None = None,
        mux: dict[str, str] | None = None,
        **options: str,
    ) -> Path:
        path = tmp_path / name
        tick = Fraction(1, 90000) if stamps is not None else 1 / Fraction(rate)
        with av.open(str(path), "w", options=mux or {}) as container:
            stream: Any = container.add_stream(codec, rate=rate, options=options)
            stream.width, stream.height, stream.pix_fmt = *size, pixels
            stream.codec_context.time_base = tick
            if setup:
                setup(stream)
            for index in range(count):
                image = _draw(index, *size) if pictures is None else pictures[index]
                kind = {3: "rgb24", 4: "rgba"}[image.shape[2]]
                frame = av.VideoFrame.from_ndarray(image, kind).reformat(format=pixels)
                frame.pts, frame.time_base = index if stamps is None else stamps[index], tick
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path

    return film
