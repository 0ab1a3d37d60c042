from __future__ import annotations

import numpy as np
import pytest

from wherewhen.backbones._pooling import Side, bands, pooled, samples_of, weights


@pytest.mark.parametrize(
    "side", [Side(240, 14, 28), Side(61, 9, 9), Side(33, 2, 2), Side(7, 14, 28), Side(100, 30, 90)]
)
def test_bands_are_the_weights_without_their_zeros(side: Side) -> None:
    rng = np.random.default_rng(2)
    across = Side(50, 14, 28)
    columns = bands(across, 0, across.cells)
    for first, last in [(0, side.cells), (side.cells // 3, side.cells // 3 + 1), (side.cells // 2, side.cells)]:
        maps = rng.random((3, weights(side).shape[1], 25)).astype(np.float32)
        wanted = np.einsum("ry,byx,cx->brc", weights(side)[first:last], maps, weights(across))
        lines, every = samples_of(side, first, last), samples_of(across, 0, across.cells)
        found = pooled(maps[:, lines, every], bands(side, first, last), columns)
        np.testing.assert_allclose(found, wanted, rtol=1e-5)
