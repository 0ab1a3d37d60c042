"""Instances of several bags as the padded tensors that methods take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from wherewhen.core.contracts import View
from wherewhen.core.values import Instances

if TYPE_CHECKING:
    import torch


def view(sets: list[Instances], device: str | torch.device = "cpu") -> View:
    """Instances of several bags as one padded batch of tensors."""
    import torch

    longest = max(len(s.features) for s in sets)

    def padded(arrays: list[Any], dtype: torch.dtype) -> torch.Tensor:
        batch = torch.zeros((len(arrays), longest, *arrays[0].shape[1:]), dtype=dtype)
        for row, array in zip(batch, arrays, strict=True):
            row[: len(array)] = torch.from_numpy(np.array(array))
        return batch.to(device)

    return View(
        padded([s.features for s in sets], torch.float32),
        padded([s.extents for s in sets], torch.float32),
        padded([s.track for s in sets], torch.int64),
        padded([np.ones(len(s.features), bool) for s in sets], torch.bool),
        tuple(s.shape for s in sets),
    )
