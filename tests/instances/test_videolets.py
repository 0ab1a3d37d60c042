from __future__ import annotations

import numpy as np
import pytest

from wherewhen.core.errors import ConfigError
from wherewhen.core.values import Grid
from wherewhen.extraction import assembly
from wherewhen.instances.videolets import Videolets, VideoletsConfig


def grid(start: float, seed: int, shape: tuple[int, ...] = (4, 3, 5, 2)) -> Grid:
    features = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    return Grid(features, np.array([start, start + 1, 0, 0, 1, 1]))


LAST = Grid(grid(3.5, 4).features, np.array([3.5, 4.5, 0, 0, 1, 1]), span=(4, 4.5))  # it reaches back
GRIDS = [grid(0, 0), grid(1, 1), grid(2, 2, (2, 6, 1, 2)), grid(3, 3), LAST]


@pytest.mark.parametrize("clips", [1, 2, 3, 9])
def test_a_videolet_is_the_mean_of_all_cells_of_its_clips(clips: int) -> None:
    found = list(Videolets(VideoletsConfig(clips=clips))(GRIDS))
    assert len(found) == -(-len(GRIDS) // clips)
    for number, part in enumerate(found):
        own = GRIDS[number * clips : (number + 1) * clips]
        cells = [cell for one in own for plane in one.features for line in plane for cell in line]
        np.testing.assert_allclose(part.features[0], np.mean(np.float64(cells), 0), rtol=1e-5, atol=1e-6)
        assert part.extents.tolist() == [[own[0].span[0], own[-1].span[1], 0, 0, 1, 1]]
        assert part.shape == (1, 1, 1)
    assert assembly.join_instances(found).shape == (len(found), 1, 1), "a bag of them is a grid, so that segments apply"


def test_cells_of_zeros_hold_nothing() -> None:
    half = np.zeros((1, 2, 1, 3), np.float32)
    half[0, 0] = 4
    empty = Grid(np.zeros((1, 2, 1, 3), np.float32), np.array([1, 2, 0, 0, 1, 1.0]))
    parts = list(Videolets(VideoletsConfig(clips=2))([Grid(half, np.array([0, 1, 0, 0, 1, 1.0])), empty, empty]))
    assert [part.features.tolist() for part in parts] == [[[4, 4, 4]], [[0, 0, 0]]]


def test_l2_gives_unit_length() -> None:
    for part in Videolets(VideoletsConfig(clips=2, l2=True))(GRIDS):
        assert np.linalg.norm(part.features) == pytest.approx(1, rel=1e-6)


def test_crops_keep_their_places() -> None:
    places = ([0, 0, 0.9, 0.9], [0.1, 0.1, 1, 1])
    grids = [
        Grid(one.features, np.array([*one.extent[:2], *place]), span=one.span) for one in GRIDS for place in places
    ]
    parts = list(assembly.built(grids, Videolets(VideoletsConfig()), 2))
    assert len(parts) == len(GRIDS)
    for part in parts:
        np.testing.assert_array_equal(part.extents[:, 2:], places)


def test_senseless_settings_are_named() -> None:
    with pytest.raises(ConfigError, match="clips"):
        VideoletsConfig(clips=0)
