"""Networks without memory or weights, to compare shapes before anything is allocated."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

_FILLS = frozenset((Tensor.normal_, Tensor.uniform_))


class _Unfilled(TorchFunctionMode):
    """Leaves out random numbers for tensors without memory: for these PyTorch would load its compiler, for seconds."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _FILLS and args[0].is_meta:
            return args[0]
        return func(*args, **(kwargs or {}))


@contextmanager
def shapes_only() -> Iterator[None]:
    """Within it, new tensors and networks have shapes, and neither memory nor values.

    >>> with shapes_only():
    ...     torch.nn.init.xavier_normal_(torch.empty(2**20, 2**20)).shape
    torch.Size([1048576, 1048576])
    """
    with torch.device("meta"), _Unfilled():
        yield
