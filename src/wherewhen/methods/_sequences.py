"""Lanes of cells as sequences for temporal networks, and pooling of the highest scores of a bag."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from wherewhen.methods._grid import Lanes
from wherewhen.methods._recorded import picked, put_back, recorded

ROOM = 2**25  # numbers that one map of attention may hold at a time, without gradients


@dataclass(slots=True)
class Sequences:
    """The L nonempty lanes of a batch, bag by bag: ``features`` ``(L, T, D)`` and ``held`` ``(L, T)``.

    ``used`` ``(B, P)``: the nonempty lanes. Cells that are not held have zeros as features.
    """

    features: Tensor
    held: Tensor
    used: Tensor

    @property
    def bag(self) -> Tensor:
        """The bag of each lane ``(L,)``."""
        if recorded():
            return torch.zeros_like(self.used[0], dtype=torch.long)
        return self.used.nonzero()[:, 0]

    def flat(self, values: Tensor) -> Tensor:
        """Values ``(L, T)`` as one row per bag ``(B, T * P)``, 0 for empty lanes."""
        return put_back(values, self.used).transpose(1, 2).reshape(self.used.shape[0], -1)

    def rows(self, values: Tensor) -> Tensor:
        """Values ``(B, T * P)`` as one row per lane ``(L, T)``; undoes `flat`."""
        batch, cells = self.used.shape
        return picked(values.reshape(batch, -1, cells).transpose(1, 2), self.used)

    def crop_sums(self, weights: Tensor, values: Tensor) -> Tensor:
        """Weighted sums ``(B, P, C)`` of values ``(L, T, C)`` in each lane, weights ``(B, T)`` of time steps."""
        each = torch.einsum("lt,ltc->lc", weights[self.bag], values)
        return put_back(each, self.used)

    def sums(self, weights: Tensor, values: Tensor) -> Tensor:
        """Weighted sums ``(B, C)`` of values ``(L, T, C)``, weights ``(B, T * P)``."""
        each = torch.einsum("lt,ltc->lc", self.rows(weights), values)
        return each.new_zeros(len(self.used), values.shape[-1]).index_add(0, self.bag, each)


def over_crops(values: Tensor, held: Tensor) -> Tensor:
    """Means ``(B, T)`` over the held crops of values ``(B, T * P)``, whose columns are crops; 0 where none is held.

    >>> over_crops(torch.tensor([[1.0, 3.0, 5.0, 0.0]]), torch.tensor([[[True, True], [True, False]]])).tolist()
    [[2.0, 5.0]]
    """
    present = held.to(values.dtype)
    means: Tensor = (values.reshape(held.shape) * present).sum(-1) / present.sum(-1).clamp(min=1)
    return means


def sequences(whole: Lanes) -> Sequences:
    """The nonempty lanes.

    >>> held = torch.tensor([[[True, False], [True, False]]])
    >>> lanes = Lanes(torch.ones(1, 2, 2, 3) * held[..., None], held, torch.ones(1, 2).bool(), (1, 2))
    >>> sequences(lanes).features.shape
    torch.Size([1, 2, 3])
    """
    used = whole.held.any(1)
    features, held = (picked(values.transpose(1, 2), used) for values in (whole.features, whole.held))
    return Sequences(features, held, used)


def picks(values: Tensor, held: Tensor, counts: Tensor) -> Tensor:
    """Weights ``(B, M)``, 1 / k on the k highest held values of each row and 0 elsewhere; k = ``counts`` ``(B,)``.

    A weighted sum is then the mean over the picked ones, of these values or of others at the same places.

    >>> picks(torch.tensor([[3.0, 9.0, 1.0, 2.0]]), torch.tensor([[1, 0, 1, 1]]).bool(), torch.tensor([2])).tolist()
    [[0.5, 0.0, 0.0, 0.5]]
    """
    counts = torch.minimum(counts, held.sum(1))
    if recorded():
        rank = values.masked_fill(~held, -torch.inf).argsort(1, descending=True).argsort(1)
        return (rank < counts[:, None]) / counts.clamp(min=1).to(values.dtype)[:, None]
    most = max(1, int(counts.max())) if len(counts) else 1
    best = values.detach().masked_fill(~held, -torch.inf).topk(min(most, values.shape[1]), dim=1).indices
    share = 1 / counts.clamp(min=1).to(values.dtype)
    rank = torch.arange(best.shape[1], device=counts.device)
    weights = (rank < counts[:, None]) * share[:, None]
    return torch.zeros_like(values).scatter(1, best, weights)


def queries(length: int, lanes: int) -> Iterator[slice]:
    """Steps of a sequence in parts, so that their map of attention ``(lanes, part, length)`` stays small.

    >>> with torch.no_grad():
    ...     [part.stop for part in queries(10, 2**25 // 40)]
    [4, 8, 10]
    """
    if recorded():
        return iter([slice(None)])
    size = length if torch.is_grad_enabled() else max(1, ROOM // max(1, lanes * length))
    return (slice(start, min(start + size, length)) for start in range(0, length, max(1, size)))


class Locked(nn.Module):
    """Dropout of whole channels of a lane: one draw for all its steps, far cheaper than one per number.

    ``(L, T, C)`` -> ``(L, T, C)``; a lane's draw follows from the seed and the lanes before it. ``locked``: false for
    one draw for each number.
    """

    def __init__(self, share: float, locked: bool = True) -> None:
        super().__init__()
        self.share, self.locked = share, locked

    def forward(self, values: Tensor) -> Tensor:
        """Values, some channels 0 and the others larger; as they are outside of training."""
        if not self.training or not self.share:
            return values
        if not self.locked:
            return nn.functional.dropout(values, self.share)
        drawn = torch.rand(len(values), 1, values.shape[-1], device=values.device) >= self.share
        return values * (drawn / (1 - self.share))


def mean_of(values: Tensor, chosen: Tensor) -> Tensor:
    """Mean of ``values`` ``(B,)`` where ``chosen``, 0 with a gradient where none is."""
    return (values * chosen).sum() / chosen.sum().clamp(min=1)


def renamed(tensors: Mapping[str, Tensor], names: Mapping[str, str]) -> dict[str, Tensor]:
    """Tensors under new names: prefixes in ``names`` are replaced by their values, other names stay.

    >>> renamed({"fc.0.bias": torch.zeros(1)}, {"fc.0.": "head."})
    {'head.bias': tensor([0.])}
    """
    starts = {name: next((old for old in names if name.startswith(old)), "") for name in tensors}
    return {names.get(start, "") + name[len(start) :]: tensors[name] for name, start in starts.items()}
