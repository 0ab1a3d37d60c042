"""Layers of published networks in plain numpy, float64: a second way to compute what the package computes by torch.

Tests read the weights of a method and write the equations of its paper with them: ``from oracle import Layers``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from torch import nn

Array = NDArray[np.float64]


def drawn(module: nn.Module, seed: int = 0, size: float = 0.5) -> Any:
    """The module in float64, out of training, with all parameters drawn: no offset is 0 and no scale 1."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(size * torch.randn(parameter.shape, generator=generator))
    return module.double().eval()


class Layers:
    """The numbers of a module by name, and the usual layers with them; rows ``(T, C)``."""

    def __init__(self, module: nn.Module) -> None:
        self.numbers = {name: value.detach().double().numpy().copy() for name, value in module.state_dict().items()}

    def __getitem__(self, name: str) -> Array:
        return self.numbers[name]

    def linear(self, name: str, rows: Array) -> Array:
        """``x W' + b``, or ``x W'``."""
        return rows @ self[f"{name}.weight"].T + self.numbers.get(f"{name}.bias", 0.0)

    def norm(self, name: str, rows: Array) -> Array:
        """Layer norm over the channels of each row."""
        away = rows - rows.mean(1, keepdims=True)
        scaled = away / np.sqrt((away**2).mean(1, keepdims=True) + 1e-5)
        return scaled * self[f"{name}.weight"] + self[f"{name}.bias"]

    def batch_norm(self, name: str, rows: Array) -> Array:
        """Batch norm by its running statistics."""
        scaled = (rows - self[f"{name}.running_mean"]) / np.sqrt(self[f"{name}.running_var"] + 1e-5)
        return scaled * self[f"{name}.weight"] + self[f"{name}.bias"]

    def conv(self, name: str, rows: Array, dilation: int = 1) -> Array:
        """A convolution in time as long as its input; zeros are before the first and after the last row."""
        kernel = self[f"{name}.weight"]
        out = np.zeros((len(rows), len(kernel))) + self.numbers.get(f"{name}.bias", 0.0)
        for t in range(len(rows)):
            for tap in range(kernel.shape[2]):
                at = t + (tap - kernel.shape[2] // 2) * dilation
                if 0 <= at < len(rows):
                    out[t] += kernel[:, :, tap] @ rows[at]
        return out


def sigmoid(x: ArrayLike) -> Array:
    return 1 / (1 + np.exp(-np.asarray(x, np.float64)))


def relu(x: Array) -> Array:
    return np.maximum(x, 0)


def quick(x: Array) -> Array:
    """CLIP's GELU."""
    return x * sigmoid(1.702 * x)


def gelu(x: Array) -> Array:
    return x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2


def softmax(x: Array) -> Array:
    """Along the last axis."""
    raised = np.exp(x - x.max(-1, keepdims=True))
    return raised / raised.sum(-1, keepdims=True)


def unit(x: Array) -> Array:
    """Rows of length 1."""
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def bce(share: ArrayLike, label: float) -> float:
    """Cross-entropy of a share in (0, 1) and a label 0 or 1."""
    return float(-np.log(share if label else 1 - np.asarray(share)))


def best_mean(values: ArrayLike, top: int) -> float:
    """Mean of the n // top + 1 highest of n values."""
    ordered = np.sort(np.asarray(values, np.float64))[::-1]
    return float(ordered[: len(ordered) // top + 1].mean())
