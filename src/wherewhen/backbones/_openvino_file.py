"""Networks in TensorFlow Lite and OpenVINO IR files, run by OpenVINO: any operation's output as the map."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wherewhen.backbones._states import Port, States, Stream, paired, zeros
from wherewhen.core.errors import ConfigError, unknown
from wherewhen.runtime.network_files import first_line, ir_weights

log = logging.getLogger("wherewhen")

TFLITE = ".tflite"
INPUTS = ("BHWC", "BCHW", "BTHWC", "BCTHW", "BTCHW")
MOVES = ("Convert", "Transpose", "Reshape", "Squeeze", "Unsqueeze")  # operations that keep values
KINDS = {"u8": np.uint8, "i8": np.int8, "f32": np.float32, "f16": np.float16}

Linear = tuple[float, float]  # scale and offset
Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]


@dataclass(frozen=True)
class Network:
    """A compiled network: its input and output layouts, and its features of pixel values.

    ``shape``: of the input, 0 where it is free. ``pixels``: scale and offset from pixels in [0, 255] to input values,
    by the file; None where it states none. ``integers``: whether the input takes whole numbers. ``stream``: how it runs
    where it has states.
    """

    input: str
    output: str
    shape: tuple[int, ...]
    pixels: Linear | None
    integers: bool
    run: Run
    stream: Stream | None = None


def opened(path: Path, operation: str, layouts: tuple[str, str], states: Sequence[str] = ()) -> Network:
    """The network in a file up to ``operation`` (empty: the last map of rows and columns, which is logged).

    ``layouts`` of input and output: ``auto`` or letters. ``states``: see `_states.paired`. ConfigError for a damaged
    file, an unknown operation, or without OpenVINO.
    """
    try:
        openvino = import_module("openvino")
        frontends = import_module("openvino.frontend")
    except ImportError:
        raise ConfigError(
            f'file: {path.suffix} files need OpenVINO: pip install "wherewhen[openvino]"; it is missing here'
        ) from None
    try:
        files = [str(path)] if path.suffix.lower() == TFLITE else [str(path), str(ir_weights(path, "file"))]
        whole = openvino.Core().read_model(*files)
        if len(whole.inputs) > 1 or states:
            return _streaming(openvino, whole, path, operation, layouts, states)
        if path.suffix.lower() == TFLITE:
            model, name = _tflite(frontends.FrontEndManager().load_by_framework("tflite"), path, operation)
        else:
            model, name = _ir(openvino, whole, path, operation)
        return _network(openvino, model, path, name, layouts)
    except ConfigError:
        raise
    except Exception as error:  # the library has errors of many kinds
        kind = "TensorFlow Lite" if path.suffix.lower() == TFLITE else "OpenVINO IR"
        raise ConfigError(f"file: {path} can't be opened as {kind} ({first_line(error)})") from None


def _tflite(frontend: Any, path: Path, operation: str) -> tuple[Any, str]:
    """The model up to a tensor; the converted graph loses names, so they are read before the conversion."""
    graph = frontend.load(str(path))
    names = [next(iter(sorted(node.output(0).get_names())), "") for node in _computed(frontend.decode(graph))]
    places = {name: graph.get_place_by_tensor_name(name) for name in names if name}
    shapes = {name: graph.get_partial_shape(place) for name, place in places.items() if place}
    short = [name.split(";")[0] for name in shapes]  # fused operations have all their names
    by_name = {s if short.count(s) == 1 else full: full for s, full in zip(short, shapes, strict=True)}
    chosen = _choice(path, operation, {name: (_sizes(shapes[full]), (1, -1)) for name, full in by_name.items()})
    graph.override_all_outputs([places[by_name.get(chosen, chosen)]])
    return frontend.convert(graph), chosen


def _ir(openvino: Any, model: Any, path: Path, operation: str) -> tuple[Any, str]:
    nodes = {node.get_friendly_name(): node for node in _computed(model)}
    chosen = _choice(
        path, operation, {name: (_sizes(node.output(0).get_partial_shape()), (2, None)) for name, node in nodes.items()}
    )
    return openvino.Model([nodes[chosen].output(0)], model.get_parameters(), "features"), chosen


def _computed(model: Any) -> list[Any]:
    """The operations that depend on the input, in order."""
    reached = {node.get_friendly_name() for node in model.get_parameters()}
    nodes = []
    for node in model.get_ordered_ops():
        sources = {i.get_source_output().get_node().get_friendly_name() for i in node.inputs()}
        if sources & reached and node.get_type_name() != "Result":
            reached.add(node.get_friendly_name())
            nodes.append(node)
    return nodes


def _sizes(shape: Any) -> tuple[int, ...]:
    """The sizes of a shape; 0 where it is dynamic, and no sizes for an unknown number of axes."""
    if shape.rank.is_dynamic:
        return ()
    return tuple(0 if size.is_dynamic else int(size.get_length()) for size in shape)


def _choice(path: Path, operation: str, offered: dict[str, tuple[tuple[int, ...], tuple[int, int | None]]]) -> str:
    """The operation by name, or the last map of rows and columns; ``offered``: sizes, and which axes are places."""
    if operation:
        if operation not in offered:
            raise ConfigError(f"file: {path}: {unknown('operation', operation, offered)}")
        return operation
    maps = [
        name
        for name, (sizes, (first, end)) in offered.items()
        if len(sizes) in (4, 5) and 1 not in sizes[first:end][-2:]
    ]
    if not maps:
        raise ConfigError(
            f"file: {path} has no map of rows and columns; choose an output: --file.operation NAME, "
            f"one of {', '.join(list(offered)[-10:])}"
        )
    sizes = " x ".join(str(size) if size else "?" for size in offered[maps[-1]][0])
    log.info("file: features of %s are the map %s (%s); another one: --file.operation NAME", path.name, maps[-1], sizes)
    return maps[-1]


def _network(
    openvino: Any, model: Any, path: Path, name: str, layouts: tuple[str, str], run: Run | None = None
) -> Network:
    if not model.inputs:
        raise ConfigError(f"file: {path}: expected an input; it has none")
    shape, kind = _sizes(model.input(0).get_partial_shape()), _pixel_kind(path, model.input(0))
    layout, result = layouts
    layout = _input_layout(path, shape) if layout == "auto" else layout
    rank = len(_sizes(model.output(0).get_partial_shape()))
    channels_last = path.suffix.lower() == TFLITE
    by_rank = {2: "BD", 3: "BTD", 4: "BHWC" if channels_last else "BCHW", 5: "BTHWC" if channels_last else "BCTHW"}
    if result == "auto":
        if rank not in by_rank:
            raise ConfigError(f"file: {path}: the operation {name} has {rank} axes, expected 2 to 5; choose another")
        result = by_rank[rank]
    run = run or _runner(openvino, model, path, shape, KINDS[kind])
    return Network(layout, result, shape, _pixels(model, kind), kind in ("u8", "i8"), run)


def _pixel_kind(path: Path, port: Any) -> str:
    kind = _kind(port)
    if kind not in KINDS:
        raise ConfigError(f"file: {path}: expected an input of {', '.join(KINDS)}; it takes {kind}")
    return kind


def _input_layout(path: Path, shape: tuple[int, ...]) -> str:
    """The layout whose channel axis has size 3."""
    layouts = [layout for layout in INPUTS if len(layout) == len(shape) and shape[layout.index("C")] == 3]
    if len(layouts) != 1:
        raise ConfigError(
            f"file: {path} takes {list(shape)}; its layout can't be derived: --file.input, one of {', '.join(INPUTS)}"
        )
    return layouts[0]


def _pixels(model: Any, kind: str) -> Linear | None:
    """Scale and offset from pixels to input values: by an integer type, or the range that a float is quantized in."""
    if kind in ("u8", "i8"):
        return (1.0, 0.0 if kind == "u8" else -128.0)
    output = model.input(0)
    while len(targets := list(output.get_target_inputs())) == 1:
        node = targets[0].get_node()
        if node.get_type_name() == "FakeQuantize":
            low, high = _ranges(node)[:2]
            return (high - low) / 255, low
        if node.get_type_name() not in MOVES:
            return None
        output = node.output(0)
    return None


def _ranges(node: Any) -> tuple[float, float, float, float]:
    """Lowest and highest input and output of a quantization."""
    low, high, start, end = (
        float(i.get_source_output().get_node().get_data().reshape(-1)[0]) for i in node.inputs()[1:5]
    )
    return low, high, start, end


def _real(model: Any) -> Linear:
    """Scale and offset from the integers of a quantized output to the numbers that they stand for."""
    node = model.output(0).get_node().input(0).get_source_output().get_node()
    if model.output(0).get_element_type().is_real():
        return 1.0, 0.0
    while node.get_type_name() in MOVES:
        node = node.input(0).get_source_output().get_node()
    if node.get_type_name() != "FakeQuantize":
        return 1.0, 0.0
    low, high, start, end = _ranges(node)
    scale = (high - low) / ((end - start) or 1.0)
    return scale, low - start * scale


def _streaming(
    openvino: Any, model: Any, path: Path, operation: str, layouts: tuple[str, str], settings: Sequence[str]
) -> Network:
    """The network of a model with states: one of its other outputs, or an operation of IR."""
    ports = {_name(port, port.get_node()): port for port in model.inputs}
    sources = {_name(port, port.get_node().input(0).get_source_output().get_node()): port for port in model.outputs}
    image, pairs = paired(path, list(ports), list(sources), settings)
    results = {name: port.get_node().input(0).get_source_output() for name, port in sources.items()}
    features = {name: result for name, result in results.items() if name not in pairs.values()}
    computed = {node.get_friendly_name(): node.output(0) for node in _computed(model)}
    if operation and operation not in (offered := computed | features):
        raise ConfigError(f"file: {path}: {unknown('operation', operation, offered)}")
    if not operation and len(features) != 1:
        raise ConfigError(
            f"file: {path} has {len(features)} outputs that are no states; choose one: --file.operation NAME, "
            f"one of {', '.join(features or computed)}"
        )
    name = operation or next(iter(features))
    outputs = [(computed | features)[name], *(results[output] for output in pairs.values())]
    order = [image, *pairs]
    cut = openvino.Model(outputs, [ports[port].get_node() for port in order], "stream")
    start = zeros(path, {port: Port(_sizes(ports[port].get_partial_shape()), _kind(ports[port])) for port in pairs})
    step = _step(openvino, cut, path, KINDS[_pixel_kind(path, ports[image])])
    network = _network(openvino, cut, path, name, layouts, lambda values: step(values, start)[0])
    frames = network.shape[network.input.index("T")] if "T" in network.input else 1
    return replace(network, stream=Stream(start, frames, step))


def _name(port: Any, node: Any) -> str:
    """The name of an input or output: that of its tensor, or of its operation."""
    return str(next(iter(sorted(port.get_names())), "") or node.get_friendly_name())


def _kind(port: Any) -> str:
    return str(port.get_element_type().get_type_name())


def _step(
    openvino: Any, model: Any, path: Path, kind: Any
) -> Callable[[NDArray[np.float32], States], tuple[NDArray[np.float32], States]]:
    compiled, lock = _compiled(openvino, model)
    scale, offset = _real(model)

    def step(values: NDArray[np.float32], states: States) -> tuple[NDArray[np.float32], States]:
        try:
            with lock:
                outputs = compiled([_typed(values, kind), *states])
                features, *following = (np.array(outputs[number]) for number in range(1 + len(states)))
        except Exception as error:  # the library has errors of many kinds
            raise ConfigError(f"file: {path} fails on {values.shape}: {first_line(error)}") from None
        return features.astype(np.float32) * np.float32(scale) + np.float32(offset), tuple(following)

    return step


def _typed(values: NDArray[np.float32], kind: Any) -> NDArray[Any]:
    """Values in the type of an input."""
    if kind in (np.uint8, np.int8):
        values = values.round().clip(np.iinfo(kind).min, np.iinfo(kind).max)
    return np.ascontiguousarray(values.astype(kind))


def _compiled(openvino: Any, model: Any) -> tuple[Any, threading.Lock]:
    """A model for the processor, and the lock of its one set of buffers."""
    import torch

    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    compiled = openvino.Core().compile_model(model, "CPU", {**options, "PERFORMANCE_HINT": "LATENCY"})
    return compiled, threading.Lock()


def _runner(
    openvino: Any, model: Any, path: Path, shape: tuple[int, ...], kind: Any
) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    compiled, lock = _compiled(openvino, model)
    scale, offset = _real(model)
    at_once = (shape[0] if shape else 0) or 1

    def run(values: NDArray[np.float32]) -> NDArray[np.float32]:
        lacking = -len(values) % at_once
        rows = np.concatenate([values, np.repeat(values[-1:], lacking, 0)]) if lacking else values
        rows = _typed(rows, kind)
        try:
            with lock:
                parts = [np.array(compiled(rows[k : k + at_once])[0]) for k in range(0, len(rows), at_once)]
        except Exception as error:  # the library has errors of many kinds
            raise ConfigError(
                f"file: {path} expects {[size or '?' for size in shape]}, got {values.shape}: {first_line(error)}"
            ) from None
        features: NDArray[np.float32] = np.concatenate(parts)[: len(values)].astype(np.float32)
        return features * np.float32(scale) + np.float32(offset)

    return run
