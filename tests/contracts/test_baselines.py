"""What every trivial row keeps to: it looks at no truth (but for the oracle) and gives a whole map."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from wherewhen.core import registry
from wherewhen.core.contracts import Baseline
from wherewhen.core.values import Bag, Features, HeatMap, Instances, Paths, Scores, Truth, Video

MAPS = [name for name in registry.names("baselines") if registry.load("baselines", name).heat is not None]
MOVERS = [name for name in registry.names("baselines") if name not in MAPS]
of_maps = pytest.mark.parametrize("name", MAPS)
of_movers = pytest.mark.parametrize("name", MOVERS)
MakeBag = Callable[..., Bag]
ORACLES = {"grid_oracle", "tube_oracle"}


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


@of_maps
def test_it_gives_a_map_of_the_whole_video(name: str, bag: Bag, bank: Instances) -> None:
    row = registry.load("baselines", name)
    assert isinstance(row, Baseline) and row.description
    found = heat(name, bag, LOUD, bank)
    np.testing.assert_array_equal(found.edges, np.arange(7.0))
    assert found.values.min() >= 0 and found.values.max() <= 1
    assert found.values.max() > 0


@of_maps
def test_the_same_seed_gives_the_same_map(name: str, bag: Bag, bank: Instances) -> None:
    one, other = (heat(name, bag, LOUD, bank).values for _ in range(2))
    np.testing.assert_array_equal(one, other)
    another = heat(name, bag, LOUD, bank, seed=1).values
    assert np.array_equal(one, another) == (name != "chance")


@of_maps
def test_only_the_oracle_sees_the_truth(name: str, bag: Bag, bank: Instances) -> None:
    one, other = (heat(name, bag, truth, bank).values for truth in (LOUD, QUIET))
    assert np.array_equal(one, other) == (name not in ORACLES)


@of_maps
def test_a_video_without_anything_in_it_has_a_map(name: str, bag: Bag, bank: Instances) -> None:
    """Cells of zeros hold nothing: not one of them, in the video or in what is normal, is no trouble."""
    views = {
        view: Instances(np.zeros_like(one.features), one.extents, shape=one.shape) for view, one in bag.views.items()
    }
    for normal in (bank, views["cells"]):
        found = heat(name, Bag(bag.video, views), QUIET, normal)
        assert len(found.values) == 6 and np.isfinite(found.values).all()


@of_maps
def test_steps_may_be_of_any_length(name: str, bag: Bag, bank: Instances) -> None:
    """As those of a last clip that reaches back; the map covers the video once, and a step lasts until the next."""
    views = {}
    for key, rows in bag.views.items():
        last = rows.extents.reshape(6, 12, 6)[-2:].copy()
        last[..., :2] = np.array([[6.5, 6.6], [6.6, 7]])[:, None]
        extents = np.concatenate([rows.extents, last.reshape(-1, 6)])
        features = np.concatenate([rows.features, rows.features[-24:]])
        views[key] = Instances(features, extents, shape=(8, 3, 4))
    found = heat(name, Bag(bag.video, views), LOUD, bank)
    assert found.edges.tolist() == [0, 1, 2, 3, 4, 5, 6.5, 6.6, 7]


@of_maps
def test_the_oracle_knows_the_share_of_each_cell(name: str, bag: Bag, bank: Instances) -> None:
    if name not in ORACLES:
        return
    found = heat(name, bag, LOUD, bank).values
    fine = np.zeros((6, 6, 8))  # every cell of 3 x 4 in 2 x 2 pieces: the box ends on their borders
    fine[1:3, 0:3, 2:6] = 1
    np.testing.assert_allclose(found, fine.reshape(6, 3, 2, 4, 2).mean((2, 4)), atol=1e-6)


def walkers() -> Bag:
    """Mover 4 in two parts, the second of which is where LOUD says; mover 9 elsewhere; a frame a second."""
    boxes = [(0, 0, 0.25, 0.5), (0.25, 0, 0.75, 0.5), (0.25, 0, 0.75, 0.5), (0.75, 0.5, 1, 1), (0.75, 0.5, 1, 1)]
    times, owner = [0, 1, 2, 0, 4], [0, 1, 1, 2, 2]
    rows = Scores([[t, t + 1, *box] for t, box in zip(times, boxes, strict=True)], np.ones(5), owner)
    hulls = [[0, 1, *boxes[0]], [1, 3, *boxes[1]], [0, 5, *boxes[3]]]
    movers = Instances(np.ones((3, 2)), np.array(hulls), [4, 4, 9], paths=Paths(rows, np.arange(7.0)))
    return Bag(Video("a", Path("a.mp4"), 1), {"movers": movers})


def scores(name: str, truth: Truth, seed: int = 0) -> Features:
    found: Features = registry.load("baselines", name).scores(walkers(), truth, seed)
    return found


@of_movers
def test_a_row_of_movers_scores_them(name: str) -> None:
    row = registry.load("baselines", name)
    assert isinstance(row, Baseline) and row.description
    found = scores(name, LOUD)
    assert found.shape == (3,) and found.dtype == np.float32 and found.min() >= 0 and 0 < found.max() <= 1
    np.testing.assert_array_equal(found, scores(name, LOUD))
    assert np.array_equal(found, scores(name, LOUD, seed=1)) == (name != "random_tube")
    assert np.array_equal(found, scores(name, QUIET)) == (name not in ORACLES)


def test_parts_of_a_mover_share_their_chance() -> None:
    found = scores("random_tube", QUIET)
    assert found[0] == found[1] != found[2]


def test_the_oracle_of_tubes_gives_each_its_overlap_with_the_truth() -> None:
    """Mover 4 is exactly there for two seconds, and one second where nothing is: 2 / 3 in the part that is there."""
    np.testing.assert_allclose(scores("tube_oracle", LOUD), [0, 2 / 3, 0], rtol=1e-6)
    assert not scores("tube_oracle", QUIET).any()
    half = Truth(np.arange(7.0), [[1, 3]], [[1, 2, 0.25, 0, 0.5, 0.5], [2, 3, 0.5, 0, 0.75, 0.5]])
    np.testing.assert_allclose(scores("tube_oracle", half), [0, 1 / 3, 0], rtol=1e-6)
    apart = Truth(np.arange(7.0), [[1, 2]], [[1, 2, 0.25, 0, 0.5, 0.5], [1, 2, 0.5, 0, 0.75, 0.5]])
    np.testing.assert_allclose(scores("tube_oracle", apart), [0, 1 / 3, 0], rtol=1e-6)


def test_a_row_has_one_way_to_score() -> None:
    with pytest.raises(ValueError, match="either heat or scores"):
        Baseline(None, "nothing")
