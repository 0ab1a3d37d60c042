"""What every trivial row keeps to: it looks at no truth (but for the oracle) and gives a whole map."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from wherewhen import registry
from wherewhen.contracts import Baseline
from wherewhen.values import Bag, HeatMap, Instances, Truth

pytestmark = pytest.mark.parametrize("name", registry.names("baselines"))
MakeBag = Callable[..., Bag]
ORACLES = {"grid_oracle"}


@pytest.fixture
def bag(toy_bag: MakeBag) -> Bag:
    cells = toy_bag(1, 1, 6).views["cells"]
    change = Instances(np.abs(cells.features[:, :1]), cells.extents, shape=cells.shape)
    return Bag(toy_bag(1, 1, 6).video, {"cells": cells, "difference": change})


@pytest.fixture
def bank(toy_bag: MakeBag) -> Instances:
    return toy_bag(2, 0, 6).views["cells"]


QUIET = Truth(edges=np.arange(7.0))
LOUD = Truth(np.arange(7.0), [[1, 3]], [[1, 2, 0.25, 0, 0.75, 0.5], [2, 3, 0.25, 0, 0.75, 0.5]])


def heat(name: str, bag: Bag, truth: Truth, bank: Instances, seed: int = 0) -> HeatMap:
    found: HeatMap = registry.load("baselines", name).heat(bag, truth, bank, seed)
    return found


def test_it_gives_a_map_of_the_whole_video(name: str, bag: Bag, bank: Instances) -> None:
    row = registry.load("baselines", name)
    assert isinstance(row, Baseline) and row.description
    found = heat(name, bag, LOUD, bank)
    np.testing.assert_array_equal(found.edges, np.arange(7.0))
    assert found.values.min() >= 0 and found.values.max() <= 1
    assert found.values.max() > 0


def test_the_same_seed_gives_the_same_map(name: str, bag: Bag, bank: Instances) -> None:
    one, other = (heat(name, bag, LOUD, bank).values for _ in range(2))
    np.testing.assert_array_equal(one, other)
    another = heat(name, bag, LOUD, bank, seed=1).values
    assert np.array_equal(one, another) == (name != "chance")


def test_only_the_oracle_sees_the_truth(name: str, bag: Bag, bank: Instances) -> None:
    one, other = (heat(name, bag, truth, bank).values for truth in (LOUD, QUIET))
    assert np.array_equal(one, other) == (name not in ORACLES)


def test_the_last_clip_that_reaches_back_is_no_trouble(name: str, bag: Bag, bank: Instances) -> None:
    """Where clips overlap, steps start out of order; the map still covers the video once."""
    views = {}
    for key, rows in bag.views.items():
        again = rows.extents.reshape(6, 12, 6)[-2:].copy()
        again[..., :2] -= 0.5
        extents = np.concatenate([rows.extents, again.reshape(-1, 6)])
        features = np.concatenate([rows.features, rows.features[-24:]])
        views[key] = Instances(features, extents, shape=(8, 3, 4))
    found = heat(name, Bag(bag.video, views), LOUD, bank)
    assert found.edges[0] == 0 and found.edges[-1] == 6 and (np.diff(found.edges) > 0).all()


def test_the_oracle_knows_the_share_of_each_cell(name: str, bag: Bag, bank: Instances) -> None:
    if name not in ORACLES:
        return
    found = heat(name, bag, LOUD, bank).values
    fine = np.zeros((6, 6, 8))  # every cell of 3 x 4 in 2 x 2 pieces: the box ends on their borders
    fine[1:3, 0:3, 2:6] = 1
    np.testing.assert_allclose(found, fine.reshape(6, 3, 2, 4, 2).mean((2, 4)), atol=1e-6)
