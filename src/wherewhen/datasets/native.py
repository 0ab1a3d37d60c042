"""The toolkit's own exchange format: a folder with ``gt.json``, ``splits.json``, ``videos/`` and ``masks/``.

Labels and ground truth are in one file but are read by two functions: ``load`` reads no time, box or mask.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np

from wherewhen.core import documents
from wherewhen.core import extents as ext
from wherewhen.core.contracts import DatasetReader, Provenance
from wherewhen.core.errors import DataError, unknown
from wherewhen.core.printable import fitted
from wherewhen.core.values import Dataset, Floats, Fold, Masks, Truth, Video
from wherewhen.datasets._native_write import pack, write
from wherewhen.datasets._table import named, quoted

__all__ = ["PLUGIN", "load", "matches", "pack", "truth", "write"]

Record = dict[str, Any]

MOST_HEAD = 4096  # bytes that an array in an archive has beside its numbers, at most


def _read(path: Path) -> Record:
    if not path.is_file():
        raise DataError(f"{path.parent}: expected a folder with a file {path.name}; see docs/data-format.md")
    content = documents.read_json(path)
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected an object {{...}} at the top, got {type(content).__name__}")
    return content


def _whole(record: Record, key: str, where: str, least: int) -> int:
    value = record.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise DataError(f"{where}: {key!r} must be a whole number of at least {least}, got {value!r}")
    return value


def _inside(path: str) -> bool:
    """Whether a relative path stays in its folder, and a file may be called so."""
    fit = bool(path) and "\0" not in path and not any("\ud800" <= c <= "\udfff" for c in path)
    return fit and not Path(path).is_absolute() and ".." not in Path(path).parts


def _clips(root: Path) -> dict[str, Record]:
    """The entries of ``gt.json`` with everything checked that a label needs."""
    clips = _read(root / "gt.json")
    if not clips:
        raise DataError(f"{root / 'gt.json'}: no clips in it")
    for name, clip in clips.items():
        where = f"{root / 'gt.json'}: {named(name)}"
        needed = ("file", "frames", "fps", "width", "height", "label")
        if not isinstance(clip, dict):
            raise DataError(f"{where}: expected an object with {', '.join(needed)}")
        if not _inside(name):
            raise DataError(f"{where}: a clip's id may not be empty or lead out of the folder")
        missing = [key for key in needed if key not in clip]
        if missing:
            raise DataError(f"{where}: missing {', '.join(missing)}")
        for key in ("frames", "width", "height"):
            _whole(clip, key, where, 1)
        if _whole(clip, "label", where, 0) > 1:
            raise DataError(f"{where}: 'label' is 0 (normal) or 1 (anomalous), got {clip['label']}")
        fps = clip["fps"]
        if isinstance(fps, bool) or not isinstance(fps, int | float) or not 0 < fps < 1e6:
            raise DataError(f"{where}: 'fps' must be a positive number, got {fps!r}")
        for key in ("class", "camera"):
            if not isinstance(clip.get(key, ""), str):
                raise DataError(f"{where}: {key!r} must be a name, got {clip[key]!r}")
        file = clip["file"]
        if not isinstance(file, str) or not _inside(file):
            raise DataError(f"{where}: 'file' must be a path inside videos/, got {file!r}")
    return clips


def _splits(root: Path) -> Record:
    return _read(root / "splits.json") if (root / "splits.json").exists() else {}


def _bags(root: Path, clips: dict[str, Record], splits: Record) -> list[Record]:
    """The labelled units: the bags, or every clip as one bag: ``id clip start end label``."""
    path = root / "splits.json"
    if "bags" not in splits:
        return [{"id": n, "clip": n, "start": 0, "end": c["frames"], "label": c["label"]} for n, c in clips.items()]
    bags = splits["bags"]
    if not isinstance(bags, list) or not all(isinstance(bag, dict) for bag in bags):
        raise DataError(f"{path}: 'bags' must be a list of objects")
    for bag in bags:
        name, clip = bag.get("id"), bag.get("clip")
        where = f"{path}: bag {quoted(name)}"
        if not isinstance(name, str) or not name:
            raise DataError(f"{where}: every bag needs an 'id'")
        if clip not in clips:
            raise DataError(f"{where}: {unknown('clip', str(clip), clips)}")
        frames = clips[clip]["frames"]
        start, end = _whole(bag, "start", where, 0), _whole(bag, "end", where, 1)
        if not start < end <= frames:
            raise DataError(f"{where}: frames {start} to {end} are not within the clip's {frames}")
        if _whole(bag, "label", where, 0) > 1:
            raise DataError(f"{where}: 'label' is 0 (normal) or 1 (anomalous), got {bag['label']}")
        if bag["label"] > clips[clip]["label"]:
            raise DataError(f"{where}: anomalous, but its clip {named(clip)} is normal")
        if name in clips and (name != clip or (start, end) != (0, frames)):
            raise DataError(f"{where}: a bag that is called like a clip must be that whole clip")
    return bags


def _names(fold: Record, keys: tuple[str, ...], videos: Mapping[str, Video], where: str) -> tuple[Video, ...]:
    members = []
    for key in keys:
        if not isinstance(fold[key], list):
            raise DataError(f"{where}: {key!r} must be a list of ids")
        for name in fold[key]:
            if not isinstance(name, str) or name not in videos:
                raise DataError(f"{where}: {key}: {unknown('id', str(name), videos)}")
            video = videos[name]
            if (key, video.label) in (("test_abnormal", 0), ("test_normal", 1)):
                raise DataError(f"{where}: {named(name)} is in {key!r} but has label {video.label}")
            members.append(video)
    return tuple(members)


def _folds(root: Path, splits: Record, videos: Mapping[str, Video]) -> tuple[Fold, ...]:
    path, folds = root / "splits.json", []
    for key in splits:
        if key != "splits" and not key.startswith("folds"):
            continue
        if not isinstance(splits[key], list):
            raise DataError(f"{path}: {key!r} must be a list")
        for number, fold in enumerate(splits[key]):
            where = f"{path}: {key}[{number}]"
            tests = ("test",) if isinstance(fold, dict) and "test" in fold else ("test_abnormal", "test_normal")
            missing = [k for k in ("train", *tests) if not isinstance(fold, dict) or k not in fold]
            if missing:
                raise DataError(f"{where}: missing {', '.join(missing)}; expected 'train' and 'test'")
            name = str(fold.get("name", f"seed{fold['seed']}" if "seed" in fold else f"fold{number}"))
            train, test = _names(fold, ("train",), videos, where), _names(fold, tests, videos, where)
            held = _names(fold, ("val",), videos, where) if "val" in fold else ()
            if held and {video.label for video in held} != {0, 1}:
                raise DataError(f"{where}: 'val' has videos of one label only; validation needs both")
            learn = train + tuple(video for video in held if video not in train)
            try:
                folds.append(Fold(name, learn, test, tuple(video.id for video in held)))
            except ValueError as error:
                raise DataError(f"{where}: {error}") from error
    return tuple(folds)


def load(root: Path) -> Dataset:
    """Videos with labels, and folds; a bag that is a part of its clip has a span in seconds of the file.

    Raises DataError if a key is missing or wrong, an id is unknown or a video file is not there.
    """
    root = Path(root)
    clips, splits = _clips(root), _splits(root)
    videos: dict[str, Video] = {}
    for bag in _bags(root, clips, splits):
        clip = clips[bag["clip"]]
        path = root / "videos" / clip["file"]
        if not path.exists():
            raise DataError(f"{root}: video of {bag['clip']!r} not found: expected {path}")
        if bag["id"] in videos:
            raise DataError(f"{root / 'splits.json'}: two bags are called {bag['id']!r}")
        whole = (bag["start"], bag["end"]) == (0, clip["frames"])
        span = None if whole else (bag["start"] / clip["fps"], bag["end"] / clip["fps"])
        category = clip.get("class") if bag["label"] else None
        videos[bag["id"]] = Video(bag["id"], path, bag["label"], category, span, clip.get("camera"))
    return Dataset(root.resolve().name, tuple(videos.values()), _folds(root, splits, videos))


def _segments(clip: Record, where: str) -> list[tuple[int, int]]:
    key, frames = "segments_0based_halfopen", clip["frames"]
    segments = clip.get(key)
    if segments is None:
        if clip["label"]:
            raise DataError(f"{where}: label 1 but no {key!r}, so nothing can be evaluated")
        return []
    for pair in segments if isinstance(segments, list) else [segments]:
        if not isinstance(pair, list) or len(pair) != 2 or not all(type(k) is int for k in pair):
            raise DataError(f"{where}: {key!r} must be a list of [first, last + 1], got {pair!r}")
        if not 0 <= pair[0] < pair[1] <= frames:
            raise DataError(f"{where}: segment {pair} is not within frames 0 to {frames}")
    if bool(segments) != bool(clip["label"]):
        raise DataError(f"{where}: label {clip['label']} but {len(segments)} segments")
    names = clip.get("categories", [])
    if names and (not isinstance(names, list) or len(names) != len(segments)):
        raise DataError(f"{where}: 'categories' must name each of the {len(segments)} segments")
    return [(a, b) for a, b in segments]


def _boxes(clip: Record, where: str) -> tuple[list[tuple[int, float, float, float, float]], list[int]]:
    """Rows ``frame x1 y1 x2 y2`` in frame order and their track numbers, -1 where none is given."""
    boxes, tracks = clip.get("boxes", {}), clip.get("tracks", {})
    if not isinstance(boxes, dict) or not isinstance(tracks, dict):
        raise DataError(f"{where}: 'boxes' and 'tracks' must be objects with frame numbers as keys")
    if not set(tracks) <= set(boxes):
        raise DataError(f"{where}: 'tracks' in frames without boxes: {', '.join(sorted(set(tracks) - set(boxes)))}")
    if boxes and not clip["label"]:
        raise DataError(f"{where}: label 0 but it has boxes")
    rows: list[tuple[int, float, float, float, float]] = []
    numbers: list[int] = []
    for key in boxes:
        if not key.isdigit() or int(key) >= clip["frames"]:
            raise DataError(f"{where}: box in frame {key!r}, but the frames are 0 to {clip['frames'] - 1}")
    for key in sorted(boxes, key=int):
        if not isinstance(boxes[key], list):
            raise DataError(f"{where}: frame {key}: expected a list of boxes, got {boxes[key]!r}")
        ids = tracks.get(key, [-1] * len(boxes[key]))
        if not isinstance(ids, list) or len(ids) != len(boxes[key]) or not all(type(k) is int for k in ids):
            raise DataError(f"{where}: frame {key}: {len(boxes[key])} boxes but tracks {ids!r}")
        for box in boxes[key]:
            good = isinstance(box, list) and len(box) == 4 and all(isinstance(v, int | float) for v in box)
            if not good or not (0 <= box[0] < box[2] <= clip["width"] and 0 <= box[1] < box[3] <= clip["height"]):
                size = f"{clip['width']}x{clip['height']}"
                raise DataError(f"{where}: frame {key}: box {box!r} is no [x1, y1, x2, y2] inside {size} pixels")
            x1, y1, x2, y2 = map(float, box)
            rows.append((int(key), x1, y1, x2, y2))
        numbers += ids
    return rows, numbers


def _masks(path: Path, shape: tuple[int, int, int], start: int, end: int) -> Masks:
    """Pixel masks ``(end - start, H, W)`` of a clip of the given shape; without a file nothing is marked."""
    if not path.exists():
        return np.zeros((end - start, *shape[1:]), bool)
    try:
        _check_sizes(path, shape[0] * shape[1] * -(-shape[2] // 8))
        with np.load(path, allow_pickle=False) as content:
            if "mask" not in content or "shape" not in content or tuple(content["shape"].tolist()) != shape:
                stored_shape = tuple(content["shape"].tolist()) if "shape" in content else "none"
                raise DataError(f"{path}: expected arrays 'mask' and 'shape' {shape}, found shape {stored_shape}")
            packed = content["mask"]
    except DataError:
        raise
    except Exception as error:  # a damaged archive may raise nearly anything
        raise DataError(f"{path}: not a readable npz file ({type(error).__name__}: {str(error)[:120]})") from None
    if packed.dtype != np.uint8 or packed.shape != (*shape[:2], -(-shape[2] // 8)):
        raise DataError(f"{path}: 'mask' must be np.packbits of {shape} along the last axis, got {packed.shape}")
    return np.unpackbits(packed[start:end], axis=-1, count=shape[2]).astype(bool)


def _check_sizes(path: Path, expected: int) -> None:
    """DataError for an archive whose parts are larger than masks of ``expected`` bytes, before they are unpacked."""
    with ZipFile(path) as archive:
        for entry in archive.infolist():
            if entry.file_size > expected + MOST_HEAD:
                message = (
                    f"{path}: {entry.filename} unpacks to {entry.file_size:,} bytes, expected {expected:,} at most"
                )
                raise DataError(message)


def _truth(root: Path, name: str, clip: Record, start: int, end: int) -> Truth:
    where = f"{root / 'gt.json'}: {named(name)}"
    fps = float(clip["fps"])
    segments, (rows, tracks) = _segments(clip, where), _boxes(clip, where)
    names = clip.get("categories") or ([clip["class"]] * len(segments) if "class" in clip else [])
    inside_span = [k for k, (a, b) in enumerate(segments) if a < end and b > start]
    table = np.array(rows, np.float64).reshape(-1, 5)
    inside = (table[:, 0] >= start) & (table[:, 0] < end)
    table, numbers = table[inside], np.array(tracks, np.int64).reshape(-1)[inside]
    times: Floats = np.stack([table[:, 0], table[:, 0] + 1], -1) / fps
    file = root / "masks" / f"{fitted(name)}.npz"
    masked = file.exists() or (not clip["label"] and (root / "masks").is_dir())
    shape = (clip["frames"], clip["height"], clip["width"])
    return Truth(
        edges=np.arange(start, end + 1) / fps,
        spans=np.array([[max(segments[k][0], start), min(segments[k][1], end)] for k in inside_span]).reshape(-1, 2)
        / fps,
        boxes=ext.from_pixels(table[:, 1:], times, clip["width"], clip["height"]),
        track=numbers,
        categories=tuple(str(names[k]) for k in inside_span) if names else (),
        masks=partial(_masks, file, shape, start, end) if masked else None,
        boxed=None if "boxes" in clip or not clip["label"] else np.zeros(end - start, bool),
    )


def truth(root: Path) -> dict[str, Truth]:
    """Ground truth of every clip and every bag, by id; times stay those of the file, masks are read on access.

    Raises DataError where times, boxes and labels contradict each other.
    """
    root = Path(root)
    clips = _clips(root)
    truths = {name: _truth(root, name, clip, 0, clip["frames"]) for name, clip in clips.items()}
    for bag in _bags(root, clips, _splits(root)):
        if bag["id"] not in clips:
            truths[bag["id"]] = _truth(root, bag["clip"], clips[bag["clip"]], bag["start"], bag["end"])
        if truths[bag["id"]].label != bag["label"]:
            where = f"{root / 'splits.json'}: bag {bag['id']!r}"
            raise DataError(f"{where}: label {bag['label']} in conflict with the segments of {bag['clip']!r}")
    return truths


def reader_of(root: Path) -> str | None:
    """The reader that a folder with a ``gt.json`` names (``reader`` in ``splits.json``), None if there is none.

    A damaged ``gt.json`` or ``splits.json`` is still one: ``load`` raises the error.
    """
    if not (Path(root) / "gt.json").is_file():
        return None
    try:
        return str(_splits(Path(root)).get("reader", "native"))
    except DataError:
        return "native"


def matches(root: Path) -> bool:
    """Whether a folder has this layout and names no other reader."""
    return reader_of(root) == "native"


PLUGIN = DatasetReader(
    source=Provenance("wherewhen's own exchange format"),
    matches=matches,
    load=load,
    truth=truth,
    split_rule="the folds in splits.json, as they are",
)
