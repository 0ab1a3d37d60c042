"""ONNX Runtime: a network in the exchange format that many programs read; fp32 on processors."""

from __future__ import annotations

import io
import logging
import warnings
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import numpy as np
import torch

from wherewhen.core.contracts import Engine
from wherewhen.core.store import Spare, atomic, cache_folder, fingerprint
from wherewhen.core.values import Features, Pixels
from wherewhen.engines._extra import check, needed
from wherewhen.engines._graph import folded
from wherewhen.runtime.tensors import shaped


class ONNXEngine:
    """A network run by ONNX Runtime: uint8 ``(batch, T, H, W, 3)`` -> float32 ``(batch, t, h, w, D)``.

    The exported file stays in the cache, for other programs as well.
    """

    extra: ClassVar[str] = "onnx"
    precisions: ClassVar[tuple[str, ...]] = ("fp32",)
    devices: ClassVar[tuple[str, ...]] = ("cpu",)

    def __init__(self, network: torch.nn.Module, batch: int, clips: Pixels, precision: str, device: str) -> None:
        runtime = needed("onnxruntime", self.extra)
        self.file = written(network, shaped(clips, batch))
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        self.session = runtime.InferenceSession(self.file, options, providers=["CPUExecutionProvider"])
        self.input = self.session.get_inputs()[0].name

    @classmethod
    def version(cls) -> str:
        """Of ONNX Runtime."""
        check("onnx", cls.extra)
        check("onnxscript", cls.extra)
        return str(needed("onnxruntime", cls.extra).__version__)

    def __call__(self, clips: Pixels) -> Features:
        """Features of a batch of clips."""
        return np.asarray(self.session.run(None, {self.input: np.ascontiguousarray(clips)})[0], np.float32)


def written(network: torch.nn.Module, clips: Pixels) -> Path | bytes:
    """The network as an ONNX file in the cache, exported unless it exists; as bytes without a writable cache."""
    module = folded(network, clips)
    sums = {name: [float(t.double().sum()), float(t.double().norm())] for name, t in module.state_dict().items()}
    key = fingerprint([module.code, sums, clips.shape, torch.__version__])
    path = cache_folder() / "engines" / f"{key}.onnx"
    if path.exists():
        return path
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with Spare(path), atomic(path) as temporary:
        _export(module, clips, temporary)
    if path.exists():
        return path
    with TemporaryDirectory() as folder:
        _export(module, clips, Path(folder, "network.onnx"))
        return Path(folder, "network.onnx").read_bytes()


def _export(module: torch.nn.Module, clips: Pixels, path: Path) -> None:
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        example = torch.from_numpy(clips.copy())
        torch.onnx.export(module, (example,), path, dynamo=True, external_data=False, verbose=False)


PLUGIN: type[Engine] = ONNXEngine
