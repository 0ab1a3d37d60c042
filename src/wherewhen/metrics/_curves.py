"""Ranking numbers over plain arrays: ROC, precision-recall, equal error. Ties are always one operating point."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wherewhen.core.errors import DataError

Floats = NDArray[np.float64]
Counts = NDArray[Any]  # int64 where labels and weights are whole, else float64


def operating_points(
    scores: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None
) -> tuple[NDArray[np.floating], Counts, Counts]:
    """Thresholds, highest first, and the positives and negatives with a score at or above each.

    ``scores`` ``(N,)``; ``labels`` ``(N,)`` 0 or 1, or the share of an entry that is positive; ``weights`` ``(N,)``:
    how often an entry counts. Counts are whole numbers where labels and weights are. DataError if the shapes
    differ or a number is not finite.

    >>> [points.tolist() for points in operating_points([0.9, 0.5, 0.5], [1, 0, 1])]
    [[0.9, 0.5], [1, 2], [0, 1]]
    """
    values = np.asarray(scores).reshape(-1)
    values = values if values.dtype in (np.float32, np.float64) else values.astype(np.float64)
    if not np.isfinite(values).all():
        raise DataError("scores: every one must be finite")
    positive, negative = _shares(np.asarray(labels).reshape(-1), weights, len(values))
    order = np.argsort(values)[::-1]
    values = values[order]
    ends = np.flatnonzero(np.append(values[1:] != values[:-1], True)) if len(values) else np.empty(0, np.int64)
    return values[ends], np.cumsum(positive[order])[ends], np.cumsum(negative[order])[ends]


def _shares(labels: NDArray[np.generic], weights: ArrayLike | None, size: int) -> tuple[Counts, Counts]:
    if labels.shape != (size,):
        raise DataError(f"{size} scores but {labels.size} labels")
    whole = labels.dtype.kind in "bui"
    share = labels.astype(np.int64 if whole else np.float64)
    if size and not (share.min() >= 0 and share.max() <= 1):
        raise DataError("labels: expected 0, 1 or a share between")
    if weights is None:
        return share, 1 - share
    weight = np.asarray(weights).reshape(-1)
    if weight.shape != (size,) or (size and not 0 <= weight.min() <= weight.max() < np.inf):
        raise DataError(f"weights: expected {size} finite numbers that are not negative")
    weight = weight.astype(np.int64) if whole and weight.dtype.kind in "bui" else weight.astype(np.float64)
    return share * weight, (1 - share) * weight


def _both(tp: Counts, fp: Counts) -> tuple[float, float]:
    positives, negatives = (float(c[-1]) if len(c) else 0.0 for c in (tp, fp))
    if not positives:
        raise DataError("undefined without a positive: nothing anomalous is among the labels")
    if not negatives:
        raise DataError("undefined without a negative: nothing normal is among the labels")
    return positives, negatives


def roc_auc(scores: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Probability that a positive scores above a negative, equal scores counting one half.

    Shapes as in :func:`operating_points`; computed in whole numbers, so exact, where the input allows it.
    DataError if a class is missing. Source: Hanley and McNeil 1982.

    >>> roc_auc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
    0.75
    """
    return roc_area(*operating_points(scores, labels, weights)[1:])


def roc_area(tp: Counts, fp: Counts) -> float:
    """:func:`roc_auc` from the counts of :func:`operating_points`."""
    positives, negatives = _both(tp, fp)
    if positives * negatives > 4e18:
        tp, fp = tp.astype(np.float64), fp.astype(np.float64)
    twice = np.sum(np.diff(fp, prepend=0) * (tp + np.append(0, tp[:-1])))
    return float(twice) / (2 * positives * negatives)


