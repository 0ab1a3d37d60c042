"""A detector in a user's ONNX file: FastestDet, YOLOX, RF-DETR, or one with the same layout."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from wherewhen.core.contracts import ClipSpec, Proposer, ProposerAbilities, Provenance
from wherewhen.core.errors import ConfigError
from wherewhen.core.values import Boxes, Frame, Pixels
from wherewhen.proposals._classes import COCO, read_names, selected, sparse_coco
from wherewhen.proposals._detections import DetectorConfig, filtered_boxes
from wherewhen.proposals._layouts import LAYOUTS, Raw, checked
from wherewhen.proposals._tiles import close_up, tiled

FREE = 640  # px: side of the picture for a file that takes any


@dataclass(frozen=True)
class OnnxConfig(DetectorConfig):
    """Settings of `Onnx`.

    Args:
        path: the detector's file.
        layout: format of its input and output: fastestdet, yolox or rfdetr.
        names: text file with one class name per line; null: COCO's classes.
        threads: number of processor threads.
        classes: names of classes to detect; an empty list means all.
        score: boxes of lower confidence are left out.
        overlap: of boxes of one class with a higher IoU, the one of highest confidence is kept.
        most: boxes per picture, those of highest confidence.
        stride: one of so many frames is used.
        rate: frames per second before ``stride`` applies; null keeps the source's.
        tiles: rows and columns of overlapping tiles, processed beside the whole picture, for small objects.
    """

    path: str = ""
    layout: Literal["fastestdet", "yolox", "rfdetr"] = "fastestdet"
    names: str | None = None
    threads: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.threads < 1:
            raise ConfigError(f"onnx: threads are at least 1; got {self.threads}")


class Onnx:
    """Boxes of a detector that ONNX Runtime runs on the processor."""

    Config: ClassVar[type] = OnnxConfig
    source: ClassVar[Provenance] = Provenance(
        title="A detector in an ONNX file", homepage="https://onnxruntime.ai", licence="that of the file"
    )
    abilities: ClassVar[ProposerAbilities] = ProposerAbilities()
    wait: float = 0.0
    tracks: bool = False

    def __init__(self, config: OnnxConfig) -> None:
        self.config, self._layout = config, LAYOUTS[config.layout]
        self.names = _names(config)
        self._allowed = selected(config.classes, self.names)
        self._session = _session(config)
        self._input = self._session.get_inputs()[0]
        self.size = _size(self._input.shape, config.path)
        size, width = (self.size, None) if self._layout.squeezed else (None, self.size[1])
        self.clip = close_up(ClipSpec(1, config.stride, config.rate, width, size), config.tiles)

    def __call__(self, frames: Iterable[Frame]) -> Iterator[Boxes]:
        """One `Boxes` per frame."""
        tiles = self.config.tiles
        overlap = 1.0 if self._layout.unique and tiles == (1, 1) else self.config.overlap
        for frame in frames:
            yield filtered_boxes(
                tiled(frame.image, tiles, self._detected), frame, self.names, self._allowed, self.config, overlap
            )

    def _detected(self, image: Pixels) -> Raw:
        outputs = [output.name for output in self._session.get_outputs()]
        numbers = self._session.run(outputs, {self._input.name: self._layout.prepare(image, self.size)})
        arrays = {name: np.asarray(value, np.float32) for name, value in zip(outputs, numbers, strict=True)}
        return checked(self._layout.decode(arrays, self.size, (image.shape[0], image.shape[1])), self.names)


def _names(config: OnnxConfig) -> tuple[str, ...]:
    if config.names:
        return read_names(config.names)
    return sparse_coco() if config.layout == "rfdetr" else COCO


def _session(config: OnnxConfig) -> Any:
    if not config.path:
        raise ConfigError("onnx: expected a detector: set path to its .onnx file")
    if not Path(config.path).is_file():
        raise ConfigError(f"onnx: {config.path}: no such file")
    try:
        runtime = import_module("onnxruntime")
    except ImportError:
        raise ConfigError('proposals onnx need onnxruntime: pip install "wherewhen[onnx]"') from None
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = config.threads, 3
    try:
        return runtime.InferenceSession(config.path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the library has no own class of errors for bad files
        raise ConfigError(f"onnx: {config.path}: not a network that ONNX Runtime can run ({error})") from None


def _size(shape: list[Any], path: str) -> tuple[int, int]:
    if len(shape) != 4 or shape[1] != 3:
        raise ConfigError(f"onnx: {path}: expected pictures (1, 3, height, width) as input, got {shape}")
    height, width = (side if isinstance(side, int) else FREE for side in shape[2:])
    return height, width


PLUGIN: type[Proposer] = Onnx
