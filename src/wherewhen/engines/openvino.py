"""OpenVINO: fast on most processors; fp32, bf16 where supported, int8 calibrated on the user's clips."""

from __future__ import annotations

import io
import logging
import threading
import warnings
from contextlib import redirect_stdout
from typing import Any, ClassVar

import numpy as np
import torch

from wherewhen.core.contracts import Engine
from wherewhen.core.errors import EngineError
from wherewhen.core.values import Features, Pixels
from wherewhen.engines._extra import needed
from wherewhen.engines._fast import blocked
from wherewhen.engines._graph import folded
from wherewhen.runtime.devices import has_tiles
from wherewhen.runtime.tensors import shaped

HINTS = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}


class OpenVINOEngine:
    """A network compiled by OpenVINO: uint8 ``(batch, T, H, W, 3)`` -> float32 ``(batch, t, h, w, D)``.

    The precision is always set: the default of OpenVINO depends on the processor.
    """

    extra: ClassVar[str] = "openvino"
    precisions: ClassVar[tuple[str, ...]] = ("fp32", "bf16", "int8")
    devices: ClassVar[tuple[str, ...]] = ("cpu",)

    def __init__(self, network: torch.nn.Module, batch: int, clips: Pixels, precision: str, device: str) -> None:
        openvino = needed("openvino", self.extra)
        core = openvino.Core()
        capabilities = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if precision == "bf16" and "BF16" not in capabilities:
            raise EngineError("engine openvino: this processor has no bf16; use precision fp32")
        example = shaped(clips, batch)
        in_tiles = precision == "bf16" and has_tiles()
        module = blocked(folded(network, example, torch.bfloat16)) if in_tiles else network
        model = converted(openvino, module, example)
        if precision == "int8":
            model = quantized(model, [shaped(clips[k : k + 1], batch) for k in range(len(clips))])
        options = {
            "INFERENCE_PRECISION_HINT": HINTS[precision],
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "PERFORMANCE_HINT": "LATENCY",
        }
        self.model = core.compile_model(model, "CPU", options)
        self.lock = threading.Lock()  # a compiled model has one set of buffers

    @classmethod
    def version(cls) -> str:
        """Of OpenVINO."""
        return str(needed("openvino", cls.extra).__version__)

    def __call__(self, clips: Pixels) -> Features:
        """Features of a batch of clips."""
        with self.lock:
            return np.array(self.model(np.ascontiguousarray(clips))[0], np.float32)


def converted(openvino: Any, network: torch.nn.Module, clips: Pixels) -> Any:
    """The network as OpenVINO's own graph."""
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(network, (torch.from_numpy(clips.copy()),), strict=False)
        return openvino.convert_model(program)


def quantized(model: Any, batches: list[Pixels]) -> Any:
    """The graph in int8, its ranges taken from real clips."""
    nncf = needed("nncf", "openvino")
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.getLogger("nncf").setLevel(logging.ERROR)  # its own switch also mutes other loggers
        attends = any(op.get_type_name() == "ScaledDotProductAttention" for op in model.get_ops())
        return nncf.quantize(
            model,
            nncf.Dataset(batches),
            subset_size=len(batches),
            preset=nncf.QuantizationPreset.MIXED,  # activations that go below zero keep all their steps
            model_type=nncf.ModelType.TRANSFORMER if attends else None,
        )


PLUGIN: type[Engine] = OpenVINOEngine
