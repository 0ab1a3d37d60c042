"""UCF-Crime with its official temporal annotation of the 290 test videos.

Layout: see ``_ucf``. A folder that also has a file of boxes is recognized as the set of those boxes instead.
"""

from __future__ import annotations

from pathlib import Path

from wherewhen.core.contracts import DatasetReader
from wherewhen.core.values import Dataset, Truth
from wherewhen.datasets import _files, _ucf
from wherewhen.datasets._truths import build


def load(root: Path) -> Dataset:
    """1,900 videos labelled by their names, in the official fold."""
    return _ucf.load(root, "ucf_crime")


def truth(root: Path) -> dict[str, Truth]:
    """Spans of the 290 test videos; frames count from 1 and the end is included."""
    drafts = _ucf.drafts(root)
    measures = _ucf.measures(root).need(drafts)
    return {key: build(key, measure, drafts[key]) for key, measure in measures.items()}


def matches(root: Path) -> bool:
    """Whether lists and spans are there, and no boxes."""
    return _ucf.matches(root) and _files.locate(root, *_ucf.BOXES) is None


PLUGIN = DatasetReader(_ucf.SOURCE, matches, load, truth, _ucf.SPLIT, _ucf.COUNTS | {"truth": 290})
