"""UCF-Crime with the events and boxes of SST-WSVADL in every frame of 909 training and test videos.

Beside the lists of ``ucf_crime``: ``merged_ucf_crime.json``. Its spans mostly equal the official ones; some end at the
last whole 16 frames instead, and Arson010 has one event more. The truth of training videos is for analysis only.
"""

from __future__ import annotations

from pathlib import Path

from wherewhen.core.contracts import DatasetReader, Provenance
from wherewhen.core.diagnostics import report
from wherewhen.core.values import Dataset, Truth
from wherewhen.datasets import _files, _keyframes, _ucf
from wherewhen.datasets._truths import build, normal

FILES = ("merged_ucf_crime.json", "merged_UCF_Crime.json")


def load(root: Path) -> Dataset:
    """1,900 videos labelled by their names, in the official fold."""
    return _ucf.load(root, "ucf_crime_sst")


def truth(root: Path) -> dict[str, Truth]:
    """Events and boxes of the annotated videos, and nothing in the normal test videos."""
    path = _files.need(root, *FILES, content="the boxes of SST-WSVADL")
    drafts = _keyframes.drafts(path)
    dataset = load(root)
    videos = {video.id: video for video in dataset.videos}
    tested = {video.id for video in dataset.folds[0].test}
    for key in drafts:
        if key not in videos or videos[key].label == 0:
            report("truth-extra", "events for a video that is not listed as anomalous", key, path)
        else:
            drafts[key].categories = [videos[key].category or ""] * len(drafts[key].spans)
    quiet = [key for key, video in videos.items() if video.label == 0 and key in tested]
    measures = _ucf.measures(root).need([*drafts, *quiet])
    return {
        key: build(key, measure, drafts[key]) if key in drafts else normal(measure) for key, measure in measures.items()
    }


PLUGIN = DatasetReader(
    Provenance(
        "UCF-Crime, events and boxes of SST-WSVADL",
        "https://github.com/Sara-Esam/SST-WSVADL",
        "Apache-2.0 (annotation)",
        "Abdulaziz et al.: SST-WSVADL, 2026; Sultani, Chen, Shah, CVPR 2018",
    ),
    lambda root: _ucf.matches(root) and _files.locate(root, *FILES) is not None,
    load,
    truth,
    _ucf.SPLIT,
    _ucf.COUNTS | {"truth with boxes": 909, "spans": 1061},
)
