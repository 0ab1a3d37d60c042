"""Spatial localization in annotated frames: overlap of one predicted box with the truth, gated by the frame score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wherewhen.core import extents as ext
from wherewhen.core.calibration import calibrate
from wherewhen.core.contracts import Metric
from wherewhen.core.errors import ConfigError, DataError
from wherewhen.core.values import Floats, Prediction, Scores, Truth
from wherewhen.metrics._pairs import paired
from wherewhen.metrics._regions import frame_rows, hulls, places
from wherewhen.metrics.frame import frame_scores

Choose = Literal["best", "hull"]


def gated_iou(ious: ArrayLike, scores: ArrayLike, theta: ArrayLike = 0.5) -> float:
    """TIoU: ``(1/M) sum_j IoU_j [s_j >= theta]`` over M annotated frames; DataError without one.

    ``ious`` ``(M,)``, 0 where nothing is predicted; ``scores`` ``(M,)`` of the frames; ``theta``: one threshold, or
    one for each frame ``(M,)``. Source: Liu and Ma 2019.

    >>> gated_iou([0.8, 0.6], [0.9, 0.2])
    0.4
    """
    overlaps, gate = np.asarray(ious, np.float64).reshape(-1), np.asarray(scores).reshape(-1) >= theta
    if not len(overlaps):
        raise DataError("no annotated frame: overlap needs at least one truth box or mask")
    return float(np.mean(overlaps * gate))


def truth_hulls(truth: Truth) -> tuple[NDArray[np.int64], Floats]:
    """Annotated frames ``(M,)`` and the smallest box ``(M, 4)`` around all truth in each, boxes before masks."""
    place = places(truth, masks_first=False)
    frames = np.flatnonzero(place.region_of >= 0)
    return frames, hulls(place.regions)[place.region_of[frames]]


def frame_ious(boxes: Scores, truth: Truth, choose: Choose = "best") -> tuple[NDArray[np.int64], Floats]:
    """Annotated frames ``(M,)`` and the overlap ``(M,)`` of the predicted box with the hull of the truth.

    ``choose="best"`` takes the box with the highest score in the frame, the mean overlap of several with that
    score; ``"hull"`` the smallest box around all of them. A frame without a predicted box has overlap 0.
    """
    if choose not in ("best", "hull"):
        raise ConfigError(f"choose: expected 'best' or 'hull', got {choose!r}")
    frames, real = truth_hulls(truth)
    position = np.full(len(truth.edges) - 1, -1)
    position[frames] = np.arange(len(frames))
    frame, row = frame_rows(boxes.extents, truth.edges)
    used = position[frame] >= 0
    at, row = position[frame[used]], row[used]
    rectangles = boxes.extents[row, 2:]
    if choose == "hull":
        low, high = np.full((len(frames), 2), np.inf), np.full((len(frames), 2), -np.inf)
        np.minimum.at(low, at, rectangles[:, :2])
        np.maximum.at(high, at, rectangles[:, 2:])
        at = np.unique(at)
        rectangles = np.concatenate([low, high], 1)[at]
    else:
        highest = np.full(len(frames), -np.inf)
        np.maximum.at(highest, at, boxes.values[row])
        top = boxes.values[row] == highest[at]
        at, rectangles = at[top], rectangles[top]
    overlap = np.bincount(at, box_iou(rectangles, real[at]), len(frames))
    return frames, overlap / np.bincount(at, minlength=len(frames)).clip(1)


def box_iou(a: ArrayLike, b: ArrayLike) -> Floats:
    """Intersection over union of boxes ``(N, 4)`` x0 y0 x1 y1, half-open, row by row; 0 if both are empty.

    >>> box_iou([[0, 0, 2, 1]], [[0, 0, 1, 1]]).tolist()
    [0.5]
    """
    p, q = (np.asarray(boxes, np.float64).reshape(-1, 4) for boxes in (a, b))
    still = np.zeros((len(p), 2))
    return ext.iou(np.concatenate([still, p], 1), np.concatenate([still, q], 1))


def compute(
    predictions: Mapping[str, Prediction],
    truths: Mapping[str, Truth],
    *,
    theta: float = 0.5,
    validated_theta: float | None = None,
    choose: Choose = "best",
) -> dict[str, float]:
    """Overlap of one predicted box per frame with the truth, pooled over all annotated frames.

    ``tiou``: gated by calibrated frame score >= ``theta``; ``tiou_raw``: by the method's own frame score >= ``theta``,
    as published; ``iou_ungated``: without the gate; ``tiou_recall``, ``tiou_recall_raw``: share of the annotated frames
    that pass it. With ``validated_theta``, a threshold that was chosen on validation videos, also ``tiou_validated``
    and ``tiou_recall_validated``. DataError if no frame is annotated. Source: Liu and Ma 2019.
    """
    ious, scores, raw = [], [], []
    for _, prediction, truth in paired(predictions, truths, "boxes", "frames"):
        assert prediction.boxes is not None
        frames, overlap = frame_ious(prediction.boxes, truth, choose)
        ious.append(overlap)
        scores.append(frame_scores(prediction, truth)[frames])
        raw.append(np.full(len(frames), raw_theta(prediction, theta)))
    overlaps, values = np.concatenate(ious), np.concatenate(scores)
    numbers = gated_numbers(overlaps, values, "tiou", theta)
    numbers |= gated_numbers(overlaps, values, "tiou", np.concatenate(raw), "_raw")
    if validated_theta is not None:
        numbers |= gated_numbers(overlaps, values, "tiou", validated_theta, "_validated")
    return numbers | {"iou_ungated": gated_iou(overlaps, values, -np.inf)}


def raw_theta(prediction: Prediction, theta: float) -> np.float32:
    """The calibrated score of a frame whose raw score is ``theta``.

    >>> float(raw_theta(Prediction(threshold=0.2), 0.5)), float(raw_theta(Prediction(threshold=0.8), 0.4))
    (0.6875, 0.25)
    """
    calibrated: np.float32 = calibrate(np.array([theta], np.float32), prediction.threshold)[0]
    return calibrated


def gated_numbers(
    ious: Floats, scores: NDArray[np.floating], name: str, theta: ArrayLike, kind: str = ""
) -> dict[str, float]:
    """Gated overlap and temporal recall at a threshold; ``kind``: of the threshold, as the end of their names."""
    recall = gated_iou(np.ones(len(ious)), scores, theta)
    return {name + kind: gated_iou(ious, scores, theta), f"{name}_recall{kind}": recall}


PLUGIN = Metric(
    compute,
    names=(
        "tiou",
        "tiou_recall",
        "tiou_raw",
        "tiou_recall_raw",
        "iou_ungated",
        "tiou_validated",
        "tiou_recall_validated",
    ),
    reads=("boxes", "frames"),
    needs=("times", "boxes before masks"),
    source="Liu and Ma 2019, Exploring Background-bias for Anomaly Detection in Surveillance Videos",
)
