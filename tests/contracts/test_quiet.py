"""Every method learns from clips that hold little: black ones, one picture, nothing that moves, few of one label."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from wherewhen.core import registry
from wherewhen.core.contracts import StagedMethod
from wherewhen.core.values import Bag, Instances
from wherewhen.inference.model_config import ModelConfig
from wherewhen.training import fit

MakeBag = Callable[..., Bag]
METHODS = registry.names("methods")

pytestmark = pytest.mark.usefixtures("all_builders")


def emptied(bag: Bag, kept: slice = slice(0, 0)) -> Bag:
    """A bag whose cells hold nothing, but for some rows."""

    def without(view: Instances) -> Instances:
        features = np.zeros_like(view.features)
        features[kept] = view.features[kept]
        return replace(view, features=features)

    return Bag(bag.video, {name: without(view) for name, view in bag.views.items()})


def bags_of(case: str, make: Callable[[int, int, int], Bag]) -> list[Bag]:
    """Training bags ``make(number, label, time steps)``, some or all of which are odd."""
    usual = [make(n, n % 2, 6) for n in range(4)]
    odd = [make(4, 0, 6), make(5, 1, 6), make(6, 0, 1), make(7, 1, 1)]
    few = emptied(make(8, 0, 6), slice(0, 1))
    return {
        "some hold nothing": [*usual, *map(emptied, odd), few],
        "mixed lengths": [make(n, n % 2, steps) for n, steps in enumerate((1, 40, 2, 5, 33, 1))],
        "no normal one moves": [emptied(bag) if not bag.video.label else bag for bag in usual],
        "nothing moves at all": [emptied(bag) for bag in usual],
        "one anomalous": [make(n, int(n == 3), 4) for n in range(6)],
        "one of each, one picture long": [make(n, n, 1) for n in range(2)],
    }[case]


CASES = (
    "some hold nothing", "mixed lengths", "no normal one moves", "nothing moves at all", "one anomalous",
    "one of each, one picture long",
)  # fmt: skip


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", METHODS)
def test_it_trains_and_scores(name: str, case: str, toy_bag: MakeBag) -> None:
    plugin: Any = registry.load("methods", name)
    dims = plugin.abilities.feature_length or 6

    def make(number: int, label: int, steps: int) -> Bag:
        return toy_bag(number, label, steps, (1, 2), views=plugin.views, dims=dims)

    bags = bags_of(case, make)
    made = plugin(plugin.Config(), dict.fromkeys(plugin.views, dims))
    stages = made.stages if isinstance(made, StagedMethod) else 1
    how = {"steps": stages, "validate_every": 1, "bags": 9}
    config = ModelConfig.of({"method": name, "instances": plugin.views[0], "training": how})
    model = fit.fit(bags, config, device="cpu").best
    assert np.isfinite(model.threshold)
    for bag in bags:
        scores = model.scores(model.normalized(bag.views))
        assert scores.shape == (len(bag.views[plugin.views[0]].features),)
        assert np.isfinite(scores).all() and scores.min() >= 0 and scores.max() <= 1
