"""Contract of readers of data sets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from wherewhen.core.contracts.provenance import Provenance
from wherewhen.core.values import Dataset, Truth


@dataclass(frozen=True, slots=True)
class DatasetReader:
    """A data set described as data, and the two functions that read it.

    ``load(root)`` returns videos and folds; ``truth(root)`` returns the ground truth by video id, for evaluation only.
    ``matches(root)``: whether a folder is a copy of this data set. ``counts``: sizes of a complete copy.
    """

    source: Provenance
    matches: Callable[[Path], bool]
    load: Callable[[Path], Dataset]
    truth: Callable[[Path], dict[str, Truth]]
    split_rule: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
