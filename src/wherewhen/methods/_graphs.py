"""Graphs over the instances of a bag, by distance and by similarity, and convolutions on them."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class GraphConvolution(nn.Module):
    """``A X W`` for rows ``(R, N, C)`` and adjacency ``(R, N, N)``; no bias, the weight is (in, out)."""

    def __init__(self, size: int, out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(size, out))
        nn.init.uniform_(self.weight, -(out**-0.5), out**-0.5)

    def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:
        """Sums of the mapped features of each node's neighbors."""
        mapped: Tensor = adjacency @ (x @ self.weight)
        return mapped


def balanced(adjacency: Tensor) -> Tensor:
    """``D^-1/2 A D^-1/2`` with the sums of the rows as D, for ``(..., N, N)``; rows without neighbors stay zeros.

    >>> balanced(torch.ones(4, 4)).sum(-1).tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    sums = adjacency.sum(-1)
    root = torch.where(sums > 0, sums.clamp(min=1e-30).rsqrt(), 0.0)
    return root[..., None] * adjacency * root[..., None, :]


def similarity(nodes: Tensor, held: Tensor) -> Tensor:
    """``exp(g - max g)`` for the dot products g of each node ``(R, N, C)`` with all held ones; not symmetric."""
    products = (nodes @ nodes.transpose(1, 2)).masked_fill(~both(held), -torch.inf)
    highest = products.amax(-1, keepdim=True).nan_to_num(neginf=0.0)
    return torch.exp(products - highest)


def proximity(places: Tensor) -> Tensor:
    """``exp(-distance)`` ``(..., N, N)`` of places ``(..., N, A)``, in float64; distances along the axes add up."""
    return torch.exp(-(places[..., :, None, :] - places[..., None, :, :]).abs().sum(-1).double())


def both(held: Tensor) -> Tensor:
    """Pairs of nodes ``(R, N, N)`` that are both held ``(R, N)``."""
    return held[:, :, None] & held[:, None]
