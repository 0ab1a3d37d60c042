"""Scores of training videos by models that were not trained on them, and the threshold that they give."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from wherewhen.core.values import Bag, Floats, Video
from wherewhen.extraction.loading import BagSubset
from wherewhen.inference.frame_scores import frame_scores
from wherewhen.inference.model_config import ModelConfig
from wherewhen.inference.normal_time import BLOCK
from wherewhen.training.clock import Clock
from wherewhen.training.fit import fit
from wherewhen.training.folds import fold_groups, grouped_folds

FOLDS = 3
SOLID = 1e-6  # raw scores are kept this far from 0 and 1, where a logit is infinite


def folds_of(videos: Sequence[Video], parts: int, seed: int) -> list[int]:
    """The fold of each video; those of one camera, or of one file where cameras are few, are in one fold.

    >>> from pathlib import Path
    >>> clips = [Video(f"{n}", Path(f"{n // 2}.mp4"), n // 4) for n in range(8)]
    >>> fold = folds_of(clips, 2, 0)
    >>> [fold[n] == fold[n + 1] for n in (0, 2, 4, 6)], fold[0] != fold[2]
    ([True, True, True, True], True)
    """
    groups, _ = fold_groups(videos)
    folds = grouped_folds(videos, groups, parts, seed)
    place = {video.id: number for number, fold in enumerate(folds) for video in fold.test}
    return [place[video.id] for video in videos]


@dataclass(frozen=True)
class FoldScores:
    """Raw scores of the videos of one fold, by a model that was trained on the other folds.

    ``peaks``: highest raw frame score of each video, by id. ``maxima``: highest raw frame score of each 10 seconds of
    the normal videos, which last ``hours``. ``seconds`` of computing that training and scoring took.
    """

    peaks: Mapping[str, float]
    maxima: Sequence[float]
    hours: float
    seconds: float

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> FoldScores:
        """The record of plain values, as a file holds them; KeyError, TypeError or ValueError for others."""
        peaks = {str(name): float(peak) for name, peak in values["peaks"].items()}
        return cls(peaks, [float(v) for v in values["maxima"]], float(values["hours"]), float(values["seconds"]))


def fold_scores(
    bags: Sequence[Bag],
    fold: Sequence[int],
    number: int,
    config: ModelConfig,
    *,
    device: str,
    validation: Collection[str] = (),
    limit: float = float("inf"),
    draws: Mapping[str, float] | None = None,
) -> FoldScores:
    """Train on all folds but one and score the videos of that one.

    Args:
        bags: all training bags, not normalized.
        fold: fold of each bag.
        number: the fold to score.
        config: settings of the model.
        device: cpu or cuda.
        validation: ids of the videos to validate on, where the data set defines them.
        limit: seconds of computing (`Clock`) after which training is given up.
        draws: how often some videos, by id, are drawn; see `fit`.

    Raises:
        OutOfTime: training did not end in time.
    """
    clock = Clock(limit)
    others = [k for k, fold_of_video in enumerate(fold) if fold_of_video != number]
    validating = _both([bags[k].video for k in others if bags[k].video.id in set(validation)])
    learned = BagSubset(bags, others)
    more: dict[str, Any] = {"validation": validating, "clock": clock, "thresholds": False, "draws": draws}
    model = fit(learned, config, device=device, **more).best
    peaks, maxima, seconds = dict[str, float](), list[float](), 0.0
    for k, fold_of_video in enumerate(fold):
        if fold_of_video != number:
            continue
        bag = bags[k]
        times, scores = frame_scores(model, model.normalized_bag(bag))
        peaks[bag.video.id] = float(scores.max())
        if not bag.video.label and bag.video.id not in (draws or {}):
            maxima += block_maxima(times, scores)
            seconds += float((times[:, 1] - times[:, 0]).sum())
    return FoldScores(peaks, maxima, seconds / 3600, clock.seconds)


def _both(videos: Sequence[Video]) -> tuple[str, ...]:
    """The ids of videos with both labels; none where a label is missing, so that others are drawn."""
    return tuple(video.id for video in videos) if {video.label for video in videos} == {0, 1} else ()


def block_maxima(times: Floats, scores: Floats, block: float = BLOCK) -> list[float]:
    """The highest of the scores ``(T,)`` in each block of so many seconds; ``times`` ``(T, 2)``, start and end.

    >>> block_maxima(np.array([[0, 5], [5, 10], [10, 15.0]]), np.array([0.1, 0.3, 0.2]))
    [0.3, 0.2]
    """
    return [highest for _, _, highest in block_rows(times, scores, block)]


def block_rows(times: Floats, scores: Floats, block: float = BLOCK) -> list[tuple[float, float, float]]:
    """Start, end and highest of the scores ``(T,)`` of each block of so many seconds; ``times`` ``(T, 2)``.

    >>> block_rows(np.array([[0, 5], [5, 10], [10, 15.0]]), np.array([0.1, 0.3, 0.2]))
    [(0.0, 10.0, 0.3), (10.0, 15.0, 0.2)]
    """
    number = ((times[:, 0] - times[0, 0] + 1e-6) // block).astype(int)
    rows = (np.flatnonzero(number == k) for k in np.unique(number))
    return [(float(times[row[0], 0]), float(times[row[-1], 1]), float(scores[row].max())) for row in rows]


def platt_threshold(scores: ArrayLike, labels: ArrayLike) -> float | None:
    """The raw score at which a video is as likely anomalous as normal, were both equally frequent; None if unknown.

    Platt's logistic regression on the logit of the peaks of videos, with his smoothed targets (Platt 1999); both labels
    have the same total weight. Unknown where higher peaks don't speak for an anomaly.

    >>> round(platt_threshold([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1]), 3)
    0.5
    """
    from scipy.optimize import minimize

    anomalous = np.asarray(labels) > 0
    raw = np.clip(np.asarray(scores, np.float64), SOLID, 1 - SOLID)
    logits = np.log(raw / (1 - raw))
    counts = {True: int(anomalous.sum()), False: int((~anomalous).sum())}
    if not all(counts.values()) or logits.std() < 1e-9:
        return None
    target = np.where(anomalous, (counts[True] + 1) / (counts[True] + 2), 1 / (counts[False] + 2))
    weight = np.where(anomalous, 0.5 / counts[True], 0.5 / counts[False])
    center, spread = float(logits.mean()), float(logits.std())
    x = (logits - center) / spread

    def loss(line: Floats) -> tuple[float, Floats]:
        z = line[0] * x + line[1]
        residual = weight * (1 / (1 + np.exp(-z)) - target)
        return float((weight * (np.logaddexp(0, z) - target * z)).sum()), np.array([residual @ x, residual.sum()])

    slope, offset = minimize(loss, np.zeros(2), jac=True, method="BFGS").x
    if slope <= 1e-3:
        return None
    middle = float(np.clip(-offset / slope, x.min(), x.max())) * spread + center
    return float(1 / (1 + np.exp(-middle)))
