"""Class names of detectors: those of COCO, and the default selection."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from wherewhen.core.errors import ConfigError, unknown

MOVERS = ("person", "bicycle", "car", "motorcycle", "bus", "truck")
"""The classes that are detected by default."""

COCO = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant",
    "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard",
    "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle",
    "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange", "broccoli",
    "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant", "bed", "dining table", "toilet",
    "tv", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven", "toaster", "sink",
    "refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
)  # fmt: skip

_SPARSE_LAST = 90


def sparse_coco() -> tuple[str, ...]:
    """COCO's names by their published ids 0 to 90; an id that is not in use has no name.

    >>> sparse_coco()[1], sparse_coco()[90], len(sparse_coco())
    ('person', 'toothbrush', 91)
    """
    unused = {0, 12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
    names = iter(COCO)
    return tuple("" if number in unused else next(names) for number in range(_SPARSE_LAST + 1))


def read_names(path: str) -> tuple[str, ...]:
    """One name a line; ConfigError if there is no such text."""
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: expected a text with one class name a line ({error})") from None
    return tuple(line.strip() for line in lines if line.strip())


def selected(classes: Sequence[str], names: Sequence[str]) -> list[bool]:
    """Whether each of ``names`` is in ``classes``, or all if these are empty; ConfigError for unknown classes."""
    for name in classes:
        if name not in names:
            raise ConfigError(unknown("class", name, [n for n in names if n]))
    return [bool(name) and (not classes or name in classes) for name in names]
