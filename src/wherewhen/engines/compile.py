"""torch.compile with frozen weights: slow to start (it needs a C++ compiler), then about as fast as OpenVINO."""

from __future__ import annotations

import shutil
import warnings
from typing import ClassVar

import torch

from wherewhen.core.contracts import Engine
from wherewhen.core.errors import EngineError
from wherewhen.core.values import Features, Pixels
from wherewhen.engines._fast import channels_last, lowered
from wherewhen.engines._graph import folded
from wherewhen.runtime.tensors import called, shaped


class CompileEngine:
    """A network compiled by torch: uint8 ``(batch, T, H, W, 3)`` -> float32 ``(batch, t, h, w, D)``."""

    extra: ClassVar[str] = ""
    precisions: ClassVar[tuple[str, ...]] = ("fp32", "bf16")
    devices: ClassVar[tuple[str, ...]] = ("cpu", "cuda")

    def __init__(self, network: torch.nn.Module, batch: int, clips: Pixels, precision: str, device: str) -> None:
        self.version()
        self.device = device
        kind = torch.bfloat16 if precision == "bf16" else torch.float32
        example = shaped(clips, batch)
        module = channels_last(folded(network, example, kind))
        module = (lowered(module) if precision == "bf16" else module).to(device)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.module = torch.compile(module, dynamic=False, options={"freezing": True})
            self(example)

    @classmethod
    def version(cls) -> str:
        """Of torch; EngineError where there is no C++ compiler."""
        if not any(shutil.which(name) for name in ("g++", "c++", "clang++", "cl")):
            raise EngineError("engine compile needs a C++ compiler (g++ or clang++); install one or use engine torch")
        return str(torch.__version__)

    def __call__(self, clips: Pixels) -> Features:
        """Features of a batch of clips."""
        return called(self.module, clips, self.device)


PLUGIN: type[Engine] = CompileEngine
