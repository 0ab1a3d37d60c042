from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherewhen.core import extents as ext

SIDES = st.tuples(*[st.integers(0, 16)] * 4).map(
    lambda s: (min(s[0], s[2]), min(s[1], s[3]), max(s[0], s[2]), max(s[1], s[3]))
)


def painted(box: tuple[int, int, int, int]) -> np.ndarray:
    picture = np.zeros((16, 16), bool)
    picture[box[1] : box[3], box[0] : box[2]] = True
    return picture


@given(SIDES, SIDES)
def test_overlap_is_what_one_counts_on_paper(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> None:
    rows = ext.from_pixels([a, b], [[0, 1], [5, 6]], 16, 16)
    p, q = painted(a), painted(b)
    assert ext.area(rows[0]) == pytest.approx(p.sum() / 256)
    assert ext.intersection(rows[0], rows[1]) == pytest.approx((p & q).sum() / 256)
    union = (p | q).sum()
    assert ext.iou(rows[0], rows[1]) == pytest.approx((p & q).sum() / union if union else 0)


@given(SIDES)
def test_pixels_make_the_round_trip(box: tuple[int, int, int, int]) -> None:
    rows = ext.from_pixels([box], [[0, 1]], 320, 240)
    np.testing.assert_allclose(ext.to_pixels(rows, 320, 240), [box], atol=1e-9)


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4))
def test_a_grid_covers_its_extent_once_in_order(t: int, h: int, w: int) -> None:
    cells = ext.grid([2, 4, 0.2, 0.1, 0.8, 0.9], (t, h, w))
    for number, (i, j, k) in enumerate(product(range(t), range(h), range(w))):
        expected = [2 + 2 * i / t, 2 + 2 * (i + 1) / t]
        expected += [0.2 + 0.6 * k / w, 0.1 + 0.8 * j / h, 0.2 + 0.6 * (k + 1) / w, 0.1 + 0.8 * (j + 1) / h]
        np.testing.assert_allclose(cells[number], expected)
    np.testing.assert_allclose(ext.hull(cells), [2, 4, 0.2, 0.1, 0.8, 0.9])
    assert ext.area(cells).sum() == pytest.approx(t * 0.48)


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=20), st.floats(0, 10), st.floats(0, 10))
def test_frames_of_takes_the_frames_whose_middle_is_inside(lengths: list[float], start: float, length: float) -> None:
    edges = np.concatenate([[0], np.cumsum(lengths)])
    first, last = ext.frames_of([[start, start + length, 0, 0, 1, 1]], edges)[0]
    middles = (edges[1:] + edges[:-1]) / 2
    assert list(range(first, last)) == [k for k, m in enumerate(middles) if start <= m < start + length]


@given(st.lists(SIDES, max_size=4))
def test_a_picture_holds_the_highest_of_what_covers_it(boxes: list[tuple[int, int, int, int]]) -> None:
    """Boxes that end on sixteenths, seen on a raster of 4 x 8: shares are counts of pixels."""
    values = np.linspace(0.2, 1, len(boxes))
    expected = np.zeros((4, 8))
    for box, value in zip(boxes, values, strict=True):
        expected = np.maximum(expected, value * painted(box).reshape(4, 4, 8, 2).mean((1, 3)))
    rows = [[0, 1, *(side / 16 for side in box)] for box in boxes]
    np.testing.assert_allclose(ext.painted(rows, values, (4, 8)), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[0, 1, 0, 0, 1]], "expected shape"),
        ([[0, np.nan, 0, 0, 1, 1]], "finite"),
        ([[1, 0, 0, 0, 1, 1]], "end is before its start"),
        ([[0, 1, 0.5, 0, 0.4, 1]], "end is before its start"),
        ([[0, 1, 0, 0, 1, 1.5]], "fractions of the picture"),
    ],
)
def test_a_wrong_extent_is_refused(rows: list[list[float]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ext.check(rows)
    with pytest.raises(ValueError, match="hull of no extents"):
        ext.hull(np.empty((0, 6)))
