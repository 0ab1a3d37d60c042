"""UBnormal: virtual scenes with the exact shape and time of every anomaly.

Layout: the six lists ``{normal,abnormal}_{training,validation,test}_video_names.txt`` (in the root or ``scripts/``),
videos ``Scene<n>/<id>.mp4``, and for abnormal ones ``Scene<n>/<id>_annotations/`` with ``<id>_tracks.txt`` (rows
``object,start,end``; ``<id>_new_tracks.txt`` goes first) and pictures ``<id>_0000_gt.png`` whose values are object
numbers. Frames count from 0 and the end is included (the publishers mark ``start : end + 1`` and open the picture of
frame ``end``). A box is the one around the object's largest part, as in the publishers' script.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from wherewhen.core.contracts import DatasetReader, Provenance
from wherewhen.core.diagnostics import report
from wherewhen.core.values import Dataset, Floats, Fold, Truth, Video
from wherewhen.core.video_info import Measures, Usual
from wherewhen.datasets import _files, _masks
from wherewhen.datasets._folds import apart
from wherewhen.datasets._truths import Draft, build, normal

USUAL = Usual(fps=30)
"""Acsintoae et al. 2022: 30 frames per second; sizes differ by scene."""


def _list(root: Path, label: str, side: str) -> Path:
    return _files.need(root, f"{label}_{side}_video_names.txt", content=f"the list of {label} {side} videos")


def _side(root: Path, side: str, footage: _files.Footage) -> tuple[Video, ...]:
    out = []
    for word, label in (("normal", 0), ("abnormal", 1)):
        path = _list(root, word, side)
        for key, _ in _files.listed(path):
            scene = re.match(rf"{word}_scene_(\d+)_scenario", key)
            if scene is None:
                report("label-conflict", f"expected {word}_scene_<n>_scenario_<m> in this list", key, path)
            place = f"Scene{scene[1]}/{key}.mp4" if scene else f"{key}.mp4"
            out.append(Video(key, footage.path(key, place), label))
    return tuple(out)


def load(root: Path) -> Dataset:
    """543 videos; fold ``official`` tests on the test videos, fold ``validation`` on the validation videos."""
    footage = _files.Footage(root)
    train, validation, test = (_side(root, side, footage) for side in ("training", "validation", "test"))
    train, test = apart(train, test, root)
    train, validation = apart(train, validation, root)
    folds = (Fold("official", train, test), Fold("validation", train, validation))
    return Dataset("ubnormal", train + validation + test, folds)


def _tracks(folder: Path, key: str) -> list[tuple[int, int, int]]:
    path = next((p for p in (folder / f"{key}_new_tracks.txt", folder / f"{key}_tracks.txt") if p.exists()), None)
    if path is None:
        report("truth-missing", f"no tracks; expected {folder / f'{key}_tracks.txt'}", key, folder)
        return []
    out = []
    for number, row in _files.lines(path):
        try:
            item, first, last = (int(float(field)) for field in row.replace(",", " ").split())
        except ValueError:
            report("row-malformed", f"expected object,start,end, got: {row}", key, f"{path}:{number}")
            continue
        out.append((item, first, last + 1))
    return out


def _largest(parts: Floats) -> Floats:
    sizes = (parts[:, 4] - parts[:, 2]) * (parts[:, 5] - parts[:, 3])
    return np.asarray(parts[sizes.argmax()], np.float64)


def _boxes(tracks: list[tuple[int, int, int]], maps: dict[int, Path]) -> Iterator[Floats]:
    for frame, path in maps.items():
        present = [(n, item) for n, (item, first, stop) in enumerate(tracks) if first <= frame < stop]
        if not present:
            continue
        image = _masks.picture(path)
        for track, item in present:
            parts = _masks.boxes(image == item, frame)
            if len(parts):
                box = _largest(parts)
                yield np.concatenate([[track], box[1:]])


def _draft(folder: Path, key: str, frames: int) -> tuple[Draft, tuple[int, int]]:
    """The draft and the size (width, height) of the object maps."""
    tracks = _tracks(folder, key)
    maps = {int(p.stem[-7:-3]): p for p in sorted(folder.glob(f"{key}_[0-9][0-9][0-9][0-9]_gt.png"))}
    draft = Draft(
        _merged([(first, stop) for _, first, stop in tracks]), where=folder, boxed_frames=() if not maps else None
    )
    if not maps:
        return draft, (0, 0)
    height, width = _masks.picture(next(iter(maps.values()))).shape
    draft.boxes = np.array([*_boxes(tracks, maps)]).reshape(-1, 6)
    inside = {frame: path for frame, path in maps.items() if frame < frames}
    draft.masks = _masks.from_pictures(inside, frames)
    return draft, (width, height)


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The union of spans: objects may misbehave at the same time."""
    out: list[tuple[int, int]] = []
    for first, stop in sorted(spans):
        if out and first <= out[-1][1]:
            out[-1] = (out[-1][0], max(out[-1][1], stop))
        else:
            out.append((first, stop))
    return out


def truth(root: Path) -> dict[str, Truth]:
    """Spans, boxes and masks of test and validation videos; nothing in the normal ones."""
    table = Measures(root, USUAL)
    videos = {video.id: video for fold in load(root).folds for video in fold.test}
    out = {}
    for key, measure in table.need(videos).items():
        if not videos[key].label:
            out[key] = normal(measure)
            continue
        folder = _files.locate(root, f"{videos[key].path.parent.name}/{key}_annotations")
        if folder is None:
            expected = videos[key].path.with_name(f"{key}_annotations")
            report("truth-missing", f"no annotation; expected {expected}", key, root)
            continue
        draft, size = _draft(folder, key, measure.frames)
        out[key] = build(key, table.find(key, size=size) or measure, draft)
    return out


PLUGIN = DatasetReader(
    Provenance(
        "UBnormal",
        "https://github.com/lilygeorgescu/UBnormal",
        "CC BY-NC-ND 4.0",
        "Acsintoae et al.: UBnormal: New Benchmark for Supervised Open-Set Video Anomaly Detection. CVPR 2022",
    ),
    lambda root: _files.locate(root, "abnormal_test_video_names.txt") is not None,
    load,
    truth,
    "official: 82 abnormal + 186 normal train, 38 + 26 validation, 158 + 53 test; no kind of anomaly is in two of them",
    {"train anomalous": 82, "train normal": 186, "test anomalous": 158, "test normal": 53, "videos": 543},
)
