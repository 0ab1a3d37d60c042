from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from wherewhen.core.errors import ConfigError
from wherewhen.core.values import Clip, Grid
from wherewhen.instances.cells import Cells, CellsConfig
from wherewhen.instances.moving import Moving, MovingConfig


def grid(detail: Any, shape: tuple[int, int, int] = (2, 3, 4)) -> Grid:
    features = np.ones((*shape, 5), np.float32)
    return Grid(features, np.array([0, 1, 0, 0, 1, 1.0]), detail)


@pytest.mark.equation("stprompt", "motion")
def test_a_cell_moves_as_its_pixels_do() -> None:
    """By area, where a cell cuts through pixels of the raster as well; each counted one by one."""
    detail = np.random.default_rng(0).random((2, 10, 14)).astype(np.float32)
    (found,) = Moving(MovingConfig(rows=3, columns=4))([grid(detail)])
    assert found.shape == (2, 3, 4) and found.features.shape == (24, 1)
    fine = detail.repeat(3, 1).repeat(4, 2)  # 30 x 56: cells of 10 x 14
    for number, value in enumerate(found.features[:, 0]):
        t, y, x = np.unravel_index(number, (2, 3, 4))
        assert value == pytest.approx(fine[t, 10 * y : 10 * y + 10, 14 * x : 14 * x + 14].mean(), rel=1e-5)


def test_its_cells_are_those_of_cells() -> None:
    detail = np.zeros((2, 8, 8), np.float32)
    for asked in ({}, {"steps": 1, "rows": 7, "columns": 7}):
        (mine,), (its,) = Moving(MovingConfig(**asked))([grid(detail)]), Cells(CellsConfig(**asked))([grid(detail)])
        assert mine.shape == its.shape
        np.testing.assert_array_equal(mine.extents, its.extents)
        np.testing.assert_array_equal(mine.detail, its.detail)


def test_nothing_moves_where_nobody_looked() -> None:
    (found,) = Moving(MovingConfig())([grid(None)])
    assert not found.features.any() and found.detail is None


def test_a_square_that_jumps_moves_where_it_was_and_is() -> None:
    from wherewhen.extraction.sampling import moving

    images = np.zeros((2, 40, 40, 3), np.uint8)
    images[0, :10, :10] = 255
    images[1, 30:, 30:] = 255
    detail = moving(Clip(images, np.array([0, 0.5, 1])), 1)
    (found,) = Moving(MovingConfig())([grid(detail, (1, 4, 4))])
    np.testing.assert_allclose(found.features[:, 0], [1] + [0] * 14 + [1], atol=1e-3)


def test_senseless_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="rows"):
        MovingConfig(rows=0)
