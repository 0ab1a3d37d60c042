"""Heat maps of items: as they are stored, and as pictures over a clip."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from wherewhen.review.heat import LARGEST, WIDTH, StoredMap, highest, packed, picture, small, unpacked


@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 2**32 - 1))
def test_a_map_is_read_as_it_was_stored(height: int, width: int, seed: int) -> None:
    values = np.random.default_rng(seed).uniform(-0.1, 1.1, (height, width)).astype(np.float32)
    read = unpacked(packed(values))
    assert read.shape == (min(height, LARGEST), min(width, LARGEST))
    assert np.abs(read - small(values).clip(0, 1)).max() <= 0.5 / 255 + 1e-6
    assert read.max() == pytest.approx(values.clip(0, 1).max(), abs=0.003), "the peak is kept"


def test_the_highest_map_of_a_span_is_chosen() -> None:
    maps = [
        StoredMap(k, k + 1.0, score, np.full((1, 2), k, np.float32)) for k, score in enumerate((0.9, 0.7, 0.8, 1.0))
    ]
    for span, expected in (((1.0, 3.0), 2), ((0.5, 3.0), 0), ((3.5, 9.0), 3)):
        chosen = highest(maps, *span)
        assert chosen is not None and chosen[0, 0] == expected
    assert highest(maps, 5.0, 6.0) is None


def test_a_picture_is_opaque_where_scores_are_high() -> None:
    values = np.zeros((6, 8), np.float32)
    values[1, 6] = 1.0
    data = picture({"heat": packed(values), "width": 320, "height": 240, "threshold": 0.5})
    assert data is not None and picture({"heat": None}) is None
    image = np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))
    assert image.shape == (WIDTH * 3 // 4, WIDTH, 4)
    y, x = np.unravel_index(image[..., 3].astype(int).argmax(), image.shape[:2])
    assert abs(x / WIDTH - 6.5 / 8) < 0.1 and abs(y / (WIDTH * 3 / 4) - 1.5 / 6) < 0.1
    assert image[..., 3].max() > 120 and image[WIDTH // 2, : WIDTH // 2, 3].max() == 0
