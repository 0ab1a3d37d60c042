"""Fixtures that several tests of this folder share."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from wherewhen.core.contracts import View
from wherewhen.core.values import Bag
from wherewhen.inference.model import view


@pytest.fixture
def tube_bags(toy_bag: Callable[..., Bag]) -> dict[str, View]:
    """Four bags of tubes, the first instance of the second one all zeros."""
    bags = [toy_bag(n, n % 2, 3 + n, (1, 2), views=("tubes",)) for n in range(4)]
    tubes = view([bag.views["tubes"] for bag in bags])
    tubes.features[1, 0] = 0
    return {"tubes": tubes}
