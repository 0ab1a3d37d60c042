"""Published networks: random weights for tests, and checkpoints with more parameters than are built."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import torch
from torch import Tensor, nn

COUNTER = "num_batches_tracked"  # of batch norms: only training reads it, and files older than it lack it


def seeded(module: nn.Module) -> nn.Module:
    """Noise that keeps its size from layer to layer (He et al. 2015, eq. 10), laid out channels last.

    Residual branches get a smaller gain than the shortcut of a residual network.
    """
    for name, part in module.named_modules():
        if isinstance(part, nn.Conv3d | nn.Linear):
            gain = 0.2 if name.endswith("conv_c") else 1.0
            nn.init.normal_(part.weight, std=gain * (2 / prod(part.weight.shape[1:])) ** 0.5)
            if part.bias is not None:
                nn.init.zeros_(part.bias)
    return module.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload, no-any-return]


def trimmed(tensors: Mapping[str, Tensor], built: nn.Module, whole: nn.Module) -> dict[str, Tensor]:
    """A whole network's checkpoint without the tensors beyond the part that was built.

    Names that the whole network doesn't have stay, so that a wrong file is rejected later.
    """
    built_tensors = built.state_dict()
    beyond = whole.state_dict().keys() - built_tensors.keys()
    remaining = {name: value for name, value in tensors.items() if name not in beyond}
    counters = {name: value for name, value in built_tensors.items() if name.rsplit(".", 1)[-1] == COUNTER}
    return counters | remaining
