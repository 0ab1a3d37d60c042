"""MSAD: 14 scenarios, weakly supervised protocol (ii), with the boxes of SST-WSVADL where they are.

Layout: ``MSAD_Train.list`` and ``MSAD_Test.list`` (paths of features or videos, one per row), the official
``anomaly_annotation.csv`` (``name, scenario, total frames, starting frame of anomaly, ending frame of anomaly``)
and/or ``merged_MSAD.json``, videos anywhere below. The CSV counts frames from 1 and includes the end, the JSON
counts from 0: the published example row ``Assault_1, 426 frames, 55, 426`` is ``54`` to ``425`` in the JSON.
The number in ``MSAD_Annotation.txt`` is the length of features (a multiple of 16; 68 events pass it) and not read.
"""

from __future__ import annotations

import re
from pathlib import Path

from wherewhen.core.contracts import DatasetReader, Provenance
from wherewhen.core.diagnostics import report
from wherewhen.core.values import Dataset, Fold, Truth, Video
from wherewhen.core.video_info import Measures, Usual
from wherewhen.datasets import _files, _keyframes
from wherewhen.datasets._folds import apart
from wherewhen.datasets._truths import Draft, build, from_one, normal

USUAL = Usual(fps=30)
"""Zhu et al. 2024: 30 frames per second; sizes differ."""

TABLE = ("anomaly_annotation.csv", "MSAD_anomaly_annotation.csv", "anomaly_annotation.tsv")
BOXES = ("merged_MSAD.json",)


def _key(name: str) -> str:
    return re.sub(r"_i3d$|_blur$", "", _files.stem(name))


def load(root: Path) -> Dataset:
    """720 videos labelled by their names (``MSAD_normal_...`` or a category)."""
    footage = _files.Footage(root)
    sides = []
    for side in ("Train", "Test"):
        path = _files.need(
            root, f"MSAD_{side}.list", f"MSAD_I3D_WS_{side}.list", f"MSAD_{side}list.txt", content=f"the {side} list"
        )
        pairs = _files.unique([(_key(key), name) for key, name in _files.listed(path)], path)
        videos = []
        for key, _ in pairs:
            category = None if "normal" in key.lower() else re.sub(r"_?\d+$", "", key)
            place = f"MSAD_normal/{key}.mp4" if category is None else f"{category}/{key}.mp4"
            videos.append(Video(key, footage.path(key, place), int(category is not None), category))
        sides.append(tuple(videos))
    train, test = apart(sides[0], sides[1], root)
    return Dataset("msad", train + test, (Fold("protocol ii", train, test),))


def _table(path: Path) -> tuple[dict[str, list[tuple[int, int]]], dict[str, int]]:
    spans: dict[str, list[tuple[int, int]]] = {}
    lengths: dict[str, int] = {}
    for number, row in enumerate(_files.table(path), 2):
        where = f"{path}:{number}"
        try:
            key, frames = _key(row["name"]), int(row["total frames"])
            first, last = (row[f"{which} frame of anomaly"] for which in ("starting", "ending"))
            intervals = from_one([(int(first), int(last))], key, where) if first not in ("", "-1") else []
        except (KeyError, ValueError) as error:
            report("row-malformed", f"expected name, total frames, starting and ending frame ({error!r})", where=where)
            continue
        lengths[key] = frames
        spans.setdefault(key, []).extend(intervals)
    return spans, lengths


def truth(root: Path) -> dict[str, Truth]:
    """Spans (of the CSV if it is there, else of the events) and boxes of anomalous videos; normal test videos."""
    csv, boxes = _files.locate(root, *TABLE), _files.locate(root, *BOXES)
    if csv is None and boxes is None:
        _files.need(root, *TABLE, *BOXES, content="the annotation")
    spans, lengths = _table(csv) if csv is not None else ({}, {})
    drafts = _keyframes.drafts(boxes) if boxes is not None else {}
    for key, intervals in spans.items():
        draft = drafts.setdefault(key, Draft(boxed_frames=(), where=csv))
        draft.spans = intervals
    dataset = load(root)
    videos = {video.id: video for video in dataset.videos}
    for key in set(drafts) - set(videos):
        report("truth-extra", "annotated but not listed", key, boxes or csv)
    for video in dataset.folds[0].test:
        if video.label and not (video.id in drafts and drafts[video.id].spans):
            report("truth-missing", "an anomalous test video without annotation", video.id, csv or boxes or root)
    quiet = [video.id for video in dataset.folds[0].test if not video.label]
    found_drafts = {key: draft for key, draft in drafts.items() if draft.spans}
    for key, draft in found_drafts.items():
        category = videos[key].category if key in videos else None
        draft.categories = [category or ""] * len(draft.spans)
    measures = Measures(root, USUAL).need([*found_drafts, *quiet], lengths)
    return {k: build(k, m, found_drafts[k]) if k in found_drafts else normal(m) for k, m in measures.items()}


PLUGIN = DatasetReader(
    Provenance(
        "MSAD: multi-scenario anomaly detection",
        "https://msad-dataset.github.io",
        "academic research only; boxes (SST-WSVADL) Apache-2.0",
        "Zhu et al.: Advancing Video Anomaly Detection. NeurIPS 2024 Datasets; boxes: Abdulaziz et al. 2026",
    ),
    lambda root: _files.locate(root, "MSAD_Train.list", "MSAD_I3D_WS_Train.list") is not None,
    load,
    truth,
    "protocol (ii): 120 anomalous + 360 normal train, 120 + 120 test",
    {"train anomalous": 120, "train normal": 360, "test anomalous": 120, "test normal": 120},
)
