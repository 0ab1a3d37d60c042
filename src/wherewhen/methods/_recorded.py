"""Operations that also work while a method is recorded as a graph for other programs, where sizes are symbols.

A recorded view is one bag without padding. What is chosen by values is computed for all, and masked.
"""

from __future__ import annotations

import torch
from torch import Tensor

from wherewhen.core.errors import ConfigError


def recorded() -> bool:
    """Whether the code is being recorded as a graph, see `wherewhen.runtime.graphs`."""
    return torch.compiler.is_exporting() or torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]


def unrecordable(method: str, setting: str, why: str) -> None:
    """ConfigError while a method is recorded with a setting that a graph can't have; ``why``: a clause."""
    if recorded():
        raise ConfigError(f"{method}: with {setting} it can't be exported: {why}; it runs in Python alone")


def picked(values: Tensor, mask: Tensor) -> Tensor:
    """The rows ``(R, ...)`` of values ``(A, ..., C)`` where a mask ``(A, ...)`` is true; recorded: all rows.

    Where the mask is true everywhere, they are not copied.

    >>> picked(torch.tensor([[1.0], [2.0]]), torch.tensor([False, True])).tolist()
    [[2.0]]
    """
    return values.flatten(0, mask.ndim - 1) if recorded() or bool(mask.all()) else values[mask]


def put_back(rows: Tensor, mask: Tensor) -> Tensor:
    """Values with the rows of `picked` at their places, and zeros elsewhere.

    >>> put_back(torch.tensor([[2.0]]), torch.tensor([False, True])).tolist()
    [[0.0], [2.0]]
    """
    shape = (*mask.shape, *rows.shape[1:])
    if not recorded():
        return rows.reshape(shape) if len(rows) == mask.numel() else rows.new_zeros(shape).index_put((mask,), rows)
    return torch.where(mask.reshape(*mask.shape, *(1,) * (rows.ndim - 1)), rows.reshape(shape), rows.new_zeros(()))
