"""Layers of published heads, as far as they let no bag see another."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class FixedNorm(nn.Module):
    """Batch norm of ``(L, C, T)`` with its running statistics as constants and its scale and shift learnt.

    Statistics of a batch would let bags see each other; those of a published checkpoint load under their own names.

    >>> FixedNorm(3)(torch.ones(1, 3, 2)).sum().item()  # with eps 1e-5
    5.99997...
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, size: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(size)), nn.Parameter(torch.zeros(size))
        self.register_buffer("running_mean", torch.zeros(size))
        self.register_buffer("running_var", torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalize each channel."""
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        return x * scale[:, None] + (self.bias - self.running_mean * scale)[:, None]


class ChannelNorm(nn.Module):
    """Layer norm over the channels of ``(L, C, T)``, each step for itself.

    >>> ChannelNorm(2)(torch.tensor([[[1.0], [3.0]]])).round().flatten().tolist()
    [-1.0, 1.0]
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(size)

    def forward(self, x: Tensor) -> Tensor:
        """Normalize each step."""
        normal: Tensor = self.norm(x.transpose(1, 2)).transpose(1, 2)
        return normal
