"""CUHK Avenue: one camera, 21 test videos with a mask for every frame.

Layout: ``training_videos/01.avi`` to ``16.avi``, ``testing_videos/01.avi`` to ``21.avi``, and
``ground_truth_demo/testing_label_mask/1_label.mat`` ... with ``volLabel``, a 1 x F cell of masks (0 or 1, 360 x 640).
Ids are ``train_01`` and ``test_01``, for the file names are used twice. The masks count the frames themselves.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from wherewhen.core.contracts import DatasetReader, Provenance
from wherewhen.core.diagnostics import report
from wherewhen.core.errors import DataError
from wherewhen.core.values import Dataset, Fold, Masks, Truth, Video
from wherewhen.core.video_info import Measures, Usual
from wherewhen.datasets import _files, _masks
from wherewhen.datasets._truths import Draft, build, normal, runs

USUAL = Usual(fps=25, width=640, height=360)
"""Lu, Shi, Jia 2013: 640 x 360 pixels, 25 frames per second."""

FOLDER = "testing_label_mask"
COUNTS = (16, 21)


def load(root: Path) -> Dataset:
    """37 videos; the official fold trains on normal ones alone."""
    sides = []
    for side, folder, count in zip(("train", "test"), ("training_videos", "testing_videos"), COUNTS, strict=True):
        home = _files.locate(root, folder) or root / folder
        numbers = range(1, count + 1)
        sides.append(tuple(Video(f"{side}_{n:02d}", home / f"{n:02d}.avi", int(side == "test")) for n in numbers))
    train, test = sides
    return Dataset("avenue", train + test, (Fold("official", train, test),))


def masks(path: Path) -> Masks:
    """The masks ``(F, H, W)`` of one label file; DataError if it holds something else."""
    from scipy.io import loadmat

    try:
        cells: Any = loadmat(path)["volLabel"].ravel()
        return np.stack([np.asarray(cell) != 0 for cell in cells])
    except Exception as error:  # a damaged file may raise nearly anything
        message = f"{type(error).__name__}: {str(error)[:120]}"
        raise DataError(f"{path}: expected volLabel, a cell of masks of one size ({message})") from None


def _draft(path: Path) -> tuple[Draft, int, tuple[int, ...]]:
    volume = masks(path)
    flags = np.array([picture.any() for picture in volume])
    boxes = _masks.boxes_of((int(frame), volume[frame]) for frame in np.flatnonzero(flags))
    draft = Draft(runs(flags), boxes=boxes, masks=lambda: masks(path), where=path)
    return draft, len(volume), volume.shape[1:]


def truth(root: Path) -> dict[str, Truth]:
    """Masks, spans where they are not empty, and a box around each part; training videos where lengths are known."""
    folder = _files.need(root, FOLDER, content="the masks")
    table = Measures(root, USUAL)
    out = {}
    for video in load(root).videos:
        if not video.label:
            if (length := table.find(video.id)) is not None:
                out[video.id] = normal(length)
            continue
        path = folder / f"{int(video.id[-2:])}_label.mat"
        if not path.exists():
            report("truth-missing", f"no masks; expected {path}", video.id, folder)
            continue
        draft, frames, shape = _draft(path)
        measure = table.need([video.id], {video.id: frames})[video.id]
        _masks.agree([shape], (measure.height, measure.width), video.id, path)
        out[video.id] = build(video.id, measure, draft)
    return out


PLUGIN = DatasetReader(
    Provenance(
        "CUHK Avenue",
        "http://www.cse.cuhk.edu.hk/leojia/projects/detectabnormal/dataset.html",
        "non-commercial research use",
        "Lu, Shi, Jia: Abnormal Event Detection at 150 FPS in MATLAB. ICCV 2013",
    ),
    lambda root: _files.locate(root, FOLDER) is not None,
    load,
    truth,
    "official: 16 normal videos train, 21 videos with anomalies test (no weak fold is published)",
    {"train anomalous": 0, "train normal": 16, "test anomalous": 21, "test normal": 0},
)
