"""UCFCrime2Local: 100 anomalous videos of UCF-Crime with a moving box, and 200 normal ones.

Layout: ``Train_split_AD.txt`` and ``Test_split_AD.txt`` (first word of a row = video), ``Txt annotations/<id>.txt`` in
VATIC's form (``track xmin ymin xmax ymax frame lost occluded generated "label"``), and ``videos.json``. Some files
count frames from 0 and some from 1, as public readers found: a file whose smallest frame is 0 counts from 0, any other
from 1. Rows with lost = 1 say that the object is out of sight. Corners are borders in a 320x240 picture.
A span is where any box is; Landi et al. train with boxes, so the truth of training videos is here too.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from wherewhen.core.contracts import DatasetReader, Provenance
from wherewhen.core.diagnostics import report
from wherewhen.core.values import Dataset, Floats, Fold, Truth, Video
from wherewhen.core.video_info import Measures
from wherewhen.datasets import _files, _tubes, _ucf
from wherewhen.datasets._folds import apart
from wherewhen.datasets._truths import Draft, build, normal

FOLDER = ("Txt annotations", "Txt_annotations", "txt_annotations", "annotations")
TRAIN, TEST = ("Train_split_AD.txt", "Test_split_AD.txt")


def load(root: Path) -> Dataset:
    """300 videos labelled by their names, in the split of the annotation's authors."""
    footage = _files.Footage(root)
    sides = []
    for name in (TRAIN, TEST):
        path = _files.need(root, name, content="the split")
        videos = []
        for key, _ in _files.listed(path):
            category = None if key.startswith("Normal") else re.split(r"\d", key)[0]
            place = footage.path(key, f"{category or 'Normal'}/{key}.mp4")
            if not place.exists() and not key.endswith("_x264"):
                place = footage.path(f"{key}_x264", str(place.relative_to(root)))
            videos.append(Video(key, place, int(category is not None), category))
        sides.append(tuple(videos))
    train, test = apart(sides[0], sides[1], root)
    return Dataset("ucfcrime2local", train + test, (Fold("official", train, test),))


def boxes(path: Path, video: str) -> Floats:
    """Rows ``track, frame, x0, y0, x1, y1`` with frames from 0, lost ones left out."""
    out = []
    for number, row in _files.lines(path):
        fields = row.split()
        try:
            track, x0, y0, x1, y1, frame, lost = (int(float(field)) for field in fields[:7])
        except ValueError:
            message = f"expected track xmin ymin xmax ymax frame lost ..., got: {row}"
            report("row-malformed", message, video, f"{path}:{number}")
            continue
        out.append([track, frame, x0, y0, x1, y1, lost])
    rows = np.array(out, np.float64).reshape(-1, 7)
    if len(rows) and rows[:, 1].min() > 0:
        rows[:, 1] -= 1
    return rows[rows[:, 6] == 0, :6]


def _path(folder: Path, key: str) -> Path | None:
    names = (f"{key}.txt", f"{key.removesuffix('_x264')}.txt", f"{key}_x264.txt")
    return next((folder / name for name in names if (folder / name).exists()), None)


def truth(root: Path) -> dict[str, Truth]:
    """Boxes and the spans in which there is any; nothing in normal videos."""
    folder = _files.need(root, *FOLDER, content="the folder of VATIC files")
    dataset = load(root)
    tests = {video.id for video in dataset.folds[0].test}
    table = Measures(root, _ucf.USUAL)
    drafts: dict[str, Draft] = {}
    for video in dataset.videos:
        if not video.label:
            continue
        if (path := _path(folder, video.id)) is None:
            report("truth-missing", f"no boxes; expected {folder / f'{video.id}.txt'}", video.id, folder)
            continue
        rows = boxes(path, video.id)
        spans = _tubes.spans(rows)
        drafts[video.id] = Draft(spans, [video.category or ""] * len(spans), rows, where=path)
    quiet = [v.id for v in dataset.videos if not v.label and (v.id in tests or table.find(v.id))]
    measures = table.need([*drafts, *quiet])
    return {k: build(k, m, drafts[k]) if k in drafts else normal(m) for k, m in measures.items()}


PLUGIN = DatasetReader(
    Provenance(
        "UCFCrime2Local",
        "http://imagelab.ing.unimore.it/UCFCrime2Local",
        "none stated; cite",
        "Landi, Snoek, Cucchiara: Anomaly Locality in Video Surveillance. arXiv 1901.10364, 2019",
    ),
    lambda root: all(_files.locate(root, name) is not None for name in (TRAIN, TEST)),
    load,
    truth,
    "official: 210 videos train, 90 test; 100 anomalous in six categories, 200 normal",
    {"videos": 300},
)
