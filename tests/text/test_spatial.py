from __future__ import annotations

from math import exp
from typing import Any

import numpy as np
import pytest

from wherewhen.core.errors import ConfigError
from wherewhen.core.extents import mean_map, windows
from wherewhen.text.spatial import (
    SpatialConfig,
    box,
    by_class,
    gated,
    likelihoods,
    stretched,
)

RNG = np.random.default_rng(0)


def test_windows_are_a_quarter_a_third_and_a_half_of_the_picture_with_half_a_window_between() -> None:
    places = windows()
    eighths = {(x / 8, y / 8, x / 8 + 0.25, y / 8 + 0.25) for x in range(7) for y in range(7)}
    sixths = {(x / 6, y / 6, x / 6 + 1 / 3, y / 6 + 1 / 3) for x in range(5) for y in range(5)}
    quarters = {(x / 4, y / 4, x / 4 + 0.5, y / 4 + 0.5) for x in range(3) for y in range(3)}
    wanted = np.array(sorted(eighths | sixths | quarters))
    assert len(places) == 49 + 25 + 9
    np.testing.assert_allclose(np.array(sorted(map(tuple, places))), wanted, atol=1e-9)


@pytest.mark.parametrize(("share", "stride"), [(0.3, 0.5), (0.37, 0.9), (1.0, 0.5), (0.9, 1.0)])
def test_windows_cover_the_picture_and_stay_in_it(share: float, stride: float) -> None:
    places = windows([share], stride)
    assert places.min() >= 0 and places.max() <= 1
    np.testing.assert_allclose(places[:, 2:] - places[:, :2], share, atol=1e-9)
    for x, y in RNG.random((200, 2)):
        assert ((places[:, 0] <= x) & (x < places[:, 2]) & (places[:, 1] <= y) & (y < places[:, 3])).any()


def plain_map(seen: np.ndarray, texts: np.ndarray, owners: list[int], places: np.ndarray, side: int) -> np.ndarray:
    """The whole spatial stream, written down plainly: the anomalous share of each crop, then the mean per cell."""
    shares = []
    for vector in seen.astype(float):
        cosines = [float(vector @ text) / float(np.linalg.norm(vector)) for text in texts.astype(float)]
        raised = [exp(100 * (c - max(cosines))) for c in cosines]
        shares.append(sum(r for r, owner in zip(raised, owners, strict=True) if owner >= 0) / sum(raised))
    heat = np.zeros((side, side))
    for row in range(side):
        for column in range(side):
            x, y = (column + 0.5) / side, (row + 0.5) / side
            over = [s for s, (x0, y0, x1, y1) in zip(shares, places, strict=True) if x0 < x < x1 and y0 < y < y1]
            heat[row, column] = sum(over) / len(over)
    return heat


def test_the_stream_is_what_it_says() -> None:
    places, owners = windows(), np.array([-1, -1, 0, 0, 1])
    texts = RNG.normal(size=(5, 16)).astype(np.float32)
    texts = (texts / np.linalg.norm(texts, axis=1)[:, None] + 3).astype(np.float32)
    texts /= np.linalg.norm(texts, axis=1)[:, None]
    seen = (texts[RNG.integers(0, 5, len(places))] * 7 + RNG.normal(size=(len(places), 16)) * 0.4).astype(np.float32)
    classes = by_class(likelihoods(seen, texts), owners, 2)
    heat = mean_map(np.pad(places, ((0, 0), (2, 0))), classes, (24, 24)).sum(-1)
    np.testing.assert_allclose(heat, plain_map(seen, texts, owners.tolist(), places, 24), atol=1e-4)
    assert 0.05 < heat.mean() < 0.95


def test_likelihoods_of_nothing_are_even_and_of_far_cosines_finite() -> None:
    texts = np.eye(3, dtype=np.float32)
    np.testing.assert_allclose(likelihoods(np.zeros((2, 3), np.float32), texts), 1 / 3)
    found = likelihoods(np.float32([[1e6, 0, 0], [-1, 0, 0]]), texts, scale=1e4)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[0], [1, 0, 0])


def test_cells_that_are_covered_in_part_count_in_part() -> None:
    found = mean_map([[0, 1, 0, 0, 0.25, 1], [0, 1, 0, 0, 1, 1]], np.float32([[1], [0]]), (1, 2))
    np.testing.assert_allclose(found[0, :, 0], [0.5 / 1.5, 0])
    assert mean_map([[0, 1, 0, 0, 0.5, 1]], np.float32([[1]]), (1, 2))[0, 1, 0] == 0


def test_a_box_is_around_the_largest_region_or_around_all() -> None:
    heat = np.zeros((4, 8), np.float32)
    heat[0, 0], heat[2, 5], heat[3, 6] = 0.9, 0.6, 0.5
    assert box(heat).tolist() == [5 / 8, 2 / 4, 7 / 8, 1]  # type: ignore[union-attr]
    assert box(heat, which="peak").tolist() == [0, 0, 1 / 8, 1 / 4]  # type: ignore[union-attr]
    assert box(heat, which="all").tolist() == [0, 0, 7 / 8, 1]  # type: ignore[union-attr]
    assert box(heat, 0.95) is None


def test_maps_are_stretched_and_gated() -> None:
    heat = RNG.random((3, 4)).astype(np.float32)
    found = stretched(heat)
    assert (found.min(), found.max()) == (0, 1) and found.argmax() == heat.argmax()
    assert not stretched(np.full((2, 2), 0.7, np.float32)).any()
    np.testing.assert_allclose(gated(heat, 0.5), heat / 2)


@pytest.mark.parametrize(
    "wrong",
    [{"shares": ()}, {"shares": (0.0,)}, {"stride": 0.0}, {"scale": 0.0}, {"raster": 0}, {"shares": (0.01,)}],
)
def test_senseless_settings(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="spatial:"):
        SpatialConfig(**wrong)
