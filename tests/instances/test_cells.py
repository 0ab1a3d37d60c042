from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherewhen.core import extents as ext
from wherewhen.core.errors import ConfigError
from wherewhen.core.values import Features, Grid
from wherewhen.instances._shares import overlaps
from wherewhen.instances.cells import Cells, CellsConfig


def grid(shape: tuple[int, int, int, int] = (4, 14, 14, 3), seed: int = 0, detail: Features | None = None) -> Grid:
    features = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    return Grid(features, np.array([1.0, 3.0, 0, 0, 1, 1]), detail)


def test_own_grid_is_kept_as_it_is() -> None:
    one = grid()
    found = next(Cells(CellsConfig())([one]))
    assert found.shape == (4, 14, 14)
    np.testing.assert_array_equal(found.features, one.features.reshape(-1, 3))
    np.testing.assert_array_equal(found.extents, ext.grid(one.extent, (4, 14, 14)))


@pytest.mark.equation("cuboid_mil", "x_i")
def test_the_published_cuboids_are_means_over_2_by_2_cells_of_all_times() -> None:
    one = grid()
    found = next(Cells(CellsConfig(steps=1, rows=7, columns=7, l2=True))([one]))
    expected = one.features.reshape(4, 7, 2, 7, 2, 3).mean((0, 2, 4)).reshape(49, 3)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(found.features, expected, rtol=1e-5)
    assert found.shape == (1, 7, 7)


def test_l2_leaves_zeros_alone() -> None:
    empty = Grid(np.zeros((1, 2, 2, 3), np.float32), np.array([0, 1, 0, 0, 1, 1.0]))
    assert not next(Cells(CellsConfig(l2=True))([empty])).features.any()


@given(st.integers(1, 20), st.integers(1, 20), st.floats(1, 4))
def test_overlaps_equal_a_fine_count(source: int, target: int, window: float) -> None:
    points = (np.arange(20_000) + 0.5) / 20_000
    owner = (points * source).astype(int)
    weights = overlaps(source, target, window)
    np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-5)
    for k, row in enumerate(weights):
        inside = np.abs(points - (k + 0.5) / target) <= window / (2 * target)
        counted = np.bincount(owner[inside], minlength=source) / inside.sum()
        np.testing.assert_allclose(row, counted, atol=5e-3)


@pytest.mark.parametrize("pool", ["mean", "max"])
def test_windows_overlap(pool: str) -> None:
    spike = np.zeros((1, 5, 5, 1), np.float32)
    spike[0, 2, 2] = 9
    config = CellsConfig(window=3, pool=pool)  # type: ignore[arg-type]
    found = next(Cells(config)([Grid(spike, np.array([0, 1, 0, 0, 1, 1.0]))])).features.reshape(5, 5)
    reached = np.zeros((5, 5), bool)
    reached[1:4, 1:4] = True
    np.testing.assert_array_equal(found > 0, reached)
    assert found.max() == pytest.approx(1 if pool == "mean" else 9)


def test_max_is_the_highest_of_what_a_cell_covers() -> None:
    one = grid((2, 6, 6, 2))
    found = next(Cells(CellsConfig(rows=3, columns=2, pool="max"))([one]))
    expected = one.features.reshape(2, 3, 2, 2, 3, 2).max((2, 4))
    np.testing.assert_array_equal(found.features, expected.reshape(-1, 2))


def test_a_stream_yields_each_grid_before_it_asks_for_the_next() -> None:
    asked: list[int] = []

    def stream() -> object:
        for k in range(3):
            asked.append(k)
            yield grid((1, 2 + k, 3, 2), k)

    for k, found in enumerate(Cells(CellsConfig())(stream())):  # type: ignore[arg-type]
        assert asked == list(range(k + 1))
        assert found.shape == (1, 2 + k, 3)


@pytest.mark.parametrize(
    ("steps", "rows"), [(None, [0, 1, 2, 3]), (2, [1, 3]), (1, [2]), (8, [0, 0, 1, 1, 2, 2, 3, 3])]
)
def test_detail_follows_the_time_steps(steps: int | None, rows: list[int]) -> None:
    detail = np.arange(4, dtype=np.float32)[:, None, None] * np.ones((4, 5, 6), np.float32)
    found = next(Cells(CellsConfig(steps=steps))([grid(detail=detail)]))
    assert found.detail is not None
    np.testing.assert_array_equal(found.detail, detail[rows])


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"rows": 0}, {"columns": -1}, {"window": 0.5}])
def test_senseless_settings(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="cells: "):
        CellsConfig(**wrong)  # type: ignore[arg-type]
