"""Spatio-temporal localization by tubes: S_loc, IoU@eps and MIoU of weakly supervised spatio-temporal detection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wherewhen.core.contracts import Metric
from wherewhen.core.errors import DataError
from wherewhen.core.values import Floats, Prediction, Scores, Truth
from wherewhen.metrics._curves import roc_auc
from wherewhen.metrics._pairs import paired, where_defined
from wherewhen.metrics._regions import annotated_frames, frame_rows, places
from wherewhen.metrics.tiou import box_iou, truth_hulls

Bools = NDArray[np.bool_]
EPSILONS = (0.1, 0.2, 0.3)


@dataclass(frozen=True, slots=True)
class Tubes:
    """Tubes of one video frame by frame: ``tube``, ``frame``, ``values`` ``(P,)``, ``boxes`` ``(P, 4)``.

    ``scores``: of each tube.
    """

    tube: NDArray[np.int64]
    frame: NDArray[np.int64]
    boxes: Floats
    values: Floats
    scores: Floats


def tubes(boxes: Scores, edges: Floats) -> Tubes:
    """Rows that share a track number, frame by frame; a row without one is a tube by itself.

    A tube's score is that of its highest row, as in Wu et al. 2021. Rows of a tube in
    the same frame give the smallest box around them, and the highest of their scores.
    """
    alone = boxes.track.max(initial=-1) + 1 + np.arange(len(boxes.track))
    _, tube_of = np.unique(np.where(boxes.track < 0, alone, boxes.track), return_inverse=True)
    scores = np.full(tube_of.max(initial=-1) + 1, -np.inf)
    np.maximum.at(scores, tube_of, boxes.values)
    frame, row = frame_rows(boxes.extents, edges)
    keys, place = np.unique(tube_of[row] * (len(edges) - 1) + frame, return_inverse=True)
    low, high = np.full((len(keys), 2), np.inf), np.full((len(keys), 2), -np.inf)
    np.minimum.at(low, place, boxes.extents[row, 2:4])
    np.maximum.at(high, place, boxes.extents[row, 4:])
    values = np.full(len(keys), -np.inf)
    np.maximum.at(values, place, boxes.values[row])
    return Tubes(keys // (len(edges) - 1), keys % (len(edges) - 1), np.concatenate([low, high], 1), values, scores)


def s_loc(predicted: Tubes, truth: Truth, within: Bools) -> Floats:
    """Overlap of each tube with the truth: ``S = (1/|G|) sum_{f in G} IoU(G_f, P_f)``, one number per tube.

    G: frames of ``within`` ``(F,)`` in which the truth or the tube has a box; a frame with one of them counts 0.
    Several truth boxes are their hull. Source: Wu et al. 2021, arXiv 2108.03825.
    """
    frames, hulls = truth_hulls(truth)
    hull_of = np.full(len(within), -1)
    hull_of[frames] = np.arange(len(frames))
    count = len(predicted.scores)
    use = within[predicted.frame]
    tube, real, boxes = predicted.tube[use], hull_of[predicted.frame[use]], predicted.boxes[use]
    shared = real >= 0
    overlap = np.bincount(tube[shared], box_iou(boxes[shared], hulls[real[shared]]), count)
    size = within[frames].sum() + np.bincount(tube[~shared], minlength=count)
    values: Floats = np.divide(overlap, size, out=np.zeros(count), where=size > 0)
    return values


def _best(values: Floats, scores: Floats) -> float:
    return float(values[scores == scores.max()].mean()) if len(scores) else 0.0


def compute(
    predictions: Mapping[str, Prediction],
    truths: Mapping[str, Truth],
    *,
    epsilons: tuple[float, ...] = EPSILONS,
    detector_frames: Mapping[str, Bools] | None = None,
) -> dict[str, float]:
    """How well the best-scored tube of each anomalous video covers the truth.

    ``s_loc_miou``: mean S_loc over anomalous videos, all frames counted; ``s_loc_iou@e``: share of them with
    S_loc > e. Names with ``_detector`` count only frames in which a detector gave a box (equation 10): those of
    ``detector_frames`` ``(F,)`` by video id, else of `Prediction.detected`, else the frames that any predicted box
    covers. ``s_loc_miou_oracle``: the tube that fits best instead of the one scored best. ``vauc_tube``: AUC of videos
    by the score of their best tube. Of tubes with equal scores the mean counts; without a tube S_loc is 0. Frames with
    truth at an unknown place are left out. DataError if there is no anomalous video or one of them has no truth box.
    Source: Wu et al. 2021.
    """
    every, in_detected, oracle, tops, labels = [], [], [], [], []
    for key, prediction, truth in paired(predictions, truths, "boxes"):
        assert prediction.boxes is not None
        predicted = tubes(prediction.boxes, truth.edges)
        tops.append(predicted.scores.max() if len(predicted.scores) else None)
        labels.append(truth.label)
        if not truth.label:
            continue
        place = places(truth, masks_first=False)
        if not place.regions:
            raise DataError(f"{key}: an anomalous video without a ground-truth box or mask can't be evaluated by tubes")
        valid = annotated_frames(truth, place)
        detected = _detected(prediction, predicted, truth)
        if detector_frames is not None:
            detected = _checked_frames(detector_frames, key, len(valid))
        values = s_loc(predicted, truth, valid)
        every.append(_best(values, predicted.scores))
        in_detected.append(_best(s_loc(predicted, truth, valid & detected), predicted.scores))
        oracle.append(values.max(initial=0.0))
    if not every:
        raise DataError("no anomalous video: there is no truth for a tube to cover")
    numbers = {"s_loc_miou": float(np.mean(every)), "s_loc_miou_detector": float(np.mean(in_detected))}
    for epsilon in epsilons:
        numbers[f"s_loc_iou@{epsilon:g}"] = float(np.mean(np.array(every) > epsilon))
        numbers[f"s_loc_iou_detector@{epsilon:g}"] = float(np.mean(np.array(in_detected) > epsilon))
    numbers["s_loc_miou_oracle"] = float(np.mean(oracle))
    lowest = min((top for top in tops if top is not None), default=0.0) - 1
    scores = [lowest if top is None else top for top in tops]
    return numbers | where_defined({"vauc_tube": lambda: roc_auc(scores, labels)})


def _detected(prediction: Prediction, predicted: Tubes, truth: Truth) -> Bools:
    """Frames ``(F,)`` in which the detector gave a box; those that any tube covers where they are not known."""
    frames = predicted.frame
    if prediction.detected is not None:
        rows = np.concatenate([prediction.detected, np.zeros((len(prediction.detected), 4))], 1)
        frames = frame_rows(rows, truth.edges)[0]
    detected = np.zeros(len(truth.edges) - 1, bool)
    detected[frames] = True
    return detected


def _checked_frames(detector_frames: Mapping[str, Bools], key: str, frames: int) -> Bools:
    if key not in detector_frames or np.shape(detector_frames[key]) != (frames,):
        raise DataError(f"{key}: expected detector_frames of shape ({frames},), one for each frame")
    return np.asarray(detector_frames[key], bool)


PLUGIN = Metric(
    compute,
    names=(
        "s_loc_miou",
        *(f"s_loc_iou@{epsilon:g}" for epsilon in EPSILONS),
        "s_loc_miou_detector",
        *(f"s_loc_iou_detector@{epsilon:g}" for epsilon in EPSILONS),
        "s_loc_miou_oracle",
        "vauc_tube",
    ),
    reads=("boxes",),
    needs=("times", "a place in every anomalous video"),
    source="Wu et al. 2021, Weakly-Supervised Spatio-Temporal Anomaly Detection, arXiv 2108.03825",
)