def average_precision(scores: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Mean precision over recall, in steps: ``sum (R_k - R_{k-1}) P_k`` over distinct scores, highest first.

    Shapes as in :func:`operating_points`; DataError without a positive. The AP of VadCLIP and scikit-learn.

    >>> average_precision([0.9, 0.8, 0.7], [1, 0, 1]) == (1 + 2 / 3) / 2
    True
    """
    return step_area(*operating_points(scores, labels, weights)[1:])


def step_area(tp: Counts, fp: Counts) -> float:
    """:func:`average_precision` from the counts of :func:`operating_points`."""
    recall, precision = _precision_recall(tp, fp)
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def pr_auc_trapezoid(scores: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Area under straight lines between precision-recall points, which begin at (recall 0, precision 1).

    Shapes as in :func:`operating_points`; DataError without a positive. The AP of RTFM, UR-DMU, PEL4VAD, CLIP-TSA
    and SST-WSVADL. The lines promise precision that no threshold reaches: constant scores over half positives
    give 0.75 where :func:`average_precision` gives 0.5.

    >>> pr_auc_trapezoid([0.5, 0.5], [1, 0])
    0.75
    """
    return trapezoid_area(*operating_points(scores, labels, weights)[1:])


def trapezoid_area(tp: Counts, fp: Counts) -> float:
    """:func:`pr_auc_trapezoid` from the counts of :func:`operating_points`."""
    recall, precision = _precision_recall(tp, fp)
    return float(np.trapezoid(np.append(1.0, precision), np.append(0.0, recall)))


def _precision_recall(tp: Counts, fp: Counts) -> tuple[Floats, Floats]:
    if not len(tp) or not tp[-1]:
        raise DataError("undefined without a positive: nothing anomalous is among the labels")
    used = tp + fp > 0
    return tp[used] / float(tp[-1]), tp[used] / (tp[used] + fp[used])


def eer(scores: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Rate at which as large a share of negatives is flagged as of positives missed, on the lines of the ROC curve.

    Shapes as in :func:`operating_points`; DataError if a class is missing.

    >>> eer([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
    0.5
    """
    _, tp, fp = operating_points(scores, labels, weights)
    positives, negatives = _both(tp, fp)
    flagged, missed = np.append(0.0, fp / negatives), np.append(1.0, 1 - tp / positives)
    at = int(np.argmax(flagged >= missed))
    before, after = missed[at - 1] - flagged[at - 1], flagged[at] - missed[at]
    share = before / (before + after)
    return float(flagged[at - 1] + share * (flagged[at] - flagged[at - 1]))


def eer_point(scores: ArrayLike, labels: ArrayLike) -> tuple[float, float]:
    """False-alarm and miss rate at the corner of the ROC curve where they differ least, the first of several.

    Compatible with scripts that take scikit-learn's ``roc_curve`` as it comes: points inside a run of equal steps
    are no corners. Prefer :func:`eer`, one number that no corner decides.

    >>> eer_point([0.5, 0.5], [0, 1])
    (0.0, 1.0)
    """
    _, tp, fp = operating_points(scores, labels)
    positives, negatives = _both(tp, fp)
    corner = np.ones(len(tp), bool)
    corner[1:-1] = (np.diff(tp, 2) != 0) | (np.diff(fp, 2) != 0)
    flagged, missed = np.append(0.0, fp[corner] / negatives), np.append(1.0, 1 - tp[corner] / positives)
    at = int(np.argmin(np.abs(missed - flagged)))
    return float(flagged[at]), float(missed[at])


def false_alarm_rate(scores: ArrayLike, labels: ArrayLike, threshold: float = 0.5) -> float:
    """Share of the negatives with a score at or above the threshold; DataError without a negative.

    Source: PEL4VAD, which takes the frames of the normal test videos.

    >>> false_alarm_rate([0.2, 0.5, 0.9], [0, 0, 1])
    0.5
    """
    negatives = np.asarray(scores).reshape(-1)[~np.asarray(labels).reshape(-1).astype(bool)]
    if not len(negatives):
        raise DataError("undefined without a negative: nothing normal is among the labels")
    return float(np.mean(negatives >= threshold))
