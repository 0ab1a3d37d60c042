"""The summary of an import."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from wherewhen.data_tools.features.clocks import RELATIVE
from wherewhen.video.batch import Quarantine


@dataclass(frozen=True)
class Brought:
    """The result of an import: videos in the store, those without a label, those in the quarantine; crops, time unit.

    ``labels``: how many are normal and how many anomalous. ``notes``: what a user must know.
    """

    videos: int
    existing: int
    unlabelled: int
    labels: tuple[int, int]
    truths: int
    quarantine: Quarantine
    layout: str
    crops: int
    placed: bool
    time: str
    notes: tuple[str, ...] = ()

    def lines(self, store: str | Path) -> list[str]:
        """A summary for people, with what is unknown."""
        aside = len(self.quarantine.reasons)
        summary = [f"{self.videos} videos in layout {self.layout} ({self.existing} already present), {aside} skipped"]
        if self.time == RELATIVE:
            summary.append("times are relative (0 to 1): the lengths of the videos are unknown")
        if self.crops > 1 and not self.placed:
            summary.append(f"each of the {self.crops} crops counts as the whole picture: their places are unknown")
        if self.unlabelled < self.videos:
            summary.append(f"labels: {self.labels[1]} anomalous, {self.labels[0]} normal, {self.unlabelled} unknown")
        if self.truths:
            summary.append(f"{self.truths} videos with truth to evaluate on")
        return [*summary, *self.notes, f"written: {store}", f"next:  {self._next(store)}"]

    def _next(self, store: str | Path) -> str:
        """What works from here."""
        if all(self.labels):
            return f"wherewhen train {store}"
        lack = "labels" if not any(self.labels) else "anomalous videos" if self.labels[0] else "normal videos"
        return f"training needs {lack} as well: import again with --labels TABLE or --labels-from-name"
