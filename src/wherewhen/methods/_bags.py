"""Loss terms over the scores of bags of lanes ``(B, T, P)``: smoothness, sparsity, counts of lanes."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor


def lane_count(held: Tensor) -> Tensor:
    """Number of nonempty lanes of each bag ``(B, T, P)``, at least 1: ``(B,)``."""
    return held.any(1).sum(1).clamp(min=1)


def unevenness(scores: Tensor, held: Tensor) -> Tensor:
    """Squared changes from step to step where both are held, summed in time and averaged over the lanes: ``(B,)``.

    >>> import torch
    >>> unevenness(torch.tensor([[[0.0], [0.5], [1.0]]]), torch.ones(1, 3, 1).bool()).tolist()
    [0.5]
    """
    both = held[:, 1:] & held[:, :-1]
    return (scores.diff(dim=1).square() * both).sum((1, 2)) / lane_count(held)


def root(values: Tensor) -> Tensor:
    """Square root with a finite slope at 0."""
    return (values + 1e-12).sqrt()


def counters_dropped(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of a state dict without the counters of batches that batch norm keeps and nothing uses."""
    return {name: value for name, value in tensors.items() if not name.endswith("num_batches_tracked")}
