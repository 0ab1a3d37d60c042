"""Video-level detection: ranking of whole videos by their highest score."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wherewhen.core.contracts import Metric
from wherewhen.core.errors import ConfigError
from wherewhen.core.values import Prediction, Truth
from wherewhen.metrics._curves import average_precision, roc_auc
from wherewhen.metrics._pairs import paired
from wherewhen.metrics._regions import steps


def smoothed(values: ArrayLike, edges: ArrayLike, seconds: float) -> NDArray[np.float64]:
    """Mean ``(T,)`` of a step function over a window of so many ``seconds`` around the middle of each step.

    ``values`` ``(T,)`` between ``edges`` ``(T + 1,)``; at either end the window is cut. 0 seconds change nothing.

    >>> smoothed([0, 1, 0], [0, 1, 2, 3], 2).tolist()
    [0.3333333333333333, 0.5, 0.3333333333333333]
    """
    scores, borders = np.asarray(values, np.float64).reshape(-1), np.asarray(edges, np.float64)
    if seconds < 0:
        raise ConfigError(f"smooth: expected seconds, 0 or more, got {seconds}")
    if not seconds:
        return scores
    area = np.append(0.0, np.cumsum(scores * np.diff(borders)))
    middles = (borders[1:] + borders[:-1]) / 2
    low, high = ((middles + side * seconds / 2).clip(borders[0], borders[-1]) for side in (-1, 1))
    means: NDArray[np.float64] = (np.interp(high, borders, area) - np.interp(low, borders, area)) / (high - low)
    return means


def compute(
    predictions: Mapping[str, Prediction], truths: Mapping[str, Truth], *, smooth: float = 0.0
) -> dict[str, float]:
    """``vauc`` and ``vap``: ROC AUC and step-wise AP of videos by their highest frame score.

    ``smooth``: seconds over which scores are averaged first. Only the time that the truth covers counts. DataError
    if all videos are normal or none is. Source: Wu et al. 2021, arXiv 2108.03825; the form by tubes is
    ``vauc_tube`` of the family ``wsstad``.
    """
    scores, labels = [], []
    for _, prediction, truth in paired(predictions, truths, "frames"):
        assert prediction.frames is not None
        heat = prediction.frames
        means = smoothed(heat.values.max((1, 2)), heat.edges, smooth)
        scores.append(means[steps(heat, truth.edges)].max())
        labels.append(truth.label)
    return {"vauc": roc_auc(scores, labels), "vap": average_precision(scores, labels)}


PLUGIN = Metric(
    compute,
    names=("vauc", "vap"),
    reads=("frames",),
    needs=("both kinds of videos",),
    source="Wu et al. 2021, Weakly-Supervised Spatio-Temporal Anomaly Detection, arXiv 2108.03825",
)
