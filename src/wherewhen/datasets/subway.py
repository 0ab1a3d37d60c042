"""Subway Entrance and Exit: two long videos, each cut into a normal beginning and the rest, with region tracks.

Layout: ``Entrance/01.txt`` and ``Exit/01.txt`` (rows ``track,frame,x0,y0,x1,y1``), videos ``Entrance.avi`` and
``Exit.avi`` or ``<part>/*.avi``. Frames count from 0 in the whole video: by the publishers' note the first 76,453
(22,500) frames are for training and testing starts at index 76,453 (22,500). Corners are borders: 512 and 384 occur
often in pictures of 512x384, and nothing passes them. Both parts of a video are the same file with different
``Video.span``; times count from the start of the file. Lengths come from ``videos.json`` (ids ``Entrance``, ``Exit``).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from wherewhen.core.contracts import DatasetReader, Provenance
from wherewhen.core.diagnostics import report
from wherewhen.core.values import Dataset, Fold, Truth, Video
from wherewhen.core.video_info import Measure, Measures, Usual
from wherewhen.datasets import _files, _tubes
from wherewhen.datasets._truths import Draft, build

USUAL = Usual(fps=25, width=512, height=384)
"""Adam et al. 2008: 25 frames per second, 512 x 384 pixels."""

FIRST = {"Entrance": 76453, "Exit": 22500}
"""The first test frame of each video."""


def _place(root: Path, name: str) -> Path:
    footage = _files.Footage(root)
    paths = [path for path in footage.all() if path.stem.lower() == name.lower()] + footage.under(name)
    return paths[0] if paths else root / f"{name}.avi"


def load(root: Path) -> Dataset:
    """``Entrance_train``, ``Entrance_test``, ``Exit_train``, ``Exit_test``; one fold per video."""
    videos, folds = [], []
    for name, measure in Measures(root, USUAL).need(FIRST).items():
        if measure.frames <= FIRST[name]:
            report("length-conflict", f"{measure.frames} frames, but the test starts at {FIRST[name]}", name)
            continue
        path, middle = _place(root, name), FIRST[name] / measure.fps
        train = Video(f"{name}_train", path, 0, span=(0.0, middle))
        test = Video(f"{name}_test", path, 1, span=(middle, measure.frames / measure.fps))
        videos += [train, test]
        folds.append(Fold(name.lower(), (train,), (test,)))
    return Dataset("subway", tuple(videos), tuple(folds))


def _part(whole: Truth, measure: Measure, first: int, stop: int) -> Truth:
    """The truth of frames ``first`` to ``stop`` of a video, in seconds of the whole file."""
    edges = measure.edges
    inside = (whole.boxes[:, 0] >= edges[first]) & (whole.boxes[:, 1] <= edges[stop])
    spans = whole.spans.clip(edges[first], edges[stop])
    spans = spans[spans[:, 1] > spans[:, 0]]
    return Truth(edges[first : stop + 1], spans=spans, boxes=whole.boxes[inside], track=whole.track[inside])


def truth(root: Path) -> dict[str, Truth]:
    """Spans where there is any region, and the regions."""
    out = {}
    for name, measure in Measures(root, USUAL).need(FIRST).items():
        path = _files.need(root, f"{name}/01.txt", content=f"the region tracks of {name}")
        boxes = _tubes.read(path, name, inclusive=False)
        if (early := boxes[:, 1] < FIRST[name]).any():
            report("normal-positive", f"{int(np.sum(early))} boxes are in the training frames", f"{name}_train", path)
        whole = build(name, measure, Draft(_tubes.spans(boxes), boxes=boxes, where=path))
        first = min(FIRST[name], measure.frames - 1)
        out[f"{name}_train"] = _part(whole, measure, 0, first)
        out[f"{name}_test"] = _part(whole, measure, first, measure.frames)
    return out


PLUGIN = DatasetReader(
    Provenance(
        "Subway Entrance and Exit",
        "https://github.com/lilygeorgescu/AED",
        "on request from the authors; region tracks CC BY-NC-ND 4.0",
        "Adam et al.: Robust Real-time Unusual Event Detection Using Multiple Fixed-location Monitors. TPAMI 2008; "
        "tracks: Georgescu et al., TPAMI 2021",
    ),
    lambda root: all((root / f"{name}/01.txt").exists() for name in FIRST),
    load,
    truth,
    "per video: the first 76,453 frames of Entrance, 22,500 of Exit train (normal), the rest tests",
    {"videos": 4, "boxes": 14657 + 6363},
)
