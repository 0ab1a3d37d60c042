"""Locked dropout: one mask per bag and channel, the mean kept, nothing dropped in evaluation."""

from __future__ import annotations

import pytest
import torch

from wherewhen.core import registry
from wherewhen.core.contracts import View
from wherewhen.methods._dropout import LockedDropout


@pytest.mark.parametrize(("shape", "channels"), [((5, 7, 11), -1), ((5, 11, 7), 1), ((5, 3, 7, 11), -1)])
def test_instances_of_a_bag_share_one_mask(shape: tuple[int, ...], channels: int) -> None:
    torch.manual_seed(0)
    values = torch.randn(shape)
    kept = LockedDropout(0.4, channels).train()(values) / values
    kept = kept.movedim(channels, -1).reshape(shape[0], -1, 11)
    assert torch.equal(kept > 0.5, (kept > 0.5)[:, :1].expand_as(kept))
    torch.testing.assert_close(kept[kept > 0.5], torch.full_like(kept[kept > 0.5], 1 / 0.6))
    patterns = {tuple(row) for row in (kept[:, 0] > 0.5).tolist()}
    assert len(patterns) == 5, "bags have masks of their own"


def test_the_mean_stays() -> None:
    torch.manual_seed(0)
    assert LockedDropout(0.6).train()(torch.ones(400, 2, 100)).mean() == pytest.approx(1, abs=0.02)


def test_nothing_is_dropped_in_evaluation_or_at_0() -> None:
    values = torch.randn(3, 4, 5)
    assert LockedDropout(0.6).eval()(values) is values
    assert LockedDropout(0.0).train()(values) is values


def test_gradients_go_where_something_is_left() -> None:
    values = torch.ones(3, 4, 5, requires_grad=True)
    out = LockedDropout(0.5).train()(values)
    out.sum().backward()
    assert values.grad is not None
    assert torch.equal(values.grad, out.detach())


def one_bag(view: str, count: int = 20) -> dict[str, View]:
    """A bag of instances that are all the same."""
    rows = torch.randn(1, 1, 12, generator=torch.Generator().manual_seed(3)).expand(1, count, 12)
    extents = torch.arange(count)[None, :, None] + torch.tensor([0.0, 1, 0, 0, 1, 1])
    tubes = view == "tubes"
    track = torch.arange(count)[None] if tubes else torch.full((1, count), -1)
    there = torch.ones(1, count, dtype=torch.bool)
    return {view: View(rows, extents, track, there, (None if tubes else (count, 1, 1),))}


@pytest.mark.parametrize("locked", [True, False])
@pytest.mark.parametrize("name", ["mgpr", "asa", "dmrm", "gclnc", "cuboid_mil"])
def test_methods_drop_for_each_bag_or_for_each_instance(name: str, locked: bool) -> None:
    """Equal instances stay equal under one mask of their bag, and differ under masks of their own."""
    method = registry.load("methods", name)
    bags = one_bag(method.views[0])
    bags |= dict.fromkeys(method.views[1:], bags[method.views[0]])
    settings = {"prior": None} if name in ("mgpr", "cuboid_mil") else {}
    torch.manual_seed(0)
    config = method.Config(dropout=0.5, locked_dropout=locked, **settings)
    model = method(config, dict.fromkeys(method.views, 12)).train()
    with torch.no_grad():
        scores = model(bags).scores[0]
    assert (float(scores.max() - scores.min()) < 1e-6) == locked


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_a_senseless_share_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match=r"share in \[0, 1\)"):
        LockedDropout(share)
