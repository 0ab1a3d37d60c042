"""Layouts of other tools' feature files: which belong to one video, how they are read, the places of crops."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wherewhen.core.errors import ConfigError, DataError, unknown
from wherewhen.core.extents import WHOLE_PICTURE
from wherewhen.core.values import Features

LARGEST = 2**28  # bytes of a text file, and of one line of it; longer ones are no features
SUFFIXES = (".npy", ".txt")
CORNERS, CENTER, UNKNOWN = "corners-first", "center-first", "unknown"
ORDERS = (CORNERS, CENTER, UNKNOWN)
AXES = ("auto", "time-first", "time-last")
LENGTHS = {256, 384, 400, 512, 768, 1024, 1280, 1408, 2048, 4096}  # usual ones of features
_CROP = re.compile(r"(?P<name>.+)__(?P<crop>\d)")
_ENDING = re.compile(r"[_-](i3d|c3d|clip|rgb|flow|videomae|features?|swin)$", re.IGNORECASE)

Place = tuple[float, float, float, float]


@dataclass(frozen=True)
class Layout:
    """One way to lay out features. ``crops``: how many there may be, ``apart``: one file per crop.

    ``order``: corners-first (those of the mirrored picture after those of the picture, as torchvision's TenCrop) or
    center-first (each crop mirrored). ``share``: width and height of a crop as shares of the picture's, None where
    they follow from its shape. ``segments``: spans that each video was averaged into. ``turned``: time is the last
    axis.
    """

    title: str
    crops: tuple[int, ...]
    apart: bool = False
    order: str = UNKNOWN
    share: tuple[float, float] | None = None
    segments: int | None = None
    turned: bool = False


LAYOUTS: Mapping[str, Layout] = {
    "rtfm": Layout("RTFM, UR-DMU: NAME.npy (T, 10, D)", (10, 5, 1), order=CORNERS),
    "deepmil": Layout("DeepMIL: NAME__0 to NAME__9, npy or txt, each (T, D)", (10,), apart=True),
    "vadclip": Layout(
        "VadCLIP: NAME__0.npy to NAME__9.npy, each (T, 512)", (10,), True, CENTER, (224 / 340, 224 / 256)
    ),
    "xd5": Layout("XD-Violence: NAME__0.npy to NAME__4.npy, each (T, D)", (5,), apart=True, order=CORNERS),
    "sultani": Layout("Sultani et al.: NAME.txt, 32 lines of 4096 numbers", (1,), segments=32),
}


def plain_name(path: str) -> str:
    """The name of a video in a path, without folders, suffixes, number of the crop and the network's name.

    >>> plain_name("Abuse/Abuse001_x264_i3d__3.npy")
    'Abuse001_x264'
    """
    name = path.replace("\\", "/").rpartition("/")[2]
    name = re.sub(r"\.(npy|txt|safetensors|mp4|avi|mkv|mov|webm)$", "", name, flags=re.IGNORECASE)
    match = _CROP.fullmatch(name)
    return _ENDING.sub("", match["name"] if match else name)


def gathered(root: Path) -> dict[str, dict[int | None, Path]]:
    """Files of features below a folder (or the one file) by name of the video and number of the crop, None without."""
    paths = [root] if root.is_file() else sorted(p for p in root.rglob("*") if p.suffix in SUFFIXES and p.is_file())
    base = root.parent if root.is_file() else root
    files: dict[str, dict[int | None, Path]] = {}
    for path in paths:
        name = path.relative_to(base).with_suffix("").as_posix()
        match = _CROP.fullmatch(name)
        key, crop = (match["name"], int(match["crop"])) if match else (name, None)
        if not path.name.startswith("."):
            files.setdefault(key, {})[crop] = path
    if not files:
        raise DataError(f"{root}: expected files of features ({' or '.join(SUFFIXES)}), found none")
    return files


def recognized(root: Path, files: Mapping[str, Mapping[int | None, Path]], turned: bool = False) -> str:
    """The layout of files, ``turned`` where time is their last axis; DataError where it isn't plain."""
    crops = Counter(max((c for c in parts if c is not None), default=None) for parts in files.values())
    most = crops.most_common(1)[0][0]
    sizes = Counter(size for parts in files.values() if (size := _size(next(iter(parts.values())))))
    size = sizes.most_common(1)[0][0] if sizes else ()
    size = size[::-1] if turned else size
    if most == 4:
        return "xd5"
    if most == 9:
        return "vadclip" if size[-1:] == (512,) else "deepmil"
    if most is None and len(size) == 3 and size[1] in (5, 10):
        return "rtfm"
    if (
        most is None
        and size[:1] == (32,)
        and all(p.suffix == ".txt" for parts in files.values() for p in parts.values())
    ):
        return "sultani"
    if most is None and len(size) == 2:
        return "rtfm"
    swapped = len(size) == 3 and {5, 10} & {size[0], size[2]}
    hint = " Crops must be the axis behind time: (T, crops, D)." if swapped else ""
    raise DataError(
        f"{root}: the layout of these files is unclear (most are {size or 'unreadable'}).{hint} "
        "Choose --layout, one of " + "; ".join(f"{name} ({layout.title})" for name, layout in LAYOUTS.items())
    )


def _size(path: Path) -> tuple[int, ...]:
    try:
        return numbers(path).shape
    except DataError:
        return ()


def layout_of(name: str) -> Layout:
    """A layout by its name; ConfigError names the nearest one."""
    if name not in LAYOUTS:
        raise ConfigError(unknown("layout", name, LAYOUTS))
    return LAYOUTS[name]


def numbers(path: Path) -> NDArray[np.floating]:
    """The array in a file, not read yet if it is npy; DataError where it can't be read. Never unpickles.

    Text holds one row of numbers per line.
    """
    if path.suffix == ".txt":
        return _text(path)
    try:
        array = np.lib.format.open_memmap(path, mode="r")
    except (ValueError, OSError, EOFError, SyntaxError, MemoryError, OverflowError, TypeError) as error:
        raise DataError(f"not a readable npy file of numbers ({error})") from None
    if array.dtype.kind not in "fiu" or not array.size:
        raise DataError(f"expected numbers, got {array.dtype} {array.shape}")
    return array


def _text(path: Path) -> Features:
    if path.stat().st_size > LARGEST:
        raise DataError(f"a text of {path.stat().st_size} bytes is no file of features")
    rows: list[Features] = []
    try:
        with path.open(encoding="ascii") as lines:
            for line in lines:
                if line.strip():
                    rows.append(np.array(line.replace(",", " ").split(), np.float32))  # noqa: PERF401 (reported below)
    except (ValueError, UnicodeDecodeError) as error:
        raise DataError(f"line {len(rows) + 1}: not numbers ({str(error)[:80]})") from None
    if not rows or len({len(row) for row in rows}) > 1:
        raise DataError(f"expected lines of equally many numbers, got {sorted({len(row) for row in rows})}")
    return np.stack(rows)


def _arrays(parts: Mapping[int | None, Path], layout: Layout) -> list[NDArray[np.floating]]:
    """The arrays of one video, each ``(T, crops, D)`` and together all crops; npy files are not read yet."""
    if layout.apart:
        expected = set(range(layout.crops[0]))
        if set(parts) != expected:
            lacking = sorted(str(c) for c in expected - set(parts))
            raise DataError(f"expected crops __0 to __{layout.crops[0] - 1}; lacks {', '.join(lacking) or 'none'}")
        arrays = [_flat(_upright(parts[crop], layout))[:, None] for crop in sorted(expected)]
        if len({array.shape for array in arrays}) > 1:
            raise DataError(f"its crops differ in size: {sorted({array.shape for array in arrays})}")
    elif set(parts) == {None}:
        arrays = [_with_crops(_upright(parts[None], layout))]
    else:
        raise DataError("expected one file per video, found one per crop (NAME__0, ...)")
    count, crops = len(arrays[0]), sum(array.shape[1] for array in arrays)
    if crops not in layout.crops:
        raise DataError(f"expected {' or '.join(map(str, layout.crops))} crops, got {crops} {arrays[0].shape}")
    if layout.segments not in (None, count):
        raise DataError(f"expected {layout.segments} segments, got {count}")
    return arrays


def _upright(path: Path, layout: Layout) -> NDArray[np.floating]:
    """The array in a file with time as its first axis."""
    array = numbers(path)
    if layout.turned and array.ndim != 2:
        raise DataError(f"expected (D, T), got {array.shape}")
    return array.T if layout.turned else array


def turned(root: Path, files: Mapping[str, Mapping[int | None, Path]], axes: str) -> bool:
    """Whether time is the last axis: from ``axes``, else False; DataError where it seems to be last.

    Files that agree in their first axis alone can't be ``(T, D)``. Where all are alike, usual lengths of features tell.
    """
    if axes not in AXES:
        raise ConfigError(unknown("order of axes", axes, AXES))
    if axes != "auto":
        return axes == "time-last"
    shapes = {size for parts in files.values() for path in parts.values() if len(size := _size(path)) == 2}
    first, last = ({size[axis] for size in shapes} for axis in (0, 1))
    sure = len(first) == 1 and len(last) > 1
    likely = len(first) == len(last) == 1 and first & LENGTHS and not last & LENGTHS
    if sure or likely:
        shape = sorted(shapes)[0]
        message = f"{root}: files like {shape} would be {shape[0]} features of {shape[1]} numbers each"
        raise DataError(
            f"{message}. Did you mean (D, T), transposed? If so, add --axes time-last, else --axes time-first"
        )
    return False


def measured(parts: Mapping[int | None, Path], layout: Layout) -> tuple[int, int, int]:
    """Size ``(T, P, D)`` of one video's features, of npy files from their heads; DataError as `read`."""
    arrays = _arrays(parts, layout)
    return len(arrays[0]), sum(array.shape[1] for array in arrays), arrays[0].shape[2]


def read(parts: Mapping[int | None, Path], layout: Layout) -> Features:
    """The features of one video ``(T, P, D)`` for P crops; DataError where they can't be read."""
    with np.errstate(over="ignore"):  # what is too large for float32 is reported below
        values = np.concatenate([np.asarray(array, np.float32) for array in _arrays(parts, layout)], 1)
    if not np.isfinite(values).all():
        raise DataError(f"{int((~np.isfinite(values)).sum())} of its numbers are not finite in float32")
    return values


def _flat(array: NDArray[np.floating]) -> NDArray[np.floating]:
    """One crop ``(T, D)``; axes of length 1 behind the first are left out."""
    squeezed = array.reshape(len(array), *(n for n in array.shape[1:] if n > 1)) if array.ndim > 2 else array
    if squeezed.ndim != 2:
        raise DataError(f"expected (T, D), got {array.shape}")
    return squeezed


def _with_crops(array: NDArray[np.floating]) -> NDArray[np.floating]:
    if array.ndim == 2:
        return array[:, None]
    if array.ndim != 3:
        raise DataError(f"expected (T, crops, D) or (T, D), got {array.shape}")
    return array


def places(count: int, order: str, share: tuple[float, float] | None) -> list[Place]:
    """Where crops lie ``(x0, y0, x1, y1)``: the whole picture where order or size are unknown.

    >>> [round(x0, 2) for x0, *_ in places(10, "corners-first", (0.75, 0.875))]
    [0.0, 0.25, 0.0, 0.25, 0.12, 0.25, 0.0, 0.25, 0.0, 0.12]
    """
    if count == 1 or order == UNKNOWN or share is None:
        return [WHOLE_PICTURE] * count
    w, h = share
    corners = [(0.0, 0.0), (1 - w, 0.0), (0.0, 1 - h), (1 - w, 1 - h)]
    middle = [((1 - w) / 2, (1 - h) / 2)]
    first = corners + middle if order == CORNERS else middle + corners
    boxes = [(x, y, x + w, y + h) for x, y in first]
    if count == 5:
        return boxes
    if order == CORNERS:  # cut from the mirrored picture: its left is the picture's right
        return boxes + [(1 - x1, y0, 1 - x0, y1) for x0, y0, x1, y1 in boxes]
    return boxes * 2


def share_of(layout: Layout, size: tuple[int, int] | None) -> tuple[float, float] | None:
    """Width and height of a crop as shares: 224 px of pictures whose shorter side is 256; None where size is unknown.

    >>> share_of(LAYOUTS["rtfm"], (320, 240))
    (0.65625, 0.875)
    """
    if layout.share is not None or size is None:
        return layout.share
    width, height = size
    return 224 / 256 * min(1.0, height / width), 224 / 256 * min(1.0, width / height)


def commonest(values: Iterable[int]) -> int:
    """The value that occurs most often; of several the first."""
    return Counter(values).most_common(1)[0][0]
