"""ShanghaiTech Campus: frame masks, pixel masks and region tracks, in the weak and in the official fold.

Layout: ``SH_Train.txt`` and ``SH_Test.txt`` (weak fold), ``test_frame_mask/<id>.npy``, and if there,
``test_pixel_mask/<id>.npy``, ``tracks/<id>.txt``, ``training/videos/<id>.avi``, ``testing/frames/<id>/*.jpg``.
A four-digit second number (``01_0014``) marks a test video of the official fold, in which something happens; a
three-digit one (``01_001``) a normal training video. ``01_0014`` and ``01_014`` are two videos.
Arrays have a value per frame. Tracks count frames from 0 (every box is in a frame marked anomalous, and shifting by
one either way breaks that) and include their last pixel (855 and 479 occur in pictures of 856x480, 856 and 480 never).
Normal videos have no array: their lengths come from ``videos.json``.
"""

from __future__ import annotations

from pathlib import Path

from wherewhen.core.contracts import DatasetReader, Provenance
from wherewhen.core.diagnostics import report
from wherewhen.core.values import Dataset, Fold, Masks, Truth, Video
from wherewhen.core.video_info import Measures, Usual
from wherewhen.datasets import _files, _masks, _tubes
from wherewhen.datasets._codes import CAMERA
from wherewhen.datasets._folds import apart
from wherewhen.datasets._truths import Draft, build, normal, runs

USUAL = Usual(fps=24, width=856, height=480)
"""Luo, Liu, Gao 2017, and Liu et al. 2018: 24 frames per second, 480 x 856 pixels."""

ARRAYS, PIXELS = "test_frame_mask", "test_pixel_mask"


def _label(key: str, where: object) -> int | None:
    match = CAMERA.fullmatch(key)
    if match is None:
        report("row-malformed", "expected a name like 01_0014 (test) or 01_001 (training)", key, where)
        return None
    return int(len(match[1]) == 4)


def load(root: Path) -> Dataset:
    """437 videos; fold ``weak`` (both labels on both sides), and ``official`` (normal training videos only)."""
    footage = _files.Footage(root)
    sides: list[tuple[Video, ...]] = []
    for side in ("Train", "Test"):
        path = _files.need(root, f"SH_{side}.txt", f"SH_{side}_list.txt", content=f"the weak {side.lower()} list")
        videos = []
        for key, _ in _files.listed(path):
            if (label := _label(key, path)) is not None:
                place = f"testing/frames/{key}" if label else f"training/videos/{key}.avi"
                videos.append(Video(key, footage.path(key, place), label))
        sides.append(tuple(videos))
    train, test = apart(sides[0], sides[1], root)
    every = tuple(sorted(train + test, key=lambda video: video.id))
    normal, anomalous = (tuple(v for v in every if v.label == label) for label in (0, 1))
    official = Fold("official", normal, anomalous)
    return Dataset("shanghaitech", every, (Fold("weak", train, test), official))


def _marks(folder: Path, key: str) -> Masks | None:
    path = folder / f"{key}.npy"
    if not path.exists():
        report("truth-missing", f"no frame marks; expected {path}", key, folder)
        return None
    marks = _files.array(path)
    if marks.ndim != 1 or not len(marks):
        report("mask-shape", f"expected one number per frame, got shape {marks.shape}", key, path)
        return None
    flags: Masks = marks != 0
    return flags


def _draft(root: Path, key: str, marks: Masks, tracks: Path | None) -> Draft:
    draft = Draft(runs(marks), where=f"{key}.npy")
    if tracks is not None and (path := tracks / f"{key}.txt").exists():
        draft.boxes, draft.where = _tubes.read(path, key, inclusive=True), path
    else:
        draft.boxed_frames = ()
    pixels = _files.locate(root, PIXELS)
    if pixels is not None and (path := pixels / f"{key}.npy").exists():
        shape = _files.array(path).shape
        if len(shape) != 3 or shape[0] != len(marks):
            report("mask-shape", f"pixel masks {shape} for {len(marks)} frame marks", key, path)
        else:
            draft.masks = _masks.from_array(path)
    return draft


def truth(root: Path) -> dict[str, Truth]:
    """Spans, region tracks and pixel masks of the anomalous videos; nothing in the normal ones of the weak test."""
    dataset = load(root)
    folder = _files.need(root, ARRAYS, content="the frame marks")
    tracks = _files.locate(root, "tracks")
    marks = {v.id: m for v in dataset.videos if v.label and (m := _marks(folder, v.id)) is not None}
    quiet = [v.id for v in dataset.folds[0].test if not v.label]
    table = Measures(root, USUAL)
    quiet += [v.id for v in dataset.folds[0].train if not v.label and table.find(v.id)]
    measures = table.need([*marks, *quiet], {key: len(flags) for key, flags in marks.items()})
    return {
        key: build(key, measure, _draft(root, key, marks[key], tracks)) if key in marks else normal(measure)
        for key, measure in measures.items()
    }


PLUGIN = DatasetReader(
    Provenance(
        "ShanghaiTech Campus",
        "https://svip-lab.github.io/dataset/campus_dataset.html",
        "research use, cite; region tracks CC BY-NC-ND 4.0",
        "Luo, Liu, Gao: A Revisit of Sparse Coding Based Anomaly Detection. ICCV 2017; split: Zhong et al., CVPR 2019; "
        "tracks: Georgescu et al., TPAMI 2021",
    ),
    lambda root: _files.locate(root, "SH_Train.txt") is not None and _files.locate(root, ARRAYS) is not None,
    load,
    truth,
    "weak: 63 anomalous + 175 normal train, 44 + 155 test (Zhong et al. 2019); official: 330 normal train, 107 test",
    {"train anomalous": 63, "train normal": 175, "test anomalous": 44, "test normal": 155, "videos": 437},
)
