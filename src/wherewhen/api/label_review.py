"""Labels of videos that a model contradicts, as items of a review."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from wherewhen.api import detection, review_sources
from wherewhen.api.results import path_of, read
from wherewhen.core.errors import ConfigError
from wherewhen.core.feature_file import is_features
from wherewhen.core.values import Video
from wherewhen.inference.model import Model
from wherewhen.inference.result import Result
from wherewhen.review.building import Span, runs_of, spans_of
from wherewhen.review.items import AROUND, LONGEST
from wherewhen.review.judged import LABEL

LONGEST_SPAN = LONGEST - 2 * AROUND  # seconds that a clip can show


@dataclass(frozen=True)
class Doubt:
    """A video whose label looks wrong, and the span that is shown: its score is the highest one of the video."""

    video: Video
    span: Span

    def __str__(self) -> str:
        word, middle = ("normal", "anomalous")[self.video.label or 0], (self.span.start + self.span.end) / 2
        where = f" near {middle:.1f} s" if self.video.label == 0 else ""
        return f"labelled {word}, and its highest score is {self.span.score:.2f}{where}"


def review_labels(
    videos: Sequence[Video], root: Path, run: str, folder: Path, *, device: str = "auto", quiet: bool = True
) -> tuple[list[Doubt], dict[str, str]]:
    """Write a review of the labels that a model contradicts.

    A normal video is shown where an alarm would start, at its highest score; an anomalous one that raises no alarm as a
    whole, or of a long one the part with the highest score. Detection writes its results to the same folder, and
    resumes there.

    Args:
        videos: of a data set; those without a label are left out.
        root: folder of the data set.
        run: run folder of the model.
        folder: of the review.
        device: auto, cpu or cuda.
        quiet: no progress bars.

    Returns:
        The videos whose label looks wrong, the clearest case first, and reasons by path why others can't be read.

    Raises:
        ConfigError: the folder holds another review, or the data set has features in place of videos.
    """
    labelled = [video for video in videos if video.label is not None and video.path.exists()]
    if any(is_features(video.path) for video in labelled):
        raise ConfigError(f"{root}: has features, and no pictures to judge")
    review_sources.check_origin(folder, LABEL)
    model = Model.load(run, "best", device)
    paths = list(dict.fromkeys(video.path for video in labelled))
    results, quarantine = detection.detect(model, paths, folder, render=False, resume=True, base=root, quiet=quiet)
    by_path = {Path(str(result.path)): result for result in results}
    doubts = [
        doubt
        for video in labelled
        if video.path in by_path and (doubt := doubt_of(video, by_path[video.path])) is not None
    ]
    shown = [
        review_sources.reviewed(folder, stored, spans)
        for path, result in by_path.items()
        if (spans := [doubt.span for doubt in doubts if doubt.video.path == path])
        and (stored := read(path_of(folder, result.id))) is not None
    ]
    review_sources.written(folder, shown, LABEL).name_model(Path(run))
    alarm = {path: result.threshold for path, result in by_path.items()}
    doubts.sort(key=lambda doubt: -abs(doubt.span.score - alarm[doubt.video.path]))
    return doubts, dict(quarantine.reasons)


def doubt_of(video: Video, result: Result) -> Doubt | None:
    """The span of a video that speaks against its label; None where the model agrees with the label."""
    heat = result.prediction.frames
    if heat is None:
        return None
    edges, scores = heat.edges, np.asarray(heat.values, np.float64)[:, 0, 0]
    since, until = video.span or (float(edges[0]), float(edges[-1]))
    inside = (edges[1:] > since) & (edges[:-1] < until)
    if not inside.any():
        return None
    at = int(np.where(inside, scores, -1.0).argmax())
    peak = float(scores[at])
    if (peak >= result.threshold) == bool(video.label):
        return None
    if video.label:
        middle = float(edges[at] + edges[at + 1]) / 2
        start = max(since, min(middle - LONGEST_SPAN / 2, until - LONGEST_SPAN))
        return Doubt(video, Span(start, min(until, start + LONGEST_SPAN), peak, LABEL, None, video.category))
    alarms = [span for span in spans_of(result.events, edges, scores, result.threshold)
              if span.source == "alert" and span.start < until and span.end > since]  # fmt: skip
    runs = runs_of(edges, scores, inside & (scores >= result.threshold))
    run = next((start, end) for start, end, _ in runs if start <= edges[at] < end)
    span = max(alarms, key=lambda span: span.score, default=Span(*run, peak, LABEL))
    return Doubt(video, replace(span, score=peak, source=LABEL))
