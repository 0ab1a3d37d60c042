"""Published pixel masks: pictures in a folder or arrays in a file; and the boxes around their parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from wherewhen.core.diagnostics import report
from wherewhen.core.errors import DataError
from wherewhen.core.values import Floats, Masks
from wherewhen.datasets import _files


def boxes(mask: Masks, frame: int) -> Floats:
    """Rows ``-1, frame, x0, y0, x1, y1``: one box around each part of a mask ``(H, W)``; corners touch.

    >>> boxes(np.eye(3, dtype=bool), 7).tolist()
    [[-1.0, 7.0, 0.0, 0.0, 3.0, 3.0]]
    """
    from scipy import ndimage

    parts, _ = ndimage.label(mask, structure=np.ones((3, 3)))
    borders = [(x.start, y.start, x.stop, y.stop) for y, x in ndimage.find_objects(parts)]
    return np.array([[-1, frame, *corners] for corners in borders], np.float64).reshape(-1, 6)


def boxes_of(masks: Iterable[tuple[int, Masks]]) -> Floats:
    """``boxes`` over numbered masks."""
    return np.concatenate([np.empty((0, 6)), *(boxes(mask, frame) for frame, mask in masks)])


def picture(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """A picture's values ``(H, W)``; DataError if it can't be read."""
    import cv2

    image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise DataError(f"{path}: expected a picture, and it can't be read")
    return np.asarray(image, np.uint8)


def from_pictures(paths: dict[int, Path], frames: int) -> Callable[[], Masks]:
    """A reader of masks ``(F, H, W)`` from pictures by 0-based frame; frames without one are empty."""

    def read() -> Masks:
        first = picture(next(iter(paths.values())))
        out = np.zeros((frames, *first.shape), bool)
        for frame, path in paths.items():
            out[frame] = picture(path) > 0
        return out

    return read


def from_array(path: Path) -> Callable[[], Masks]:
    """A reader of masks ``(F, H, W)`` from an ``.npy`` file, not loaded before it is asked for."""
    return lambda: np.asarray(_files.array(path)) != 0


def agree(shapes: Iterable[tuple[int, ...]], size: tuple[int, int], video: str, where: object) -> bool:
    """Whether every mask has the picture's (height, width), where that is known; else it is reported."""
    wrong = {shape for shape in shapes if all(size) and shape != size}
    if wrong:
        report("mask-shape", f"masks are {sorted(wrong)[0]}, the picture is {size} (height, width)", video, where)
    return not wrong
