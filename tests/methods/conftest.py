"""Fixtures that several tests of this folder share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from wherewhen.core.contracts import View
from wherewhen.core.values import Bag
from wherewhen.inference.packing import view


@pytest.fixture
def tube_bags(toy_bag: Callable[..., Bag]) -> dict[str, View]:
    """Four bags of tubes, the first instance of the second one all zeros."""
    bags = [toy_bag(n, n % 2, 3 + n, (1, 2), views=("tubes",)) for n in range(4)]
    tubes = view([bag.views["tubes"] for bag in bags])
    tubes.features[1, 0] = 0
    return {"tubes": tubes}


@pytest.fixture(scope="session")
def cell_bags() -> Callable[..., dict[str, View]]:
    """``cell_bags(features, shape)``: bags ``(B, N, D)`` of a grid; one cell per step, the published form, by default.

    Zero padding counts as steps.
    """

    def bags(features: Any, shape: tuple[int, int, int] | None = None) -> dict[str, View]:
        rows = torch.as_tensor(features)
        count, size, _ = rows.shape
        mask = torch.ones(count, size, dtype=torch.bool)
        shapes = (shape or (size, 1, 1),) * count
        return {"cells": View(rows, torch.zeros(count, size, 6), -torch.ones(count, size), mask, shapes)}

    return bags


@pytest.fixture(scope="session")
def check_cells_alone(cell_bags: Callable[..., dict[str, View]]) -> Callable[[torch.nn.Module], None]:
    """A method scores each cell of a grid as if it was the only one."""

    def check(model: torch.nn.Module) -> None:
        features = torch.randn(2, 9 * 4, 5)
        scores = model(cell_bags(features, (9, 2, 2))).scores.reshape(2, 9, 4)
        for cell in range(4):
            alone = model(cell_bags(features.reshape(2, 9, 4, 5)[:, :, cell], (9, 1, 1))).scores
            torch.testing.assert_close(scores[:, :, cell], alone)

    return check
