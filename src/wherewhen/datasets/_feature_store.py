"""The index of a feature store, and the ground truth of its videos."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from wherewhen.core import documents
from wherewhen.core.array_files import Arrays, load, save
from wherewhen.core.errors import DataError, StoreError
from wherewhen.core.feature_file import INDEX, inside
from wherewhen.core.store import plain, write_json
from wherewhen.core.values import Dataset, Fold, Masks, Truth, Video
from wherewhen.datasets._table import quoted

FORMAT = 1
TRUTH = "truth"


def read_index(store: Path) -> dict[str, Any]:
    """The index of a store; DataError where there is none or it can't be understood."""
    path = store / INDEX
    if not path.is_file():
        raise DataError(f"{store}: expected a store of features with a file {INDEX}; wherewhen extract writes one")
    index = documents.read_json(path)
    if not isinstance(index, dict) or index.get("format") != FORMAT:
        raise DataError(f"{path}: expected an index of format {FORMAT}; extract again with this version")
    if fault := _fault(index):
        raise DataError(f"{path}: {fault}; extract again, or restore the file")
    return index


def _fault(index: Mapping[str, Any]) -> str | None:
    """The fault of an index, in words; None where it is valid."""
    videos, folds, feature_sets = index.get("videos"), index.get("folds", []), index.get("looks")
    if not isinstance(feature_sets, dict) or not isinstance(videos, list) or not isinstance(folds, list):
        return "expected 'videos', 'folds' and 'looks'"
    ids = set()
    for row in videos:
        name = row.get("id") if isinstance(row, dict) else None
        if not isinstance(name, str) or not name or name in ids:
            return f"a video needs a unique id, got {quoted(name)}"
        ids.add(name)
        if row.get("label") not in (0, 1, None) or not all(
            isinstance(row.get(key), str | None) for key in ("category", "camera")
        ):
            return f"{quoted(name)}: label is 0, 1 or null, category and camera names or null"
        span = row.get("span")
        numbers = isinstance(span, list) and len(span) == 2 and all(type(value) in (int, float) for value in span)
        if span is not None and not (numbers and 0 <= span[0] < span[1]):
            return f"{quoted(name)}: span is a rising pair of seconds or null"
    return next((fault for fault in map(_fold_fault, folds) if fault), None)


def _fold_fault(fold: Any) -> str | None:
    """The fault of a fold of an index; None where it is valid."""
    if not isinstance(fold, dict) or not isinstance(fold.get("name"), str):
        return "a fold needs a name"
    parts = [fold.get("train"), fold.get("test"), fold.get("validation", [])]
    if not all(isinstance(part, list) and all(isinstance(name, str) for name in part) for part in parts):
        return f"fold {quoted(fold['name'])}: expected lists of ids for train and test"
    train, test, held = map(set, parts)
    if train & test or held - train:
        return f"fold {quoted(fold['name'])}: a video is in train and test, or validates without being in train"
    return None


def read_videos(store: Path, index: Mapping[str, Any]) -> Dataset:
    """The videos of a store, each at its first file of features, and their folds."""
    first = next(iter(index["looks"]), "none")
    videos = {
        row["id"]: Video(
            row["id"],
            inside(store, first, row["id"]),
            row.get("label"),
            row.get("category"),
            tuple(row["span"]) if row.get("span") else None,
            row.get("camera"),
        )
        for row in index["videos"]
    }
    folds = []
    for fold in index.get("folds", []):
        train, test = (tuple(videos[name] for name in fold[part] if name in videos) for part in ("train", "test"))
        held = tuple(name for name in fold.get("validation", ()) if name in videos)
        folds.append(Fold(fold["name"], train, test, held))
    default = index.get("default", "")
    named = {fold.name for fold in folds}
    return Dataset(str(index.get("name")), tuple(videos.values()), tuple(folds), default if default in named else "")


def write_index(store: Path, dataset: Dataset, feature_sets: Mapping[str, Any]) -> None:
    """Write the index of a store; its videos, folds and feature sets join those of an existing index."""
    before = read_index(store) if (store / INDEX).exists() else {"videos": [], "folds": [], "looks": {}}
    rows = [
        {"id": v.id, "label": v.label, "category": v.category, "span": plain(v.span), "camera": v.camera}
        for v in dataset.videos
    ]
    folds = [
        {
            "name": f.name,
            "train": [v.id for v in f.train],
            "test": [v.id for v in f.test],
            "validation": list(f.validation),
        }
        for f in dataset.folds
    ]
    write_json(
        store / INDEX,
        {
            "format": FORMAT,
            "name": before.get("name", dataset.name),
            "default": before.get("default") or dataset.default,
            "looks": {**before["looks"], **feature_sets},
            "videos": _joined(before["videos"], rows, "id"),
            "folds": _joined(before["folds"], folds, "name"),
        },
        ours=True,
    )


def _joined(old: list[Any], new: list[Any], key: str) -> list[Any]:
    return list({row[key]: row for row in (*old, *new)}.values())


def write_truths(store: Path, truths: Mapping[str, Truth]) -> None:
    """Write ground truth, one file per video, pixel masks packed; an older file of that video is replaced."""
    for name, truth in truths.items():
        path = inside(store, TRUTH, name)
        arrays: Arrays = {"edges": truth.edges, "spans": truth.spans, "boxes": truth.boxes, "track": truth.track}
        if truth.boxed is not None:
            arrays["boxed"] = truth.boxed.astype(np.uint8)
        metadata: dict[str, Any] = {"categories": truth.categories}
        if truth.masks is not None:
            masks = truth.masks()
            arrays["masks"] = np.packbits(masks, axis=-1)
            metadata["width"] = masks.shape[2]
        if not _holds(path, arrays, plain(metadata)):
            save(path, arrays, metadata)


def _holds(path: Path, arrays: Arrays, metadata: Mapping[str, Any]) -> bool:
    """Whether a file holds exactly these arrays and metadata; False for a damaged one."""
    try:
        before, stored = load(path)
    except StoreError:
        return False
    return (
        stored == metadata
        and before.keys() == arrays.keys()
        and all(np.array_equal(before[k], arrays[k]) for k in arrays)
    )


def read_truths(store: Path, names: list[str]) -> dict[str, Truth]:
    """Ground truth by video id, where the store has it; masks are read on access."""
    truths = {}
    for name in names:
        path = inside(store, TRUTH, name)
        if path.exists():
            try:
                truths[name] = _truth(path)
            except StoreError as error:
                raise DataError(str(error)) from None
            except (KeyError, ValueError, TypeError) as error:
                raise DataError(f"{path}: not a file of truth ({error}); delete it and extract again") from None
    return truths


def _truth(path: Path) -> Truth:
    arrays, metadata = load(path)
    boxed = arrays["boxed"].astype(bool) if "boxed" in arrays else None
    masks = partial(_masks, path, metadata["width"]) if "width" in metadata else None
    edges, spans, boxes, track = (arrays[name] for name in ("edges", "spans", "boxes", "track"))
    return Truth(edges, spans, boxes, track, tuple(metadata["categories"]), masks, boxed)


def _masks(path: Path, width: int) -> Masks:
    arrays, _ = load(path)
    return np.unpackbits(arrays["masks"], axis=-1, count=width).astype(bool)


def is_store(root: Path) -> bool:
    """Whether a folder is a store of features, also where its index is damaged: reading it raises the error."""
    return (Path(root) / INDEX).is_file()
