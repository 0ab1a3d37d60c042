"""Recall of proposals: the upper bound of methods that choose among them.

Evaluation only: it reads the truth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from wherewhen.core import registry
from wherewhen.core.errors import VideoError
from wherewhen.core.tubes import Tubes
from wherewhen.core.values import Prediction, Truth, Video

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5)


@dataclass(frozen=True, slots=True)
class Row:
    """One video: how many tubes, of them unions, and the best overlap with its truth as a whole and track by track.

    ``path``: that of a tube cut to the truth's time with the nearest mover, frame by frame.
    """

    video: str
    tubes: int
    unions: int
    best: float
    kind: str
    tracks: tuple[float, ...]
    path: float


@dataclass(frozen=True, slots=True)
class Report:
    """Rows of the anomalous videos, and the errors of those that could not be read."""

    rows: tuple[Row, ...]
    aside: Mapping[str, str]

    @property
    def oracle(self) -> float:
        """MIoU of the best fitting tube of each video; Wu et al. 2021 call it the upper bound."""
        return float(np.mean([row.best for row in self.rows])) if self.rows else 0.0

    @property
    def path_oracle(self) -> float:
        """The same by the metric ``path``: of one mover, where several do something at once."""
        return float(np.mean([row.path for row in self.rows])) if self.rows else 0.0

    def recall(self, level: float, by_track: bool = False) -> float:
        """Share of videos, or of the truth's tracks, that some tube covers with an overlap above ``level``."""
        overlaps = [v for row in self.rows for v in (row.tracks if by_track else (row.best,))]
        return float(np.mean(np.array(overlaps) > level)) if overlaps else 0.0

    def plain(self) -> dict[str, Any]:
        """All numbers, for JSON."""
        return {
            "oracle_miou": self.oracle,
            "path_oracle_miou": self.path_oracle,
            "recall": {f"{level:g}": self.recall(level) for level in LEVELS},
            "recall_tracks": {f"{level:g}": self.recall(level, by_track=True) for level in LEVELS},
            "tubes": float(np.mean([row.tubes for row in self.rows])) if self.rows else 0.0,
            "videos": [
                {"video": r.video, "tubes": r.tubes, "unions": r.unions, "best": r.best, "path": r.path,
                 "kind": r.kind, "tracks": list(r.tracks)}
                for r in self.rows
            ],
            "aside": dict(self.aside),
        }  # fmt: skip


def report(videos: Iterable[Video], truths: Mapping[str, Truth], propose: Callable[[Video], Iterable[Tubes]]) -> Report:
    """The report on the anomalous ones of ``videos`` that have boxes in their truth.

    Overlap is S_loc of the metric ``wsstad``: mean IoU over the frames where tube or truth has a box. A video is
    covered as the hull of what happens, a track by itself; ``path`` is that of the metric ``path``.
    """
    rows, aside = [], {}
    for video in videos:
        truth = truths.get(video.id)
        if truth is None or not truth.label or not len(truth.boxes):
            continue
        try:
            rows.append(row(video.id, list(propose(video)), truth))
        except VideoError as error:
            aside[video.id] = str(error)
    return Report(tuple(rows), aside)


def row(name: str, candidates: list[Tubes], truth: Truth) -> Row:
    """The best that tubes of one video could do."""
    kinds = {kind: best(candidates, truth, kind) for kind in ("unary", "multivariate", "frame")}
    whole = max(kinds, key=lambda kind: kinds[kind])
    tracks = np.unique(truth.track[truth.track >= 0])
    parts = (replace(truth, boxes=truth.boxes[truth.track == t], track=truth.track[truth.track == t]) for t in tracks)
    by_track = tuple(best(candidates, part) for part in parts) or (kinds[whole],)
    count = sum(len(tubes) for tubes in candidates)
    unions = sum(tubes.kinds.count("multivariate") for tubes in candidates)
    path = best(candidates, truth, number="path_miou_oracle")
    return Row(name, count, unions, kinds[whole], whole if kinds[whole] else "-", by_track, path)


def best(
    candidates: Iterable[Tubes], truth: Truth, kind: str | None = None, number: str = "s_loc_miou_oracle"
) -> float:
    """The largest S_loc of any tube, or of any of a kind, with a truth; 0 without one. ``number``: another oracle."""
    family = registry.load("metrics", "path" if number.startswith("path") else "wsstad")
    values = [0.0]
    for tubes in candidates:
        matches = np.array([kind is None or tube_kind == kind for tube_kind in tubes.kinds], bool)
        keep = matches[tubes.rows.track] if len(tubes.rows.track) else np.zeros(0, bool)
        if not keep.any():
            continue
        rows = replace(
            tubes.rows, extents=tubes.rows.extents[keep], values=tubes.rows.values[keep], track=tubes.rows.track[keep]
        )
        prediction = Prediction(boxes=rows)
        values.append(family.compute({"it": prediction}, {"it": truth})[number])
    return max(values)
