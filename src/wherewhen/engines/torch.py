"""Plain torch, sped up: constants folded, channels last, weights in the processor's own order; on a GPU as well."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch.fx import GraphModule

from wherewhen.core.contracts import Engine
from wherewhen.core.values import Features, Pixels
from wherewhen.engines._fast import channels_last, lowered, quicken
from wherewhen.engines._graph import folded
from wherewhen.runtime.tensors import called, shaped

KINDS = {"fp32": torch.float32, "bf16": torch.bfloat16}


class TorchEngine:
    """Torch without its overheads: uint8 ``(batch, T, H, W, 3)`` -> float32 ``(batch, t, h, w, D)``."""

    extra: ClassVar[str] = ""
    precisions: ClassVar[tuple[str, ...]] = ("fp32", "bf16")
    devices: ClassVar[tuple[str, ...]] = ("cpu", "cuda")

    def __init__(self, network: torch.nn.Module, batch: int, clips: Pixels, precision: str, device: str) -> None:
        self.device = device
        self.module = prepared(network, shaped(clips, batch), KINDS[precision], quick=device == "cpu").to(device)

    @classmethod
    def version(cls) -> str:
        """Of torch."""
        return str(torch.__version__)

    def __call__(self, clips: Pixels) -> Features:
        """Features of a batch of clips."""
        return called(self.module, clips, self.device)


def prepared(network: torch.nn.Module, clips: Pixels, kind: torch.dtype, quick: bool) -> GraphModule:
    """The network's graph, folded, with the faster layers of processors where ``quick``, in the type ``kind``."""
    module = folded(network, clips, kind)
    module = quicken(module, kind) if quick else channels_last(module)
    return lowered(module) if kind == torch.bfloat16 else module


PLUGIN: type[Engine] = TorchEngine
