"""A detector by its name on Hugging Face or its folder: RT-DETR, D-FINE, RF-DETR and similar ones."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar

import numpy as np

from wherewhen.core.contracts import ClipSpec, Proposer, ProposerAbilities, Provenance
from wherewhen.core.documents import json_of
from wherewhen.core.errors import ConfigError
from wherewhen.core.values import Boxes, Features, Frame, Pixels
from wherewhen.proposals._classes import selected
from wherewhen.proposals._detections import DetectorConfig, filtered_boxes
from wherewhen.proposals._layouts import Raw
from wherewhen.proposals._tiles import close_up, tiled

EITHER_OR = {"detr", "yolos", "table-transformer"}
"""Kinds of network with a softmax over classes, the last one "no object"; the others have a sigmoid per class."""


@dataclass(frozen=True)
class TransformersConfig(DetectorConfig):
    """Settings of `Transformers`.

    Args:
        model: name on Hugging Face, or a folder; only safetensors are read, and no code that comes with them is run.
        revision: revision of the model; null: the newest.
        device: cpu or cuda.
        classes: names of classes to detect; an empty list means all.
        score: boxes of lower confidence are left out.
        overlap: of boxes of one class with a higher IoU, the one of highest confidence is kept; 1 keeps all.
        most: boxes per picture, those of highest confidence.
        stride: one of so many frames is used.
        rate: frames per second before ``stride`` applies; null keeps the source's.
        tiles: rows and columns of overlapping tiles, processed beside the whole picture, for small objects.
    """

    model: str = "PekingU/rtdetr_r18vd_coco_o365"
    revision: str | None = None
    device: str = "cpu"
    overlap: float = 0.9
    stride: int = 4


class Transformers:
    """Boxes of a detection transformer; with HF_HUB_OFFLINE=1 only cached models are used."""

    Config: ClassVar[type] = TransformersConfig
    source: ClassVar[Provenance] = Provenance(
        title="A detection transformer by name",
        homepage="https://huggingface.co/models?pipeline_tag=object-detection",
        licence="that of the model",
        citation="Zhao et al., DETRs Beat YOLOs on Real-time Object Detection, CVPR 2024",
    )
    abilities: ClassVar[ProposerAbilities] = ProposerAbilities()
    wait: float = 0.0
    tracks: bool = False

    def __init__(self, config: TransformersConfig) -> None:
        self.config = config
        library = _library()
        self._look = _preprocessing(library, config)
        self._network = _network(library, config)
        labels = self._network.config.id2label
        self.names = tuple(_coco(labels.get(k, "")) for k in range(max(labels) + 1))
        self._allowed = selected(config.classes, self.names)
        self.clip = close_up(ClipSpec(1, config.stride, config.rate, size=self._look.size), config.tiles)

    def __call__(self, frames: Iterable[Frame]) -> Iterator[Boxes]:
        """One `Boxes` per frame."""
        for frame in frames:
            raw = tiled(frame.image, self.config.tiles, self._detected)
            yield filtered_boxes(raw, frame, self.names, self._allowed, self.config)

    def _detected(self, image: Pixels) -> Raw:
        import torch

        with torch.inference_mode():
            pixels = torch.from_numpy(self._look(image)).to(self.config.device)
            outputs = self._network(pixel_values=pixels)
        logits = outputs.logits[0].float().cpu()
        if self._network.config.model_type in EITHER_OR:
            shares = logits.softmax(-1)[:, :-1]
        else:
            shares = logits.sigmoid()
        values, classes = shares.max(-1)
        x, y, wide, tall = outputs.pred_boxes[0].double().cpu().numpy().T
        corners = np.stack([x - wide / 2, y - tall / 2, x + wide / 2, y + tall / 2], -1)
        return corners, values.double().numpy(), classes.numpy()


@dataclass(frozen=True)
class _Look:
    """Preprocessing of pictures by the network's ``preprocessor_config.json``."""

    size: tuple[int, int]
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, image: Pixels) -> Features:
        import cv2

        if image.shape[:2] != self.size:
            image = np.asarray(cv2.resize(image, self.size[::-1], interpolation=cv2.INTER_LINEAR), np.uint8)
        normal = (image.astype(np.float32) * self.scale - np.array(self.mean, np.float32)) / np.array(
            self.std, np.float32
        )
        return np.ascontiguousarray(normal.transpose(2, 0, 1)[None], np.float32)


_OLD_NAMES = {"motorbike": "motorcycle", "aeroplane": "airplane", "sofa": "couch", "pottedplant": "potted plant"}
_OLD_NAMES |= {"diningtable": "dining table", "tvmonitor": "tv", "N/A": "", "background": ""}


def _coco(name: str) -> str:
    """The current COCO name of a class."""
    return _OLD_NAMES.get(name, name)


def _library() -> Any:
    try:
        return import_module("transformers")
    except ImportError:
        raise ConfigError('proposals transformers need transformers: pip install "wherewhen[clip]"') from None


def _preprocessing(library: Any, config: TransformersConfig) -> _Look:
    name = "preprocessor_config.json"
    try:
        path = library.utils.hub.cached_file(config.model, name, revision=config.revision, local_files_only=_offline())
        with open(path, encoding="utf-8") as file:  # noqa: PTH123
            settings = json_of(file.read())
    except (OSError, ValueError) as error:
        raise ConfigError(f"transformers: {config.model}: its {name} can't be had ({_short(error)})") from None
    size = settings.get("size") if isinstance(settings, dict) else None
    if not isinstance(size, dict) or not all(isinstance(size.get(side), int) for side in ("height", "width")):
        raise ConfigError(
            f"transformers: {config.model} needs pictures of size {size}; "
            "only networks with one height and width can be used, such as RT-DETR"
        )
    scale = settings.get("rescale_factor", 1 / 255) if settings.get("do_rescale", True) else 1.0
    normal = settings.get("do_normalize", False)
    mean = tuple(settings.get("image_mean", (0.0,) * 3)) if normal else (0.0,) * 3
    std = tuple(settings.get("image_std", (1.0,) * 3)) if normal else (1.0,) * 3
    return _Look((size["height"], size["width"]), float(scale), mean, std)


def _network(library: Any, config: TransformersConfig) -> Any:
    try:
        network = library.AutoModelForObjectDetection.from_pretrained(
            config.model,
            revision=config.revision,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=_offline(),
        )
    except (OSError, ValueError, ImportError, KeyError) as error:
        raise ConfigError(f"transformers: {config.model} can't be used as a detector ({_short(error)})") from None
    return network.to(config.device).eval()


def _offline() -> bool:
    """Whether downloads are forbidden; the library itself reads the variable only when it is imported."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


def _short(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


PLUGIN: type[Proposer] = Transformers
