"""Overlap of the active cells of a score map with the truth, gated by the frame score, in four readings."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wherewhen.core.contracts import Metric
from wherewhen.core.errors import DataError
from wherewhen.core.values import Prediction, Truth
from wherewhen.metrics._pairs import paired
from wherewhen.metrics._regions import hulls, marks, overlaps, placed, places
from wherewhen.metrics.frame import frame_scores
from wherewhen.metrics.tiou import box_iou, gated_iou, gated_numbers, raw_theta

Floats = NDArray[np.float64]


def patch_set_iou(active: ArrayLike, boxes: ArrayLike) -> Floats:
    """Overlap ``(K,)`` of each union of active cells ``(K, h, w)`` with a box ``(K, 4)`` in fractions, exact in area.

    >>> patch_set_iou([[[True, False]]], [[0, 0, 1, 1]]).tolist()
    [0.5]
    """
    on, (x0, y0, x1, y1) = np.asarray(active, bool), np.asarray(boxes, np.float64).reshape(-1, 4).T
    down, across = overlaps(y0, y1, on.shape[1]), overlaps(x0, x1, on.shape[2])
    both = np.einsum("khw,kh,kw->k", on, down, across)
    union = on.mean((1, 2)) + (x1 - x0) * (y1 - y0) - both
    overlap: Floats = np.divide(both, union, out=np.zeros_like(both), where=union > 0)
    return overlap


def tight_boxes(active: ArrayLike) -> Floats:
    """The smallest box ``(K, 4)`` around the active cells of each ``(K, h, w)`` map; zeros without an active cell.

    >>> tight_boxes([[[False, True], [False, False]]]).tolist()
    [[0.5, 0.0, 1.0, 0.5]]
    """
    on = np.asarray(active, bool)
    (x0, x1), (y0, y1) = _span(np.any(on, axis=1)), _span(np.any(on, axis=2))
    return np.stack([x0, y0, x1, y1], -1)


def _span(line: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """First and past-the-last active place on each line ``(K, n)``, as shares of its length."""
    size, active = line.shape[1], np.any(line, axis=1)
    return np.where(active, line.argmax(1), 0) / size, np.where(active, size - line[:, ::-1].argmax(1), 0) / size


def _one_video(prediction: Prediction, truth: Truth, theta: float, least: float) -> tuple[Floats, Floats]:
    """A row for each annotated frame ``(M, 7)``, and the scores of the other frames of an anomalous video.

    Columns: four overlaps, whether quantized truth is left, the score, and the score that is ``theta`` when raw.
    """
    assert prediction.heat is not None
    scores, place = frame_scores(prediction, truth), places(truth, masks_first=False)
    exact, coarse = hulls(place.regions), tight_boxes(marks(place.regions, 8, 0.25, 5 / 128))
    rows = [np.empty((0, 7))]
    for batch in placed(prediction.heat, place, truth.edges):
        active, number = batch.values >= least, place.region_of[batch.first]
        tight, left = tight_boxes(active), coarse[number, 2] > 0
        ious = [patch_set_iou(active, exact[number]), *(box_iou(tight, b[number]) for b in (exact, coarse))]
        ious.append(patch_set_iou(batch.values >= raw_theta(prediction, least), exact[number]))
        gate = np.full(len(left), raw_theta(prediction, theta))
        rows.append(np.stack([*ious, left, np.zeros(len(left)), gate], -1).repeat(batch.frames, 0))
    table = np.concatenate(rows)
    annotated = place.region_of >= 0
    table[:, 5] = scores[annotated]
    return table, scores[~annotated].astype(np.float64) if truth.label else np.empty(0)


def compute(
    predictions: Mapping[str, Prediction],
    truths: Mapping[str, Truth],
    *,
    theta: float = 0.5,
    validated_theta: float | None = None,
    cell_threshold: float = 0.5,
) -> dict[str, float]:
    """Gated overlap of the cells with score >= ``cell_threshold``, pooled over annotated frames.

    ``tiou_patch``: union of those cells against the hull of the truth. ``tiou_patch_raw``: the same, cells and frames
    by the method's own scores, before calibration. ``tiou_tight``: the smallest box around them
    against the hull. ``tiou_quantized``: that box against the truth put on an 8x8 grid (a cell is truth if a box,
    5 of 128 pixels larger on all sides, covers a quarter of it). ``tiou_legacy``: the same, but frames of anomalous
    videos without truth whose gate is shut enter the mean as zeros. ``validated_theta`` as in the family ``tiou``.
    DataError if no frame is annotated. Source: Liu and Ma 2019; Abdulaziz et al. 2026 (quantized, legacy).
    """
    tables = [_one_video(p, t, theta, cell_threshold) for _, p, t in paired(predictions, truths, "heat", "frames")]
    table, elsewhere = (np.concatenate(column) for column in zip(*tables, strict=True))
    patch, tight, coarse, raw_patch, left, scores, raw = table.T
    if not len(table):
        raise DataError("no annotated frame: overlap needs at least one truth box or mask")
    numbers = gated_numbers(patch, scores, "tiou_patch", theta)
    numbers |= gated_numbers(raw_patch, scores, "tiou_patch", raw, "_raw")
    if validated_theta is not None:
        numbers |= gated_numbers(patch, scores, "tiou_patch", validated_theta, "_validated")
    numbers |= {"iou_patch_ungated": gated_iou(patch, scores, -np.inf), "tiou_tight": gated_iou(tight, scores, theta)}
    quantized = left > 0
    if quantized.any():
        shut = np.concatenate([scores[~quantized], elsewhere]) < theta
        numbers["tiou_quantized"] = gated_iou(coarse[quantized], scores[quantized], theta)
        numbers["tiou_legacy"] = numbers["tiou_quantized"] * float(quantized.sum() / (quantized.sum() + shut.sum()))
    return numbers


PLUGIN = Metric(
    compute,
    names=(
        "tiou_patch",
        "tiou_patch_recall",
        "tiou_patch_raw",
        "tiou_patch_recall_raw",
        "iou_patch_ungated",
        "tiou_tight",
        "tiou_quantized",
        "tiou_legacy",
        "tiou_patch_validated",
        "tiou_patch_recall_validated",
    ),
    reads=("heat", "frames"),
    needs=("times", "boxes before masks"),
    source="Liu and Ma 2019; Abdulaziz et al. 2026",
)
