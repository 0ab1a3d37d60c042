"""Shared parts of the readers of UCF-Crime: lists, official spans, lengths.

Layout (any of it may lie in subfolders): ``Anomaly_Train.txt``, ``Anomaly_Test.txt``,
``Temporal_Anomaly_Annotation.txt``, videos as ``<Category>/<id>.mp4``, and ``videos.json`` with their lengths.
The spans count frames from 1 and include their end: the publishers' evaluation indexes a MATLAB vector with
``start:end``, after raising the start to 1 and cutting the end at the video's length.
"""

from __future__ import annotations

import re
from pathlib import Path

from wherewhen.core.contracts import Provenance
from wherewhen.core.diagnostics import report
from wherewhen.core.values import Dataset, Fold, Video
from wherewhen.core.video_info import Measures, Usual
from wherewhen.datasets import _files
from wherewhen.datasets._folds import apart
from wherewhen.datasets._truths import Draft, from_one, pairs

USUAL = Usual(fps=30, width=320, height=240)
"""Sultani et al. 2018: pictures of 320x240, rate fixed to 30."""

TRAIN = ("Anomaly_Train.txt", "Anomaly_Detection_splits/Anomaly_Train.txt")
TEST = ("Anomaly_Test.txt", "Anomaly_Detection_splits/Anomaly_Test.txt")
SPANS = ("Temporal_Anomaly_Annotation.txt", "Temporal_Anomaly_Annotation_for_Testing_Videos.txt")
BOXES = ("Test_annotation.pkl", "merged_ucf_crime.json", "merged_UCF_Crime.json", "tubes")
"""What box sets put beside them."""

SOURCE = Provenance(
    "UCF-Crime: real-world anomalies in surveillance videos",
    "https://www.crcv.ucf.edu/projects/real-world/",
    "none stated; research use, cite",
    "Sultani, Chen, Shah: Real-world Anomaly Detection in Surveillance Videos. CVPR 2018",
)
SPLIT = "official lists: 810 anomalous + 800 normal videos train, 140 + 150 test; labels on whole videos"
COUNTS = {
    "train anomalous": 810,
    "train normal": 800,
    "test anomalous": 140,
    "test normal": 150,
}


def matches(root: Path) -> bool:
    """Whether the lists and the official spans are there."""
    return all(_files.locate(root, *names) is not None for names in (TRAIN, TEST, SPANS))


def _video(key: str, listed: str, footage: _files.Footage, where: Path) -> Video:
    folder = listed.replace("\\", "/").rpartition("/")[0].rpartition("/")[2]
    by_name, by_folder = key.startswith("Normal"), "Normal" in folder
    if folder and (by_name != by_folder or not (by_name or key.startswith(folder))):
        report("label-conflict", f"the name has {key}, the folder {folder}", key, where)
    category = "" if by_name else folder or re.split(r"\d", key)[0]
    relative = listed.replace("\\", "/").lstrip("/") if folder else f"{key}.mp4"
    return Video(key, footage.path(key, relative), int(not by_name), category or None)


def load(root: Path, name: str) -> Dataset:
    """Videos and the official fold; the label is that of the name's beginning, ``Normal`` or a category."""
    footage = _files.Footage(root)
    sides = []
    for names, content in ((TRAIN, "the list of training videos"), (TEST, "the list of test videos")):
        path = _files.need(root, *names, content=content)
        sides.append(tuple(_video(key, listed, footage, path) for key, listed in _files.listed(path)))
    train, test = apart(sides[0], sides[1], root)
    return Dataset(name, train + test, (Fold("official", train, test),))


def drafts(root: Path) -> dict[str, Draft]:
    """The official spans by video id: rows ``name category start end start end``, -1 where there is none."""
    path = _files.need(root, *SPANS, content="the temporal annotation")
    out: dict[str, Draft] = {}
    for key, row, fields, where in _files.named_rows(path):
        try:
            category, numbers = fields[0], [int(field) for field in fields[1:]]
        except (IndexError, ValueError):
            report("row-malformed", f"expected: name category start end [start end], got: {row}", key, where)
            continue
        if key in out:
            report("name-repeated", "annotated twice; the first row is kept", key, where)
            continue
        spans = from_one([p for p in pairs(numbers, key, where) if p != (-1, -1)], key, where)
        if (category == "Normal") != key.startswith("Normal") or (category == "Normal" and spans):
            report("label-conflict", f"category {category} with {len(spans)} spans", key, where)
        out[key] = Draft(spans, [category] * len(spans), where=where)
    return out


def measures(root: Path) -> Measures:
    """Lengths from ``videos.json``; rate and size as published."""
    return Measures(root, USUAL)
