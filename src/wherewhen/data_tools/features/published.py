"""Lists and frame labels of published code: ``*.list`` files of feature paths, ``gt-*.npy``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wherewhen.core.diagnostics import report
from wherewhen.core.errors import ConfigError, DataError
from wherewhen.core.values import Truth
from wherewhen.data_tools.features.labels import Known, Labels, Part, preview
from wherewhen.data_tools.features.layouts import plain_name
from wherewhen.datasets._table import named, quoted, text_of
from wherewhen.datasets._truths import runs

FOLD = "published"  # name of the fold that two lists make
USUAL = 16  # frames per feature in the packs of RTFM, UR-DMU, MGFN and XD-Violence
_PATH = re.compile(r"(?P<path>.+?\.(?:npy|npz|txt|mp4|avi|mkv|mov|webm|h5|pt))(?=[\s,;]|$)", re.IGNORECASE)


@dataclass(frozen=True)
class Lists:
    """Files of a published pack: lists of training and of test videos, and the frame labels of the test videos."""

    train: Path | None = None
    test: Path | None = None
    gt: Path | None = None

    def __post_init__(self) -> None:
        if self.gt is not None and self.test is None:
            raise ConfigError("frame labels (--gt) follow the order of a list; name it: --test-list FILE")

    @classmethod
    def of(cls, train: str | None, test: str | None, gt: str | None) -> Lists | None:
        """The files with these names; None where there is none."""
        paths = [Path(name) if name is not None else None for name in (train, test, gt)]
        return cls(*paths) if any(paths) else None


def listed(path: Path) -> list[str]:
    """Plain names of the videos of a list in its order; crops of one video count once. DataError names the line.

    A row begins with a path, often one on somebody else's machine; of it only the name counts.
    """
    names: dict[str, int] = {}
    last = ""
    for number, row in enumerate(text_of(path).splitlines(), 1):
        text = row.strip()
        if not text or (number == 1 and text.lower().split(",")[0] in ("path", "file", "name")):
            continue
        match = _PATH.match(text)
        name = plain_name(match["path"] if match else re.split(r"[\s,;]", text)[0])
        if not name or not name.isprintable():
            raise DataError(f"{path}: line {number}: expected the path of a file of features, got {quoted(text)}")
        if name in names and name != last:
            report("name-repeated", f"is already in line {names[name]}", name, f"{path}: line {number}")
        names.setdefault(name, number)
        last = name
    if not names:
        raise DataError(f"{path}: no videos in it")
    return list(names)


def frame_labels(path: Path) -> NDArray[np.bool_]:
    """Frame labels of all test videos one after the other ``(F,)``; DataError where they are something else.

    Never unpickles: an array of Python objects is refused.
    """
    try:
        array = np.load(path, allow_pickle=False, mmap_mode="r")
        if not isinstance(array, np.ndarray):
            array.close()
            raise ValueError("an archive of several arrays")
        if array.dtype.kind not in "fiub":
            raise ValueError(f"{array.dtype} instead of numbers")
        flat = np.asarray(array).reshape(-1) if max(array.shape, default=0) == array.size else None
    except (ValueError, OSError, EOFError, SyntaxError, MemoryError, OverflowError, TypeError) as error:
        raise DataError(f"{path}: expected a npy file of frame labels, 0 or 1 ({str(error)[:120]})") from None
    if flat is None or not flat.size:
        raise DataError(f"{path}: expected one row of frame labels, got an array of shape {array.shape}")
    if (odd := ~np.isin(flat, (0, 1))).any():
        first = int(odd.argmax())
        message = f"{path}: frame labels are 0 or 1, got {flat[first]:g} at frame {first}"
        raise DataError(f"{message} and {int(odd.sum()) - 1} more like it")
    return np.asarray(flat, bool)


def add_lists(labels: Labels, lists: Lists, sizes: Mapping[str, int], frames: int | None, rate: float | None) -> None:
    """Add the fold of two lists, and the truth of frame labels.

    ``sizes``: how many features each video has, by plain name; each covers ``frames`` frames (default 16).
    DataError where lists and features, or frame labels and features, don't fit, with how much is missing.
    """
    parts = {"train": lists.train, "test": lists.test}
    names = {part: listed(path) for part, path in parts.items() if path is not None}
    for part, listed_names in names.items():
        present = [name for name in listed_names if name in sizes]
        if not present:
            message = f"{parts[part]}: none of its {len(listed_names)} videos has features here"
            raise DataError(f"{message}; listed are {preview(listed_names)}, the features are called {preview(sizes)}")
        labels.notes.append(f"{part} list: {len(present)} of {len(listed_names)} videos have features here")
    both = set(names.get("train", ())) & set(names.get("test", ()))
    if both:
        raise DataError(f"{lists.test}: {len(both)} videos are in {lists.train} as well: {preview(sorted(both))}")
    train, test = (frozenset(names.get(part, ())) for part in ("train", "test"))
    labels.folds[FOLD] = Part(train, test)
    labels.default = FOLD
    if lists.gt is not None and lists.test is not None:
        _cut(labels, lists.gt, lists.test, names["test"], sizes, frames or USUAL, rate)


def _cut(
    labels: Labels,
    gt: Path,
    order: Path,
    names: Sequence[str],
    sizes: Mapping[str, int],
    frames: int,
    rate: float | None,
) -> None:
    """Cut frame labels into videos: so many frames for each feature, in the order of the list."""
    if labels.truths:
        raise ConfigError(f"{labels.source} has ground truth already; leave --gt out, or give labels in a table")
    flags = frame_labels(gt)
    lost = [name for name in names if name not in sizes]
    if lost:
        message = f"{gt}: is cut by the lengths of all {len(names)} videos of {order}"
        raise DataError(f"{message}, but {len(lost)} of them have no features here: {preview(lost)}")
    counts = [sizes[name] for name in names]
    each = sum(counts)
    if (total := each * frames) != len(flags):
        off = f"{abs(len(flags) - total)} too {'many' if len(flags) > total else 'few'}"
        fits = f"; with {len(flags) // each} frames per feature they would fit" if len(flags) % each == 0 else ""
        message = (
            f"{gt}: {len(flags)} frame labels, but {each} features of {len(names)} videos x {frames} frames are {total}"
        )
        raise DataError(
            f"{message}: {off}{fits}. The labels must be those of these features and of {order}, in its order"
        )
    timed = [name for name in names if name in labels.rows and labels.rows[name].seconds]
    if not rate and timed and len(timed) < len(names):
        raise DataError(f"{labels.source}: has seconds for {len(timed)} of {len(names)} videos of {order}; give --rate")
    silent = []
    for name, part in zip(names, np.split(flags, np.cumsum(counts)[:-1] * frames), strict=True):
        row = labels.rows.get(name)
        if row is not None and row.label == 0 and part.any():
            message = f"{gt}: marks {int(part.sum())} of {len(part)} frames of {named(name)}, which is normal"
            raise DataError(f"{message}; are the frame labels those of {order}, in its order?")
        if row is None or row.label is None:
            row = labels.rows[name] = replace(row or Known(), label=int(part.any()))
        if row.label and not part.any():
            silent.append(name)
        labels.truths[name] = _truth(part, rate, row)
    labels.relative = not rate and not timed
    if silent:
        labels.notes.append(f"{gt}: marks no frame of {len(silent)} anomalous videos: {preview(silent)}")


def _truth(flags: NDArray[np.bool_], rate: float | None, row: Known | None) -> Truth:
    """Truth in seconds, or relative (the video lasts from 0 to 1) where neither rate nor length is known."""
    count, seconds = len(flags), (row.seconds if row is not None else None) or 1.0
    edges = np.arange(count + 1) / rate if rate else np.linspace(0, seconds, count + 1)
    spans = edges[np.array(runs(flags), np.int64).reshape(-1, 2)]
    kind = row.category if row is not None else None
    return Truth(edges, spans, categories=(kind,) * len(spans) if kind else (), boxed=~flags)
