"""TAD: traffic surveillance, 250 normal and 250 anomalous videos as pictures.

Layout: ``frames/abnormal/01_Accident_001.mp4/0.jpg`` ... and ``frames/normal/Normal_001.mp4/0.jpg`` ... (folders
whose names end in .mp4; picture numbers are not padded), and ``test.txt`` (or ``vals.txt``) with rows
``name start end [start end ...]``, ``-1 -1`` for a normal video. What test.txt doesn't name trains. The folder is the
label; the name isn't, for anomalies begin in seven ways (``01_Accident`` to ``07_RoadSpills``).
No official annotation file could be had: frames are taken to count from 0, as the pictures do, with the end included.
The rate isn't stated, so ``videos.json`` must have it; lengths are the numbers of pictures.
"""

from __future__ import annotations

import re
from pathlib import Path

from wherewhen.core.contracts import DatasetReader, Provenance
from wherewhen.core.diagnostics import report
from wherewhen.core.values import Dataset, Fold, Truth, Video
from wherewhen.core.video_info import Measures
from wherewhen.datasets import _files
from wherewhen.datasets._truths import Draft, build, pairs

LIST = ("test.txt", "vals.txt", "tad_test.txt")


def _drafts(root: Path) -> dict[str, Draft]:
    path = _files.need(root, *LIST, content="the test annotation")
    out: dict[str, Draft] = {}
    for key, row, fields, where in _files.named_rows(path):
        try:
            numbers = [int(field) for field in fields]
        except ValueError:
            report("row-malformed", f"expected: name start end [start end ...], got: {row}", key, where)
            continue
        spans = [(first, last + 1) for first, last in pairs(numbers, key, where) if (first, last) != (-1, -1)]
        if key in out:
            report("name-repeated", "annotated twice; the first row is kept", key, where)
        out.setdefault(key, Draft(spans, where=where, boxed_frames=()))
    return out


def load(root: Path) -> Dataset:
    """Every video below ``abnormal/`` (1) and ``normal/`` (0)."""
    footage = _files.Footage(root)
    videos = {}
    for folder, label in (("abnormal", 1), ("normal", 0)):
        for path in footage.under(folder):
            key = _files.stem(path.name)
            category = re.sub(r"^\d+_|_\d+$", "", key) if label else None
            if label == key.startswith("Normal"):
                report("label-conflict", f"is in {folder}/", key, path)
            videos[key] = Video(key, path, label, category)
    tested = _drafts(root)
    for key in sorted(set(tested) - set(videos)):
        report("path-dead", "annotated, but neither in abnormal/ nor in normal/", key, root)
    train = tuple(videos[key] for key in sorted(videos) if key not in tested)
    test = tuple(videos[key] for key in sorted(videos) if key in tested)
    return Dataset("tad", train + test, (Fold("official", train, test),))


def truth(root: Path) -> dict[str, Truth]:
    """Spans of the test videos."""
    drafts = _drafts(root)
    tests = {video.id: video for video in load(root).folds[0].test}
    lengths = {key: len(_files.pictures(v.path)) for key, v in tests.items() if v.path.is_dir()}
    out = {}
    for key, measure in Measures(root).need(tests, lengths).items():
        if bool(drafts[key].spans) != bool(tests[key].label):
            spans = len(drafts[key].spans)
            report("label-conflict", f"{spans} spans, but it is in {tests[key].path.parent.name}/", key, root)
        out[key] = build(key, measure, drafts[key])
    return out


PLUGIN = DatasetReader(
    Provenance(
        "TAD: traffic anomaly detection",
        "https://github.com/ktr-hubrt/WSAL",
        "none stated; cite",
        "Lv et al.: Localizing Anomalies from Weakly-Labeled Videos. TIP 2021",
    ),
    lambda root: (
        _files.locate(root, *LIST) is not None
        and all(_files.locate(root, f"frames/{kind}") is not None for kind in ("abnormal", "normal"))
    ),
    load,
    truth,
    "official: 400 videos train, 100 test (60 anomalous, 40 normal)",
    {"train anomalous": 190, "train normal": 210, "test anomalous": 60, "test normal": 40, "videos": 500},
)
