"""Street Scene: one street seen from above, 35 test sequences with tracked boxes.

Layout: ``Train/Train001/001.jpg`` ..., ``Test/Test001/001.jpg`` ... and ``Test/Test001/Test001_gt.txt`` with rows
``001.jpg track x y width height``. Picture numbers count from 1 (the authors' own script takes 1 off), and x, y is
the middle of the box (read from a public reader of the same authors' annotation of Ped2, not from a real file).
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from wherewhen.core.contracts import DatasetReader, Provenance
from wherewhen.core.diagnostics import report
from wherewhen.core.values import Dataset, Floats, Fold, Truth, Video
from wherewhen.core.video_info import Measures, Usual
from wherewhen.datasets import _files, _tubes
from wherewhen.datasets._truths import Draft, build, normal

USUAL = Usual(fps=15, width=1280, height=720)
"""Ramachandra, Jones 2020: 1280 x 720 pixels, 15 frames per second."""


def load(root: Path) -> Dataset:
    """Sequences ``Train001`` ... and ``Test001`` ...; the official fold trains on normal ones alone."""
    sides = []
    for side in ("Train", "Test"):
        home = _files.need(root, side, content=f"the folder of {side.lower()} sequences")
        folders = sorted(p for p in home.iterdir() if p.is_dir() and re.fullmatch(rf"{side}\d{{3}}", p.name))
        sides.append(tuple(Video(p.name, p, int(side == "Test")) for p in folders))
    train, test = sides
    return Dataset("street_scene", train + test, (Fold("official", train, test),))


def boxes(path: Path, video: str) -> Floats:
    """Rows ``track, frame, x0, y0, x1, y1`` of one sequence."""
    out = []
    for number, row in _files.lines(path):
        try:
            name, *fields = row.replace(",", " ").split()
            track, x, y, width, height = (float(field) for field in fields)
            frame = int(_files.stem(name)) - 1
        except ValueError:
            report("row-malformed", f"expected 001.jpg track x y width height, got: {row}", video, f"{path}:{number}")
            continue
        out.append([track, frame, x - width / 2, y - height / 2, x + width / 2, y + height / 2])
    return np.array(out, np.float64).reshape(-1, 6)


def truth(root: Path) -> dict[str, Truth]:
    """Boxes of the test sequences, and spans where there is any; nothing in the training sequences."""
    videos = {video.id: video for video in load(root).videos}
    lengths = {key: len(_files.pictures(video.path)) for key, video in videos.items()}
    out = {}
    for key, measure in Measures(root, USUAL).need(videos, lengths).items():
        if not videos[key].label:
            out[key] = normal(measure)
            continue
        path = _files.locate(videos[key].path, f"{key}_gt.txt") or _files.locate(root, f"{key}_gt.txt")
        if path is None:
            report("truth-missing", f"no boxes; expected {videos[key].path / f'{key}_gt.txt'}", key, root)
            continue
        rows = boxes(path, key)
        out[key] = build(key, measure, Draft(_tubes.spans(rows), boxes=rows, where=path))
    return out


PLUGIN = DatasetReader(
    Provenance(
        "Street Scene",
        "https://www.merl.com/research/highlights/video-anomaly-detection",
        "see the notice that comes with the release",
        "Ramachandra, Jones: Street Scene: A New Dataset and Evaluation Protocol. WACV 2020",
    ),
    lambda root: (root / "Test").is_dir() and bool(list(root.glob("Test/Test*/Test*_gt.txt"))),
    load,
    truth,
    "official: 46 normal sequences train, 35 with anomalies test",
    {"train anomalous": 0, "train normal": 46, "test anomalous": 35, "test normal": 0},
)
