from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherewhen.backbones._pooling import Side, every_window, pooled, weights, windows, windows_around


@pytest.mark.parametrize(
    "side", [Side(240, 14, 28), Side(61, 9, 9), Side(33, 2, 2), Side(7, 14, 28), Side(100, 30, 90)]
)
def test_bands_are_the_weights_without_their_zeros(side: Side) -> None:
    rng = np.random.default_rng(2)
    across = Side(50, 14, 28)
    for first, last in [(0, side.cells), (side.cells // 3, side.cells // 3 + 1), (side.cells // 2, side.cells)]:
        maps = rng.random((3, weights(side).shape[1], 25)).astype(np.float32)
        wanted = np.einsum("ry,byx,cx->brc", weights(side)[first:last], maps, weights(across))
        for turned in (False, True):
            sides, ends = (side, across), (first, last, 0, across.cells)
            if turned:
                sides, ends = sides[::-1], ends[2:] + ends[:2]
                maps, wanted = (np.ascontiguousarray(each.swapaxes(1, 2)) for each in (maps, wanted))
            under = windows(*sides, *ends)
            np.testing.assert_allclose(pooled(maps[:, *under.samples], under), wanted, rtol=1e-5)


@given(st.integers(1, 6), st.integers(1, 8), st.integers(0, 2**32 - 1))
def test_rectangles_are_the_smallest_around_what_is_active(height: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    active = rng.random((5, height, width)) < rng.random((5, 1, 1)) ** 3
    rows, columns = Side(16 * height, 16, 16), Side(16 * width, 16, 16)
    for one, under in zip(active, windows_around(active, rows, columns), strict=True):
        if under is None:
            assert not one.any()
            continue
        inside = one[under.cells]
        assert inside.sum() == one.sum() > 0
        assert inside[0].any() and inside[-1].any() and inside[:, 0].any() and inside[:, -1].any()


def test_all_windows_are_those_around_all_cells() -> None:
    sides = Side(61, 9, 9), Side(50, 14, 28)
    everything = np.ones((1, *(side.cells for side in sides)), bool)
    assert windows_around(everything, *sides) == [every_window(*sides)]
