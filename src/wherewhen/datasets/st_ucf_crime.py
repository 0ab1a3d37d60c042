"""ST-UCF-Crime: tubes on 119 anomalous test videos of UCF-Crime (Wu et al. 2021).

The set itself could not be found in public. This reads the lists and spans of ``ucf_crime`` beside one file per video,
``tubes/<id>.txt``, with rows ``track,frame,x0,y0,x1,y1``: frames from 0, corners as borders in a 320x240 picture.
Anomalous test videos without tubes are left out of the test; the official spans say when, the tubes where.
"""

from __future__ import annotations

from pathlib import Path

from wherewhen.core.contracts import DatasetReader, Provenance
from wherewhen.core.diagnostics import report
from wherewhen.core.values import Dataset, Fold, Truth
from wherewhen.datasets import _files, _tubes, _ucf
from wherewhen.datasets._truths import build

FOLDER = "tubes"


def load(root: Path) -> Dataset:
    """UCF-Crime with the test videos that have tubes, and the normal ones."""
    whole = _ucf.load(root, "st_ucf_crime")
    folder = _files.need(root, FOLDER, content="the folder of tubes")
    fold = whole.folds[0]
    test = tuple(v for v in fold.test if not v.label or (folder / f"{v.id}.txt").exists())
    return Dataset(whole.name, fold.train + test, (Fold("official", fold.train, test),))


def truth(root: Path) -> dict[str, Truth]:
    """Official spans and tubes of the test videos."""
    folder = _files.need(root, FOLDER, content="the folder of tubes")
    tests = {video.id: video for video in load(root).folds[0].test}
    drafts = {key: draft for key, draft in _ucf.drafts(root).items() if key in tests}
    for path in sorted(folder.glob("*.txt")):
        if path.stem not in drafts or not tests[path.stem].label:
            report("truth-extra", "tubes for a video that is no anomalous test video", path.stem, path)
            continue
        drafts[path.stem].boxes = _tubes.read(path, path.stem, inclusive=False)
        drafts[path.stem].where = path
    measures = _ucf.measures(root).need(drafts)
    return {key: build(key, measure, drafts[key]) for key, measure in measures.items()}


PLUGIN = DatasetReader(
    Provenance(
        "ST-UCF-Crime",
        "https://arxiv.org/abs/2108.03825",
        "not public",
        "Wu et al.: Weakly-Supervised Spatio-Temporal Anomaly Detection in Surveillance Video. IJCAI 2021",
    ),
    lambda root: _ucf.matches(root) and (root / FOLDER).is_dir(),
    load,
    truth,
    "UCF-Crime's training videos; its normal test videos and 119 anomalous ones with tubes test",
    _ucf.COUNTS | {"test anomalous": 119, "truth with boxes": 119},
)
