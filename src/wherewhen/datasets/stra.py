"""STRA: road accidents with tubes (Wu et al. 2021).

The set itself could not be found in public. This reads ``train.txt`` and ``test.txt`` (rows ``path label``, label 0 or
1), one file ``tubes/<id>.txt`` per anomalous test video with rows ``track,frame,x0,y0,x1,y1`` (frames from 0, corners
as borders in pixels), and ``videos.json``. A span is where any tube is.
"""

from __future__ import annotations

from pathlib import Path

from wherewhen.core.contracts import DatasetReader, Provenance
from wherewhen.core.diagnostics import report
from wherewhen.core.values import Dataset, Fold, Truth, Video
from wherewhen.core.video_info import Measures
from wherewhen.datasets import _files, _tubes
from wherewhen.datasets._folds import apart
from wherewhen.datasets._truths import Draft, build, normal


def _side(root: Path, name: str, footage: _files.Footage) -> tuple[Video, ...]:
    path = _files.need(root, name, content="the list")
    out: dict[str, Video] = {}
    for number, row in _files.lines(path):
        listed, _, label = row.rpartition(" ")
        if label not in ("0", "1") or not listed:
            report("row-malformed", f"expected: path label (0 or 1), got: {row}", where=f"{path}:{number}")
            continue
        key = _files.stem(listed)
        if key in out:
            report("name-repeated", "listed twice; the first row is kept", key, f"{path}:{number}")
            continue
        place = listed.replace("\\", "/").lstrip("/")
        out[key] = Video(key, footage.path(key, place), int(label), "road accident" if label == "1" else None)
    return tuple(out.values())


def load(root: Path) -> Dataset:
    """Videos as listed."""
    footage = _files.Footage(root)
    train, test = apart(_side(root, "train.txt", footage), _side(root, "test.txt", footage), root)
    return Dataset("stra", train + test, (Fold("official", train, test),))


def truth(root: Path) -> dict[str, Truth]:
    """Tubes of the anomalous test videos and the spans in which there is any."""
    folder = _files.need(root, "tubes", content="the folder of tubes")
    out = {}
    tests = {video.id: video for video in load(root).folds[0].test}
    for key, measure in Measures(root).need(tests).items():
        path = folder / f"{key}.txt"
        if not tests[key].label:
            out[key] = normal(measure)
        elif not path.exists():
            report("truth-missing", f"no tubes; expected {path}", key, folder)
        else:
            boxes = _tubes.read(path, key, inclusive=False)
            out[key] = build(key, measure, Draft(_tubes.spans(boxes), boxes=boxes, where=path))
    return out


PLUGIN = DatasetReader(
    Provenance(
        "STRA: spatio-temporal road accidents",
        "https://arxiv.org/abs/2108.03825",
        "not public",
        "Wu et al.: Weakly-Supervised Spatio-Temporal Anomaly Detection in Surveillance Video. IJCAI 2021",
    ),
    lambda root: (
        all((root / name).exists() for name in ("train.txt", "test.txt", "tubes"))
        and not (_files.locate(root, "Anomaly_Test.txt"))
    ),
    load,
    truth,
    "lists as released; 63 anomalous test videos by the published numbers",
    {"test anomalous": 63, "truth with boxes": 63},
)
