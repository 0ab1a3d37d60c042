"""Layers of published heads, without interaction between bags."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from wherewhen.methods._recorded import recorded

START, LONG = 0.1, 4.0  # initial weights of the direction of features and of their length
LEAST = 0.1  # of the largest deviation: a number that varies less is not raised beyond that
LIMIT = 10.0  # deviations


class FixedNorm(nn.Module):
    """Batch norm of ``(L, C, T)`` with its running statistics as constants and learned scale and shift.

    Batch statistics would make scores depend on other bags; those of published checkpoints load under their names.

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


class Bottleneck(nn.Module):
    """Two linear layers whose output is added to their input."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.wide, self.narrow = nn.Linear(size, 4 * size), nn.Linear(4 * size, size)

    def forward(self, values: Tensor) -> Tensor:
        """Values ``(..., D)``."""
        result: Tensor = values + self.narrow(quick(self.wide(values)))
        return result


def quick(values: Tensor) -> Tensor:
    """CLIP's GELU: ``x sigmoid(1.702 x)``."""
    return values * torch.sigmoid(1.702 * values)


@torch.no_grad()
def start_from_length(judge: Bottleneck, classifier: nn.Linear) -> None:
    """Initialize scores of ``classifier(judge(x))`` with the length of x: unusual standardized features are long.

    Otherwise they start with a random direction of features, which few videos may not correct.
    """
    classifier.weight *= START
    row = classifier.weight[0] / classifier.weight.square().sum()
    inner = judge.narrow.in_features
    judge.narrow.weight.copy_(LONG / inner * row[:, None].expand(-1, inner))


class Usual(nn.Module):
    """Features as deviations from those of normal videos, number by number, and back; unchanged before `learn`.

    >>> usual = Usual(2)
    >>> usual.learn([torch.tensor([[1.0, 5.0], [3.0, 9.0]])])
    >>> usual(torch.tensor([[2.0, 9.0]])).tolist()
    [[0.0, 1.0]]
    """

    center: Tensor
    spread: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("center", torch.zeros(size))
        self.register_buffer("spread", torch.ones(size))

    def forward(self, values: Tensor) -> Tensor:
        """Values ``(..., D)`` in deviations, within 10."""
        deviations = ((values - self.center) / self.spread).clamp(-LIMIT, LIMIT)
        learned = (self.spread != 1).any() | self.center.any()
        if recorded():
            return torch.where(learned, deviations, values)
        return deviations if learned else values

    def back(self, values: Tensor) -> Tensor:
        """Deviations as features again."""
        return values * self.spread + self.center

    def learn(self, parts: Iterable[Tensor]) -> None:
        """Mean and deviation of rows ``(N, D)``, part by part; no effect without rows."""
        count = 0
        total, squares = (torch.zeros_like(self.center, dtype=torch.float64) for _ in range(2))
        for rows in parts:
            count += len(rows)
            total += rows.double().sum(0)
            squares += rows.double().square().sum(0)
        if count > 1:
            spread = (squares / count - (total / count).square()).clamp(min=0).sqrt()
            self.center.copy_(total / count)
            self.spread.copy_(spread.clamp(min=max(LEAST * float(spread.max()), 1e-6)))
