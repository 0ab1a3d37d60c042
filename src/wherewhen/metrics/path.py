"""The part of a mover's path with the highest scores, against the ground-truth mover that it overlaps most."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wherewhen.core import extents as ext
from wherewhen.core.contracts import Metric
from wherewhen.core.errors import DataError
from wherewhen.core.values import Floats, Prediction, Scores, Truth
from wherewhen.metrics._pairs import paired
from wherewhen.metrics._regions import Places, annotated_frames, places
from wherewhen.metrics.wsstad import Bools, tubes

EPSILONS = (0.1, 0.3, 0.5)


@dataclass(frozen=True, slots=True)
class _Path:
    """One path, frame by frame ``(L,)``: its score, whether the truth has a box, and the overlap with the nearest."""

    frames: NDArray[np.int64]
    scores: Floats
    real: Bools
    overlaps: Floats

    def covers(self, first: int, end: int, frames: int) -> float:
        """S of the stretch ``[first, end)``, where the truth has boxes in so many ``frames``."""
        false = np.count_nonzero(~self.real[first:end])
        return float(self.overlaps[first:end].sum() / (frames + false))


def standing_out(values: Floats) -> tuple[int, int, float]:
    """First and last + 1 of the stretch of ``values`` ``(L,)`` with the largest sum, and the sum; never empty.

    Kadane's scan. Of equal ones that which ends last, and of those the longest.

    >>> standing_out(np.array([-1.0, 2.0, -1.0, 3.0, -5.0]))
    (1, 4, 4.0)
    """
    sums = np.concatenate([[0.0], np.cumsum(values)])
    lowest = np.minimum.accumulate(sums[:-1])
    gain = sums[1:] - lowest
    end = len(gain) - 1 - int(np.argmax(gain[::-1] >= gain.max() - ext.TICK))
    start = int(np.argmax(sums[: end + 1] <= lowest[end] + ext.TICK))
    return start, end + 1, float(gain[end])


def compute(
    predictions: Mapping[str, Prediction],
    truths: Mapping[str, Truth],
    *,
    epsilons: tuple[float, ...] = EPSILONS,
) -> dict[str, float]:
    """Overlap of the path with the highest scores in each anomalous video with a mover of the truth.

    A path is the rows with one track number. Of each path the stretch is used whose scores exceed the middle between
    the video's lowest and highest by the largest sum, and of these the one with the largest sum: long paths with high
    scores are preferred to single peaks. ``path_miou``: mean over videos of
    ``(1/|F|) sum_{f in F} max_k IoU(G_fk, P_f)``, F the frames in which truth or stretch has a box, k the truth's boxes
    there. ``path_iou@e``: share of videos above e. ``path_miou_oracle``: the path that fits best, cut to the time of
    the truth. Of equal ones the mean counts, without a path 0. DataError as of ``wsstad``; with one truth box and one
    stretch it is S_loc. Source: Wu et al. 2021, arXiv 2108.03825; the stretch: Tran, Yuan and Forsyth, TPAMI 2014.
    """
    ious, oracle = [], []
    for key, prediction, truth in paired(predictions, truths, "boxes"):
        assert prediction.boxes is not None
        if not truth.label:
            continue
        place = places(truth, masks_first=False)
        if not place.regions:
            raise DataError(f"{key}: an anomalous video without a ground-truth box or mask can't be evaluated by paths")
        valid = annotated_frames(truth, place)
        paths = list(_paths(prediction.boxes, truth.edges, place, valid))
        real = np.flatnonzero(place.region_of >= 0)
        ious.append(_best_overlap(paths, len(real)))
        oracle.append(max([ious[-1], *(_fitting(path, real) for path in paths)]))
    if not ious:
        raise DataError("no anomalous video: there is no truth for a path to cover")
    shares = {f"path_iou@{epsilon:g}": float(np.mean(np.array(ious) > epsilon)) for epsilon in epsilons}
    return {"path_miou": float(np.mean(ious)), **shares, "path_miou_oracle": float(np.mean(oracle))}


def _paths(rows: Scores, edges: Floats, place: Places, valid: Bools) -> Iterator[_Path]:
    path_tubes = tubes(rows, edges)
    region = place.region_of[path_tubes.frame]
    overlaps = np.zeros(len(region))
    for number in np.unique(region[region >= 0]).tolist():
        index, truth_region = np.flatnonzero(region == number), place.regions[number]
        boxes = truth_region.boxes if truth_region.mask is None else truth_region.hull()[None]
        overlaps[index] = ext.iou(_still(path_tubes.boxes[index])[:, None], _still(boxes)[None]).max(1)
    for number in range(len(path_tubes.scores)):
        index = np.flatnonzero((path_tubes.tube == number) & valid[path_tubes.frame])
        if len(index):
            yield _Path(path_tubes.frame[index], path_tubes.values[index], region[index] >= 0, overlaps[index])


def _still(boxes: Floats) -> Floats:
    """Boxes ``(N, 4)`` as rows ``(N, 6)`` without time."""
    return np.concatenate([np.zeros((len(boxes), 2)), boxes], 1)


def _best_overlap(paths: list[_Path], frames: int) -> float:
    """S of the stretch with the largest sum; the mean of equal ones."""
    if not paths:
        return 0.0
    middle = (min(path.scores.min() for path in paths) + max(path.scores.max() for path in paths)) / 2
    stretches = [standing_out(path.scores - middle) for path in paths]
    most = max(sum_ for _, _, sum_ in stretches)
    values = [
        path.covers(first, end, frames)
        for path, (first, end, sum_) in zip(paths, stretches, strict=True)
        if sum_ >= most - ext.TICK
    ]
    return float(np.mean(values))


def _fitting(path: _Path, real: NDArray[np.int64]) -> float:
    """S of a path cut to the time of the truth, whose frames are ``real``."""
    first, end = np.searchsorted(path.frames, [real[0], real[-1] + 1]).tolist()
    return path.covers(first, end, len(real))


PLUGIN = Metric(
    compute,
    names=("path_miou", *(f"path_iou@{epsilon:g}" for epsilon in EPSILONS), "path_miou_oracle"),
    reads=("boxes",),
    needs=("times", "a place in every anomalous video"),
    source="Wu et al. 2021, arXiv 2108.03825; Tran, Yuan and Forsyth, TPAMI 2014",
)
