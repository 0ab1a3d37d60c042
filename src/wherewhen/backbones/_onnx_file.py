"""Networks in ONNX files, run by ONNX Runtime; with or without states."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wherewhen.backbones._states import Port, States, Stream, paired, zeros
from wherewhen.core.errors import ConfigError

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Network:
    """A network's features of its input; ``stream`` where it has states."""

    run: Callable[[Array], Array]
    stream: Stream | None


def opened(path: Path, take: int, states: Sequence[str], layout: str) -> Network:
    """The network in a file: output number ``take`` among those that are no states; ``layout`` of the input."""
    session = _session(path)
    ports = {port.name: port for port in session.get_inputs()}
    outputs = [port.name for port in session.get_outputs()]
    image, pairs = (
        paired(path, list(ports), outputs, states) if len(ports) > 1 or states else (next(iter(ports), ""), {})
    )
    features = [name for name in outputs if name not in pairs.values()]
    if not image or ports[image].type != "tensor(float)" or take >= len(features):
        raise ConfigError(
            f"file: {path}: expected one float input and more than {take} outputs besides states; it has "
            f"{[(port.name, port.type) for port in ports.values()]} and {outputs}"
        )
    sizes = [size if isinstance(size, int) else 0 for size in ports[image].shape]
    if pairs:
        stream = _stream(path, session, image, [features[take], *pairs.values()], list(pairs), sizes, layout)
        return Network(lambda values: stream.step(values, stream.zeros)[0], stream)
    return Network(_runner(path, session, ports[image], features[take]), None)


def _stream(
    path: Path, session: Any, image: str, outputs: list[str], states: list[str], sizes: list[int], layout: str
) -> Stream:
    ports = {port.name: port for port in session.get_inputs()}

    def port(name: str) -> Port:
        shape = tuple(size if isinstance(size, int) else 0 for size in ports[name].shape)
        return Port(shape, ports[name].type.removeprefix("tensor(").removesuffix(")"))

    def step(values: Array, current: States) -> tuple[Array, States]:
        try:
            features, *following = session.run(outputs, {image: values, **dict(zip(states, current, strict=True))})
        except Exception as error:  # the library has errors of many kinds
            raise ConfigError(f"file: {path} expects {ports[image].shape}, got {values.shape}: {error}") from None
        return np.asarray(features, np.float32), tuple(following)

    frames = sizes[layout.index("T")] if "T" in layout and len(sizes) == len(layout) else 1
    return Stream(zeros(path, {name: port(name) for name in states}), frames, step)


def _session(path: Path) -> Any:
    try:
        runtime = import_module("onnxruntime")
    except ImportError:
        raise ConfigError('file: ONNX files need onnxruntime: pip install "wherewhen[onnx]"') from None
    try:
        options = runtime.SessionOptions()
        options.log_severity_level = 3
        return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the library has errors of many kinds
        raise ConfigError(f"file: {path} can't be opened as ONNX ({error})") from None


def _runner(path: Path, session: Any, source: Any, output: str) -> Callable[[Array], Array]:
    at_once = source.shape[0] if source.shape and isinstance(source.shape[0], int) else 0

    def run(values: Array) -> Array:
        size = at_once or len(values)
        lacking = -len(values) % size
        rows = np.concatenate([values, np.repeat(values[-1:], lacking, 0)]) if lacking else values
        try:
            parts = [session.run([output], {source.name: rows[k : k + size]})[0] for k in range(0, len(rows), size)]
        except Exception as error:  # the library has errors of many kinds
            raise ConfigError(f"file: {path} expects {source.shape}, got {values.shape}: {error}") from None
        return np.concatenate(parts).astype(np.float32)[: len(values)]

    return run
