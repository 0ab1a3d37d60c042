"""Graphs are made smaller, and give the same numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wherewhen.engines import _graph as graph


def names(module: torch.fx.GraphModule) -> list[str]:
    return [str(node.target) for node in module.graph.nodes if node.op == "call_function"]


def same(made: Tensor, plain: Tensor, tolerance: float = 1e-5) -> None:
    assert made.shape == plain.shape
    assert float((made - plain).norm() / plain.norm()) < tolerance


def test_a_folded_network_is_the_same_network(toy: Any, draw: Any) -> None:
    clips = draw(2, toy.clip.frames)
    module = graph.folded(toy.module, clips)
    same(module(torch.from_numpy(clips)), toy.module(torch.from_numpy(clips)))
    assert not any("batch_norm" in name for name in names(module))
    assert len(list(toy.module.parameters())) > 0, "the network itself stays whole"


def test_batch_norms_and_pads_vanish_into_convolutions(make_toy: Any, draw: Any) -> None:
    module = graph.folded(make_toy().module, draw(1, 8))
    pads = [node.args[1] for node in module.graph.nodes if node.target is graph.aten.pad.default]
    assert pads == [[2, 3, 2, 3, 2, 3], [0, 1, 0, 1, 0, 0]], "what is uneven or before a pool stays"
    assert len(module.state_dict()) == 2 * 5


def test_the_scaling_of_pixels_goes_into_the_weights(toy: Any, draw: Any) -> None:
    clips = draw(1, toy.clip.frames)
    module = graph.exported(toy.module, clips)
    graph.fold_norms(module)
    graph.fold_pads(module)
    before = names(module)
    graph.fold_scaling(module)
    after = names(graph.done(module))
    assert {name for name in before if "sub" in name or "div" in name}
    assert [name for name in after if "sub" in name or "div" in name] == ["aten.sub.Tensor"]
    assert [node.args[1] for node in module.graph.nodes if node.target is graph.aten.sub.Tensor] == [graph.MIDDLE]
    same(module(torch.from_numpy(clips)), toy.module(torch.from_numpy(clips)), 2e-5)


class Scaled(nn.Module):
    """A scaling and a convolution; ``mean`` may differ by channel, ``pad`` may come in three ways."""

    def __init__(self, mean: list[float], pad: str) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1))
        self.conv = nn.Conv2d(3, 8, 3, padding=1 if pad == "own" else 0)
        self.pad = pad

    def forward(self, clips: Tensor) -> Tensor:
        x = clips[:, 0].permute(0, 3, 1, 2).flip(1).float().sub(self.mean).mul(0.02)
        if self.pad == "hand":
            x = F.pad(x, [1, 0, 2, 1])
        return self.conv(x).permute(0, 2, 3, 1)[:, None]


@pytest.mark.parametrize("pad", ["none", "own", "hand"])
@pytest.mark.parametrize("mean", [[128.0, 128.0, 128.0], [104.0, 117.0, 123.0]])
def test_scaling_is_folded_only_where_it_is_exact(mean: list[float], pad: str, draw: Any) -> None:
    torch.manual_seed(0)
    network, clips = Scaled(mean, pad).eval(), draw(1, 1, 16)
    module = graph.exported(network, clips)
    graph.fold_pads(module)
    graph.fold_scaling(module)
    with torch.no_grad():
        same(graph.done(module)(torch.from_numpy(clips)), network(torch.from_numpy(clips)))
    folded = not any("mul" in name for name in names(module))
    assert folded == (pad == "none" or len(set(mean)) == 1)


def test_rounded_weights_still_see_gray_as_zero(draw: Any) -> None:
    """The offset is taken from the weights as they will be, so only their own rounding is left."""
    torch.manual_seed(0)
    network = Scaled([104.0, 117.0, 123.0], "none").eval()
    gray = np.broadcast_to(np.array([123, 117, 104], np.uint8), (1, 1, 16, 16, 3)).copy()
    module = graph.exported(network, gray)
    graph.fold_scaling(module, torch.bfloat16)
    module = graph.done(module)
    weight, bias = next((w, b) for _, w, b in graph.convolutions(module))
    assert torch.equal(weight, weight.bfloat16().float())
    assert float((bias - network.conv.bias.detach()).abs().max()) < 2, "pixels less their middle leave little to add"
    with torch.no_grad():
        found = module(torch.from_numpy(gray))
    torch.testing.assert_close(found, network.conv.bias.expand_as(found), atol=1e-4, rtol=0)


def test_what_is_not_one_scaling_stays(draw: Any) -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, clips: Tensor) -> Tensor:
            x = clips[:, 0].permute(0, 3, 1, 2).float()
            return self.conv(x / 255 * x)[:, None]

    torch.manual_seed(0)
    network, clips = Odd().eval(), draw(1, 1, 16)
    module = graph.folded(network, clips, torch.bfloat16)
    with torch.no_grad():
        same(module(torch.from_numpy(clips)), network(torch.from_numpy(clips)))


class Gated(nn.Module):
    """Two products with ``x * sigmoid(1.702 x)`` between them, as in CLIP; ``shared``: the first has another use."""

    def __init__(self, shared: bool) -> None:
        super().__init__()
        self.up, self.down, self.shared = nn.Linear(3, 16), nn.Linear(16, 5), shared

    def forward(self, clips: Tensor) -> Tensor:
        x = self.up(clips.float() / 64)
        out = self.down(x * torch.sigmoid(1.702 * x))
        return out + x.mean() if self.shared else out


@pytest.mark.parametrize("shared", [False, True])
def test_a_gate_between_products_is_one_operation(shared: bool, draw: Any) -> None:
    clips, network = draw(2, 2), Gated(shared)
    module = graph.folded(network, clips)
    with torch.inference_mode():
        same(module(torch.from_numpy(clips)), network(torch.from_numpy(clips)))
    left = names(module)
    assert any("silu" in name for name in left) != shared
    assert any("sigmoid" in name for name in left) == shared
    assert len(module.state_dict()) == 4
