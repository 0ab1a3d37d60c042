"""Networks that keep states from clip to clip: tensors that come in and go out, as in MoViNet's streaming models."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wherewhen.core.errors import ConfigError, unknown

Array = NDArray[np.float32]
States = tuple[NDArray[Any], ...]
KINDS = {
    "float": np.float32, "float16": np.float16, "int32": np.int32, "int64": np.int64,
    "f32": np.float32, "f16": np.float16, "i32": np.int32, "i64": np.int64,
}  # fmt: skip
"""Types of states by their names in ONNX Runtime and OpenVINO."""

INCOMING, OUTGOING = {"in", "input", "old", "previous"}, {"out", "output", "new", "next"}


@dataclass(frozen=True)
class Stream:
    """A network with states. ``zeros``: the states at the start of a video.

    ``step``: the input of one clip and states -> features and the next states. ``frames``: how many one call takes, 0 =
    any number.
    """

    zeros: States
    frames: int
    step: Callable[[Array, States], tuple[Array, States]]


@dataclass(frozen=True)
class Port:
    """An input of a network: its sizes (0 = free) and the name of its type."""

    shape: tuple[int, ...]
    kind: str


def paired(
    path: Path, inputs: Sequence[str], outputs: Sequence[str], settings: Sequence[str]
) -> tuple[str, dict[str, str]]:
    """The input of pictures, and the output with the next value of each other input.

    Names are equal but for ``new_``, ``_out`` and the like, or are given as ``INPUT=OUTPUT``. ConfigError unless
    exactly one input remains.

    >>> paired(Path("net"), ["image", "state/b0_in"], ["logits", "state/b0_out"], [])
    ('image', {'state/b0_in': 'state/b0_out'})
    """
    pairs = _pairs(path, inputs, outputs, settings)
    keys = [_key(name, OUTGOING) for name in outputs]
    for name in inputs:
        key = _key(name, INCOMING)
        if name not in pairs and keys.count(key) == 1 and outputs[keys.index(key)] not in pairs.values():
            pairs[name] = outputs[keys.index(key)]
    images = [name for name in inputs if name not in pairs]
    if len(images) != 1:
        raise ConfigError(
            f"file: {path} has {len(inputs)} inputs: expected pictures, and states that are inputs and outputs; there "
            f"is no output for {', '.join(images) or 'none of them'}. Name the output of each state: "
            f'--file.states "[INPUT=OUTPUT, ...]"; outputs are {", ".join(outputs)}'
        )
    return images[0], pairs


def _pairs(path: Path, inputs: Sequence[str], outputs: Sequence[str], settings: Sequence[str]) -> dict[str, str]:
    pairs = {}
    for text in settings:
        source, _, target = text.partition("=")
        for name, names, kind in ((source, inputs, "input"), (target, outputs, "output")):
            if name not in names:
                raise ConfigError(f"file: {path}: states: {unknown(kind, name, names)}")
        pairs[source] = target
    if len(set(pairs.values())) < len(pairs):
        raise ConfigError(f"file: {path}: states: expected another output for each input, got {', '.join(settings)}")
    return pairs


def _key(name: str, affixes: set[str]) -> str:
    """A name without what tells an input from an output."""
    words = re.sub(r"^serving_default_|:\d+$", "", name.lower())
    parts = [part for part in re.split(r"[^a-z0-9]+", words) if part]
    for end in (0, -1):
        if len(parts) > 1 and parts[end] in affixes:
            parts.pop(end)
    return " ".join(parts)


def zeros(path: Path, ports: Mapping[str, Port]) -> States:
    """States of zeros for one video; ConfigError for a type or size that is not known."""
    states = []
    for name, port in ports.items():
        if port.kind not in KINDS:
            raise ConfigError(
                f"file: {path}: the state {name} is {port.kind}, whose zero is not known; expected {', '.join(KINDS)}"
            )
        if 0 in port.shape[1:]:
            raise ConfigError(
                f"file: {path}: the state {name} has a free size: {list(port.shape)}; export it with sizes"
            )
        states.append(np.zeros([size or 1 for size in port.shape], KINDS[port.kind]))
    return tuple(states)
