"""Networks of the 17 joints of a person, such as MoveNet, run by OpenVINO."""

from __future__ import annotations

import threading
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wherewhen.core.errors import ConfigError
from wherewhen.core.values import Features, Pixels
from wherewhen.runtime.network_files import IR, first_line, identity, ir_weights

SECTION = "tubes.pose"
SUFFIXES = (".tflite", IR, ".onnx")
KINDS = {"u8": np.uint8, "i32": np.int32, "f32": np.float32}
JOINTS = (
    "nose", "left eye", "right eye", "left ear", "right ear", "left shoulder", "right shoulder", "left elbow",
    "right elbow", "left wrist", "right wrist", "left hip", "right hip", "left knee", "right knee", "left ankle",
    "right ankle",
)  # fmt: skip
"""The joints in the order of a network's output, as in COCO."""


class JointNetwork:
    """A network of joints: uint8 RGB pictures ``(N, *size, 3)`` -> float32 ``(N, 17, 3)``.

    Each joint has x and y as shares of the picture, and a confidence in [0, 1]. ConfigError for a file of another
    layout than MoveNet's: pictures ``(1, height, width, 3)`` of pixels from 0 to 255, and an output of 17 rows of y, x
    and confidence.
    """

    def __init__(self, path: Path) -> None:
        openvino = _library()
        try:
            core = openvino.Core()
            files = [str(path), str(ir_weights(path, SECTION))] if path.suffix.lower() == IR else [str(path)]
            model = core.read_model(*files)
            self.size, self._kind = _layout(model, path)
            import torch

            options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": torch.get_num_threads()}
            self._network = core.compile_model(model, "CPU", {**options, "PERFORMANCE_HINT": "LATENCY"})
        except ConfigError:
            raise
        except Exception as error:  # the library has errors of many kinds
            raise ConfigError(f"{SECTION}: {path} can't be opened by OpenVINO ({first_line(error)})") from None
        self._lock = threading.Lock()  # a compiled model has one set of buffers

    def __call__(self, pictures: Pixels) -> Features:
        """The joints in each picture."""
        rows = np.empty((len(pictures), len(JOINTS), 3), np.float32)
        with self._lock:
            for row, picture in zip(rows, pictures, strict=True):
                row[:] = np.asarray(self._network(picture[None].astype(self._kind))[0]).reshape(len(JOINTS), 3)
        return rows[..., [1, 0, 2]]


def _library() -> Any:
    try:
        return import_module("openvino")
    except ImportError:
        raise ConfigError(f'{SECTION}: joints need OpenVINO: pip install "wherewhen[openvino]"') from None


def _layout(model: Any, path: Path) -> tuple[tuple[int, int], NDArray[Any] | type]:
    """Height and width of the pictures, and the type of their numbers."""
    inputs, outputs = ([str(port.get_partial_shape()) for port in ports] for ports in (model.inputs, model.outputs))
    kind = model.inputs[0].get_element_type().get_type_name() if inputs else ""
    shapes = [[size.get_length() if size.is_static else 0 for size in port.get_partial_shape()]
              for port in (*model.inputs, *model.outputs) if port.get_partial_shape().rank.is_static]  # fmt: skip
    fits = len(inputs) == len(outputs) == 1 and len(shapes) == 2 and kind in KINDS
    if not fits or shapes[0][::3] != [1, 3] or len(shapes[0]) != 4 or shapes[1][-2:] != [len(JOINTS), 3]:
        raise ConfigError(
            f"{SECTION}: {path} is no network of joints such as MoveNet (single pose): expected pictures "
            f"(1, height, width, 3) of {', '.join(KINDS)} and one output (1, 1, 17, 3); it takes {', '.join(inputs)} "
            f"of {kind or 'nothing'} and gives {', '.join(outputs)}"
        )
    height, width = shapes[0][1:3]
    return (height, width), KINDS[kind]


def opened(path: str, sha256: str) -> JointNetwork:
    """The network in a file, opened once per process; ConfigError where it is missing or not the one of ``sha256``."""
    if not Path(path).is_file():
        raise ConfigError(
            f"{SECTION}: there is no {path}; name a file of a network of joints: --tubes.pose.path FILE "
            f"({', '.join(SUFFIXES)})"
        )
    return _opened(path, identity(path, sha256, SECTION))


@lru_cache(maxsize=4)
def _opened(path: str, sha256: str) -> JointNetwork:
    return JointNetwork(Path(path))
