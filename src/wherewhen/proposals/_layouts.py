"""Input and output formats of detectors, by the name of the layout.

Each layout turns pictures into the network's input and its outputs into boxes: ``(N, 4)`` ``x0 y0 x1 y1`` in shares of
the picture, confidence ``(N,)`` and class ``(N,)``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wherewhen.core.errors import ConfigError
from wherewhen.core.values import Features, Floats, Pixels

Raw = tuple[Floats, Floats, NDArray[np.int64]]
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's colors, for RF-DETR
GRAY = 114  # fill value of YOLOX for the rest of its square
STRIDES = (8, 16, 32)  # px of YOLOX's three grids


@dataclass(frozen=True, slots=True)
class Layout:
    """``prepare(image, (height, width))`` gives ``(1, 3, height, width)``; ``decode(outputs, (height, width), size)``.

    ``size``: height and width of the image; outputs by name.
    ``squeezed``: the picture is resized without its aspect ratio. ``unique``: the network has no duplicates.
    """

    prepare: Callable[[Pixels, tuple[int, int]], Features]
    decode: Callable[[dict[str, Features], tuple[int, int], tuple[int, int]], Raw]
    squeezed: bool = True
    unique: bool = False


def _resized(image: Pixels, size: tuple[int, int]) -> Pixels:
    import cv2

    if image.shape[:2] == size:
        return image
    shrunk = size[0] < image.shape[0] or size[1] < image.shape[1]
    interpolation = cv2.INTER_AREA if shrunk else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size[::-1], interpolation=interpolation), np.uint8)


def _first(outputs: dict[str, Features], layout: str, dimensions: int) -> Features:
    output = next(iter(outputs.values()))
    if len(outputs) != 1 or output.ndim != dimensions or len(output) != 1:
        shapes = [value.shape for value in outputs.values()]
        raise ConfigError(f"onnx: this file's outputs {shapes} are not those of {layout}; try another layout")
    only: Features = output[0]
    return only


def _sigmoid(values: Features) -> Features:
    answer: Features = 1 / (1 + np.exp(-values.clip(-60, 60)))
    return answer


def _corners(x: Features, y: Features, wide: Features, tall: Features) -> Floats:
    return np.stack([x - wide / 2, y - tall / 2, x + wide / 2, y + tall / 2], -1).astype(np.float64)


def _fastestdet_input(image: Pixels, size: tuple[int, int]) -> Features:
    bgr = _resized(image, size)[..., ::-1]
    return np.ascontiguousarray(bgr.transpose(2, 0, 1)[None], np.float32) / np.float32(255)


def _fastestdet(outputs: dict[str, Features], size: tuple[int, int], picture: tuple[int, int]) -> Raw:
    """One map ``(1, 5 + C, H, W)``: objectness, box and class shares of each cell.

    github.com/dog-qiuqiu/FastestDet: offsets of middles from their cell are tanh in cells, sizes are sigmoids of the
    picture's, confidence is objectness^0.6 class^0.4.
    """
    cells = _first(outputs, "fastestdet", 4)
    if len(cells) < 6:
        raise ConfigError(f"onnx: a map of {len(cells)} channels is none of fastestdet; try another layout")
    height, width = cells.shape[1:]
    ys, xs = np.mgrid[:height, :width].astype(np.float32)
    boxes = _corners(
        (np.tanh(cells[1]) + xs) / width, (np.tanh(cells[2]) + ys) / height, _sigmoid(cells[3]), _sigmoid(cells[4])
    )
    values = cells[0].clip(0, 1) ** 0.6 * cells[5:].max(0).clip(0, 1) ** 0.4
    return boxes.reshape(-1, 4), values.ravel().astype(np.float64), cells[5:].argmax(0).ravel()


def _yolox_scale(picture: tuple[int, int], size: tuple[int, int]) -> float:
    return min(size[0] / picture[0], size[1] / picture[1])


def _yolox_input(image: Pixels, size: tuple[int, int]) -> Features:
    scale = _yolox_scale((image.shape[0], image.shape[1]), size)
    small = _resized(image, (max(1, int(image.shape[0] * scale)), max(1, int(image.shape[1] * scale))))
    square = np.full((*size, 3), GRAY, np.uint8)
    square[: small.shape[0], : small.shape[1]] = small
    return np.ascontiguousarray(square[..., ::-1].transpose(2, 0, 1)[None], np.float32)


def _yolox(outputs: dict[str, Features], size: tuple[int, int], picture: tuple[int, int]) -> Raw:
    """Rows ``(1, cells, 5 + C)`` of three grids: middle, log size, objectness, classes.

    Ge et al., YOLOX, arXiv 2107.08430; github.com/Megvii-BaseDetection/YOLOX.
    """
    rows = _first(outputs, "yolox", 3)
    grids, strides = [], []
    for stride in STRIDES:
        ys, xs = np.mgrid[: size[0] // stride, : size[1] // stride].astype(np.float32)
        grids.append(np.stack([xs.ravel(), ys.ravel()], -1))
        strides.append(np.full(xs.size, stride, np.float32))
    grid, stride_of = np.concatenate(grids), np.concatenate(strides)[:, None]
    if len(rows) != len(grid) or rows.shape[1] < 6:
        raise ConfigError(f"onnx: {rows.shape} numbers for pictures of {size} are not yolox; try another layout")
    middles, sizes = (rows[:, :2] + grid) * stride_of, np.exp(rows[:, 2:4].clip(-20, 20)) * stride_of
    pixels = _corners(middles[:, 0], middles[:, 1], sizes[:, 0], sizes[:, 1])
    scale = _yolox_scale(picture, size)
    shares = pixels / (scale * np.array([picture[1], picture[0]] * 2))
    values = (rows[:, 4] * rows[:, 5:].max(1)).clip(0, 1)
    return shares, values.astype(np.float64), rows[:, 5:].argmax(1)


def _rfdetr_input(image: Pixels, size: tuple[int, int]) -> Features:
    shares = _resized(image, size).astype(np.float32) / 255
    normal = (shares - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
    return np.ascontiguousarray(normal.transpose(2, 0, 1)[None])


def _rfdetr(outputs: dict[str, Features], size: tuple[int, int], picture: tuple[int, int]) -> Raw:
    """``dets`` ``(1, Q, 4)``, middle and size in shares, and ``labels`` ``(1, Q, C)``, logits, by name.

    rfdetr.roboflow.com, exports to ONNX.
    """
    if not {"dets", "labels"} <= set(outputs):
        raise ConfigError(f"onnx: rfdetr has outputs dets and labels, this file {sorted(outputs)}; try another layout")
    boxes, logits = outputs["dets"][0], outputs["labels"][0]
    corners = _corners(*boxes.T)
    return corners, _sigmoid(logits.max(1)).astype(np.float64), logits.argmax(1)


LAYOUTS = {
    "fastestdet": Layout(_fastestdet_input, _fastestdet),
    "yolox": Layout(_yolox_input, _yolox, squeezed=False),
    "rfdetr": Layout(_rfdetr_input, _rfdetr, unique=True),
}


def checked(raw: Raw, names: Sequence[str]) -> Raw:
    """The decoded boxes, if every class has a name; ConfigError otherwise."""
    if len(raw[2]) and raw[2].max() >= len(names):
        raise ConfigError(f"onnx: the file has class {raw[2].max()}, but there are {len(names)} names; give --names")
    return raw
