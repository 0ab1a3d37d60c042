"""Networks as graphs for other programs: recorded, written as ONNX, OpenVINO IR or TorchScript, and run from there."""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wherewhen.core.errors import ConfigError, EngineError, first_line, unknown

if TYPE_CHECKING:
    import torch

Array = NDArray[Any]
Run = Callable[[Mapping[str, Array]], Array]
FORMATS = ("onnx", "openvino", "torchscript")
CODE = ("torchscript",)
"""Formats whose files hold code, which runs when they are opened."""
ENDINGS = {"onnx": (".onnx",), "openvino": (".xml", ".bin"), "torchscript": (".pt",)}
OPSET = 18  # of ONNX: what programs from 2023 on read


@dataclass(frozen=True, eq=False)
class Graph:
    """A network with one output in a format: content of its files by their ending, and the names of its inputs.

    ``version``: of the library that wrote it.
    """

    format: str
    files: Mapping[str, bytes]
    inputs: tuple[str, ...]
    version: str = ""

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise ConfigError(unknown("format", self.format[:80], FORMATS))
        if tuple(self.files) != ENDINGS[self.format]:
            raise ConfigError(f"{self.format}: expected files {ENDINGS[self.format]}, got {tuple(self.files)}")


def check(form: str) -> None:
    """ConfigError for an unknown format, EngineError where the libraries to write and run it are missing."""
    if form not in FORMATS:
        raise ConfigError(unknown("format", form[:80], FORMATS))
    if form != "torchscript":
        _library("onnx", "onnx")
        _library("onnxruntime" if form == "onnx" else "openvino", form)


def written(module: torch.nn.Module, inputs: Mapping[str, torch.Tensor], axes: Mapping[str, int], form: str) -> Graph:
    """A module as a graph, recorded on these inputs.

    ``axes``: how many of the first axes of each input have any size. Branches on values, and sizes that the module
    reads as plain numbers, become those of the inputs: compare results at other sizes. EngineError where the module
    has an operation that the format lacks.
    """
    import torch

    check(form)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # recording warns of each branch, and that newer formats exist
            if form == "torchscript":
                return Graph(form, {".pt": _script(module, inputs)}, tuple(inputs), str(torch.__version__))
            data = _onnx(module, inputs, axes)
    except ConfigError:
        raise
    except Exception as error:  # the libraries have errors of many kinds
        raise EngineError(f"{type(module).__name__} can't be written as {form} ({first_line(error)[:300]})") from None
    if form == "onnx":
        return Graph(form, {".onnx": data}, tuple(inputs), str(_library("onnx", "onnx").__version__))
    openvino = _library("openvino", "openvino")
    return Graph(form, _ir(openvino, data), tuple(inputs), str(openvino.__version__))


def _script(module: torch.nn.Module, inputs: Mapping[str, torch.Tensor]) -> bytes:
    import torch

    file = io.BytesIO()
    recorded = torch.jit.trace(module, tuple(inputs.values()), check_trace=False)  # type: ignore[no-untyped-call]
    torch.jit.save(recorded, file)
    return file.getvalue()


def _onnx(module: torch.nn.Module, inputs: Mapping[str, torch.Tensor], axes: Mapping[str, int]) -> bytes:
    import torch

    file, letters = io.BytesIO(), {name: {k: f"{name}_{k}" for k in range(count)} for name, count in axes.items()}
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        torch.onnx.export(
            module, tuple(inputs.values()), file,  # type: ignore[arg-type]
            dynamo=False, input_names=list(inputs), output_names=["output"],
            dynamic_axes=letters, opset_version=OPSET,
        )  # fmt: skip
    return file.getvalue()


def _ir(openvino: Any, data: bytes) -> dict[str, bytes]:
    with TemporaryDirectory() as folder:
        xml, weights = Path(folder, "network.xml"), Path(folder, "network.bin")
        openvino.serialize(openvino.Core().read_model(data, b""), str(xml), str(weights))
        return {".xml": xml.read_bytes(), ".bin": weights.read_bytes()}


def opened(graph: Graph, *, trust: bool = False) -> Run:
    """A function that runs a graph on the processor in fp32: named arrays to the output.

    Inputs that the graph does not use are ignored. ConfigError for a format with code without ``trust``, EngineError
    where the library is missing or can't read the graph.
    """
    if graph.format in CODE and not trust:
        raise ConfigError(f"{graph.format} files hold code that runs when they are opened, which needs trust")
    openers = {"onnx": _open_onnx, "openvino": _open_ir, "torchscript": _open_script}
    library = {"onnx": "onnxruntime", "openvino": "openvino", "torchscript": "torch"}[graph.format]
    module = _library(library, graph.format)
    try:
        return openers[graph.format](module, graph)
    except Exception as error:  # the libraries have errors of many kinds
        raise EngineError(
            f"{library} {module.__version__} can't read this network ({first_line(error)[:300]})"
        ) from None


def runtime_version(form: str) -> str:
    """Name and version of the library that runs a format."""
    name = {"onnx": "onnxruntime", "openvino": "openvino", "torchscript": "torch"}[form]
    return f"{name} {_library(name, form).__version__}"


def _open_onnx(runtime: Any, graph: Graph) -> Run:
    import torch

    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    session = runtime.InferenceSession(graph.files[".onnx"], options, providers=["CPUExecutionProvider"])
    names = [port.name for port in session.get_inputs()]
    return lambda inputs: np.asarray(session.run(None, {name: inputs[name] for name in names})[0])


def _open_ir(openvino: Any, graph: Graph) -> Run:
    import torch

    core = openvino.Core()
    model = core.read_model(graph.files[".xml"], graph.files[".bin"])
    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    compiled = core.compile_model(model, "CPU", {**options, "PERFORMANCE_HINT": "LATENCY"})
    names, lock = [port.get_any_name() for port in compiled.inputs], threading.Lock()

    def run(inputs: Mapping[str, Array]) -> Array:
        with lock:  # a compiled model has one set of buffers
            return np.array(compiled({name: inputs[name] for name in names})[0])

    return run


def _open_script(torch: Any, graph: Graph) -> Run:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch prefers other formats
        module = torch.jit.load(io.BytesIO(graph.files[".pt"]), map_location="cpu").eval()

    def run(inputs: Mapping[str, Array]) -> Array:
        with torch.inference_mode():
            output: Array = module(*(torch.from_numpy(inputs[name]) for name in graph.inputs)).numpy()
        return output

    return run


def _library(name: str, extra: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        raise EngineError(f'format {extra} needs {name}: pip install "wherewhen[{extra}]"') from None
