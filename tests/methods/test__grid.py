"""Lanes of cells: bags of one grid without padding, and any others."""

from __future__ import annotations

import pytest
import torch

from wherewhen.core.contracts import View
from wherewhen.methods import _grid
from wherewhen.methods._recorded import picked, put_back


def view(sparse: bool, dims: int) -> View:
    features = torch.randn(3, 12, dims)
    features[0, 3] = 0
    mask = torch.ones(3, 12, dtype=torch.bool)
    if sparse:
        mask[1, 8:] = False
    shapes = ((3, 2, 2), (2, 2, 2) if sparse else (3, 2, 2), (3, 2, 2))
    return View(features * mask[..., None], torch.zeros(3, 12, 6), -torch.ones(3, 12), mask, shapes)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("dims", [5, 2 * _grid.LONG])
def test_lanes_of_one_grid_need_no_copy_and_are_the_same(
    sparse: bool, dims: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    bags = view(sparse, dims)
    fast, scores = _grid.lanes(bags), torch.rand(3, 3, 4)
    alone = _grid.flat(scores, bags)
    assert (fast.features.data_ptr() == bags.features.data_ptr()) is not sparse
    monkeypatch.setattr(_grid, "_one_shape", lambda _: None)
    slow = _grid.lanes(bags)
    for name in ("features", "held", "steps"):
        assert torch.equal(getattr(fast, name), getattr(slow, name)), name
    assert fast.size == slow.size == (2, 2)
    assert torch.equal(alone, _grid.flat(scores, bags))


@pytest.mark.parametrize("place", [0, -1])
@pytest.mark.parametrize("dims", [3, _grid.LONG])
def test_tiny_infinite_and_undefined_numbers_are_not_0(dims: int, place: int) -> None:
    for number in (1e-44, -1e-44, float("inf"), float("-inf"), float("nan")):
        for filled in (0, 20):  # the others are looked at with all, or apart
            features = torch.cat([torch.zeros(2, dims), torch.ones(filled, dims)])
            features[1, place] = number
            assert _grid.nonzero(features).tolist() == [False, True] + [True] * filled


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_picked_rows_are_put_back_with_their_gradients(share: float) -> None:
    mask = torch.arange(8).reshape(2, 4) < 8 * share
    values = torch.randn(2, 4, 3, requires_grad=True)
    back = put_back(2 * picked(values, mask), mask)
    assert torch.equal(back, 2 * values * mask[..., None])
    back.sum().backward()  # type: ignore[no-untyped-call]
    assert values.grad is not None and torch.equal(values.grad, 2.0 * mask[..., None].expand(2, 4, 3))
