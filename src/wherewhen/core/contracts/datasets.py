"""What a reader of a data set must offer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from wherewhen.core.contracts.provenance import Provenance
from wherewhen.core.values import Dataset, Truth


@dataclass(frozen=True, slots=True)
class DatasetReader:
    """A data set described as data, and the two functions that read it.

    ``load(root)`` gives videos and folds; ``truth(root)`` gives what really happens, by video id, for evaluation.
    ``matches(root)`` tells whether a folder looks like this data set. ``counts``: what a complete copy holds.
    """

    source: Provenance
    matches: Callable[[Path], bool]
    load: Callable[[Path], Dataset]
    truth: Callable[[Path], dict[str, Truth]]
    split_rule: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
