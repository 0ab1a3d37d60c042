"""Writes the exchange format that ``native`` reads."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from wherewhen.core import extents as ext
from wherewhen.core.errors import DataError
from wherewhen.core.printable import fitted
from wherewhen.core.values import Dataset, Masks, Truth, Video


def pack(path: Path, masks: Masks) -> None:
    """Write pixel masks ``(F, H, W)`` as a small npz: ``mask`` (bits packed along x) and ``shape``."""
    np.savez_compressed(path, mask=np.packbits(masks, axis=-1), shape=np.array(masks.shape, np.int64))


def _rate(name: str, truth: Truth) -> float:
    """Frames per second of evenly spaced edges that start at 0."""
    count = len(truth.edges) - 1
    fps = count / (truth.edges[-1] - truth.edges[0])
    fps = round(fps) if abs(fps - round(fps)) < 1e-6 else fps
    if not np.allclose(truth.edges, np.arange(count + 1) / fps, atol=1e-6, rtol=0):
        raise DataError(f"{name}: this format needs a constant rate and a first frame at 0 s")
    return float(fps) if fps % 1 else int(fps)


def _plain(number: float) -> float:
    """A pixel border without the traces of having been a fraction."""
    rounded = round(number)
    return rounded if abs(number - rounded) < 1e-6 else round(number, 4)


def _segments(name: str, spans: Any, fps: float, frames: int) -> list[list[int]]:
    rows = np.round(np.asarray(spans) * fps)
    if not np.allclose(rows, np.asarray(spans) * fps, atol=1e-3):
        raise DataError(f"{name}: its spans don't begin and end on frames")
    return rows.clip(0, frames).astype(int).tolist()  # type: ignore[no-any-return]


def _boxes(truth: Truth, fps: float, size: tuple[int, int]) -> dict[str, Any]:
    boxes: dict[str, list[list[float]]] = {}
    tracks: dict[str, list[int]] = {}
    frames = np.round(truth.boxes[:, 0] * fps).astype(int)
    for k in np.argsort(frames, kind="stable"):
        corners = ext.to_pixels(truth.boxes[k], *size)
        boxes.setdefault(str(frames[k]), []).append([_plain(float(v)) for v in corners])
        tracks.setdefault(str(frames[k]), []).append(int(truth.track[k]))
    numbered = {"tracks": tracks} if (truth.track >= 0).any() else {}
    return {"boxes": boxes, **numbered}


def _clip(video: Video, truth: Truth, size: tuple[int, int], file: str) -> dict[str, Any]:
    if video.span is not None or video.label is None or video.label != truth.label:
        raise DataError(f"{video.id}: expected a whole video whose label agrees with its truth, got {video.label}")
    fps, frames = _rate(video.id, truth), len(truth.edges) - 1
    record = {"file": file, "frames": frames, "fps": fps, "width": size[0], "height": size[1], "label": video.label}
    if video.category:
        record["class"] = video.category
    if video.camera:
        record["camera"] = video.camera
    if video.label:
        record["segments_0based_halfopen"] = _segments(video.id, truth.spans, fps, frames)
        if truth.categories:
            record["categories"] = list(truth.categories)
        if truth.boxed is None or truth.boxed.all():
            record |= _boxes(truth, fps, size)
        elif truth.boxed.any() or len(truth.boxes):
            raise DataError(f"{video.id}: this format has boxes of all frames or of none")
    return record


def write(
    root: Path,
    dataset: Dataset,
    truths: Mapping[str, Truth],
    sizes: Mapping[str, tuple[int, int]],
    notes: Mapping[str, Any] | None = None,
) -> None:
    """Create a folder that ``load`` and ``truth`` read back the same: whole or not at all.

    ``sizes``: width and height in pixels by id. ``notes``: more keys of ``splits.json``. Video files are copied.
    Raises DataError if ``root`` exists already or something doesn't fit the format.
    """
    root = Path(root)
    if root.exists():
        raise DataError(f"{root}: already there; choose another folder or remove it")
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{root.name}.", dir=root.parent) as draft:
        new = Path(draft) / "new"
        (new / "videos").mkdir(parents=True)
        (new / "masks").mkdir()
        clips = {}
        for video in dataset.videos:
            if video.id not in truths or video.id not in sizes:
                raise DataError(f"{video.id}: needs a truth and a size")
            if Path(video.id).is_absolute() or ".." in Path(video.id).parts:
                raise DataError(f"{video.id}: an id may not lead out of the folder")
            file = f"{fitted(video.id)}{'' if video.path.is_dir() else video.path.suffix}"
            clips[video.id] = _clip(video, truths[video.id], sizes[video.id], file)
            _place(video.path, new / "videos" / file)
            masks = truths[video.id].masks
            if masks is not None and video.label:
                target = new / "masks" / f"{fitted(video.id)}.npz"
                target.parent.mkdir(parents=True, exist_ok=True)
                pack(target, masks())
        if all(t.masks is None for t in truths.values()):
            (new / "masks").rmdir()
        folds = [
            {"name": fold.name, "train": [v.id for v in fold.train], "test": [v.id for v in fold.test]}
            | ({"val": list(fold.validation)} if fold.validation else {})
            for fold in dataset.folds
        ]
        _json(new / "gt.json", clips)
        _json(new / "splits.json", {**(notes or {}), "splits": folds})
        new.rename(root)


def _place(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target)
    elif source.is_file():
        shutil.copyfile(source, target)
    else:
        raise DataError(f"{source}: no such video")


def _json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, separators=(",", ":")) + "\n", "utf-8")
