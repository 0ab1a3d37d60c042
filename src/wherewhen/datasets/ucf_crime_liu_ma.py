"""UCF-Crime with the boxes of Liu & Ma in about every 16th anomalous frame of the 140 anomalous test videos.

Beside the files of ``ucf_crime``: ``Test_annotation.pkl``, a Python 2 pickle that maps a video to rows
``[".../image_0861.jpg", x1, y1, x2, y2]``. Image numbers count from 1 (three boxes lie in the last frame of an official
span, one in the first, none outside, which holds only if both files count from 1 and spans include their end).
Corners are borders of the box in a 320x240 picture: x2 and y2 are not included.
"""

from __future__ import annotations

import re
import reprlib
from pathlib import Path

import numpy as np

from wherewhen.core.contracts import DatasetReader, Provenance
from wherewhen.core.diagnostics import report
from wherewhen.core.errors import DataError
from wherewhen.core.values import Dataset, Floats, Truth
from wherewhen.datasets import _files, _plain_pickle, _ucf
from wherewhen.datasets._truths import build

FILE = "Test_annotation.pkl"


def load(root: Path) -> Dataset:
    """1,900 videos labelled by their names, in the official fold."""
    return _ucf.load(root, "ucf_crime_liu_ma")


def _rows(video: str, entries: object, where: Path) -> Floats:
    out: dict[int, list[float]] = {}
    for entry in entries if isinstance(entries, list) else [entries]:
        try:
            name, *corners = entry  # type: ignore[misc]
            frame = int(re.fullmatch(r"(?:.*[/\\])?image_(\d+)\.\w+", name)[1]) - 1  # type: ignore[index]
            row = [-1.0, float(frame), *(float(c) for c in corners)]
            if len(row) != 6:
                raise ValueError
        except (TypeError, ValueError):
            message = f"expected [.../image_0001.jpg, x1, y1, x2, y2], got {reprlib.repr(entry)}"
            report("row-malformed", message, video, where)
            continue
        if frame in out:
            report("row-repeated", f"two boxes for image {frame + 1}; the first is kept", video, where)
        out.setdefault(frame, row)
    return np.array([out[frame] for frame in sorted(out)]).reshape(-1, 6)


def truth(root: Path) -> dict[str, Truth]:
    """Official spans and boxes; a frame inside a span without a box is unknown, not empty (``Truth.boxed``)."""
    path = _files.need(root, FILE, content="the boxes of Liu & Ma")
    content = _plain_pickle.read(path)
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected a dictionary from video to boxes, got {type(content).__name__}")
    drafts = _ucf.drafts(root)
    for name, entries in content.items():
        key = _files.stem(str(name))
        if key not in drafts:
            report("truth-extra", "boxes for a video without official spans", key, path)
            continue
        drafts[key].boxes = _rows(key, entries, path)
        drafts[key].where = path
    for draft in drafts.values():
        draft.boxed_frames = draft.boxes[:, 1].astype(int).tolist()
    measures = _ucf.measures(root).need(drafts)
    return {key: build(key, measure, drafts[key]) for key, measure in measures.items()}


PLUGIN = DatasetReader(
    Provenance(
        "UCF-Crime, boxes of Liu & Ma",
        "https://github.com/xuzero/UCFCrime_BoundingBox_Annotation",
        "none stated; cite",
        "Liu, Ma: Exploring Background-bias for Anomaly Detection in Surveillance Videos. ACM MM 2019",
    ),
    lambda root: _ucf.matches(root) and _files.locate(root, FILE) is not None,
    load,
    truth,
    _ucf.SPLIT,
    _ucf.COUNTS | {"truth": 290, "truth with boxes": 140, "boxes": 3102},
)
