"""What every builder of instances keeps to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from wherewhen.core import registry
from wherewhen.core.config import build
from wherewhen.core.errors import ConfigError
from wherewhen.core.store import plain
from wherewhen.core.values import Grid

pytestmark = pytest.mark.parametrize("name", registry.names("instances"))


def made(name: str) -> Any:
    cls = registry.load("instances", name)
    return cls(build(cls.Config, None, name))


def stretch(start: float, seed: int, steps: int = 4, since: float | None = None) -> Grid:
    features = np.random.default_rng(seed).normal(size=(steps, 3, 5, 2)).astype(np.float32)
    span = (start if since is None else since, start + 1)
    return Grid(features, np.array([start, start + 1, 0, 0, 1, 1]), span=span)


GRIDS = [stretch(0, 0), stretch(1, 1), stretch(2, 2), stretch(2.5, 3, steps=2, since=3)]


def test_instances_lie_in_the_time_of_their_grids(name: str) -> None:
    parts = list(made(name)(GRIDS))
    assert parts
    starts = [part.extents[0, 0] for part in parts]
    assert starts == sorted(starts)
    for part in parts:
        assert part.features.dtype == np.float32 and np.isfinite(part.features).all()
        assert len(part.features) == len(part.extents) > 0
        assert part.extents[:, 0].min() >= 0 and part.extents[:, 1].max() <= 3.5
        assert (part.extents[:, 1] > part.extents[:, 0]).all()


def test_a_stream_gives_what_it_has_when_it_has_it(name: str) -> None:
    """The instances of a stretch never depend on what comes later: cutting the stream changes nothing before.

    Who says how long it waits may have a last stretch that the end leaves over.
    """
    grids = [stretch(k, k) for k in range(40)]
    builder = made(name)
    whole = list(builder(grids))
    for count in (1, 2, 3, 20, 39):
        part = list(builder(iter(grids[:count])))
        done = part[: -1 if builder.wait else None]
        assert done or count < 15
        for one, other in zip(done, whole, strict=False):
            np.testing.assert_array_equal(one.features, other.features)
            np.testing.assert_array_equal(one.extents, other.extents)


def test_nothing_is_kept_between_two_videos(name: str) -> None:
    builder = made(name)
    first, second = list(builder(GRIDS)), list(builder(GRIDS))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.features, other.features)
        np.testing.assert_array_equal(one.track, other.track)


def test_no_grid_makes_no_instances(name: str) -> None:
    assert list(made(name)([])) == []


def test_settings_make_the_round_trip(name: str) -> None:
    config = registry.load("instances", name).Config
    assert build(config, plain(config()), name) == config()
    with pytest.raises(ConfigError, match="unknown setting"):
        build(config, {"framez": 1}, name)
