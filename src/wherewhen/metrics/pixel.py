"""Spatial localization by pixels: the criterion of UCSD Ped, and ranking of the pixels within a frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wherewhen.core.contracts import Metric
from wherewhen.core.errors import ConfigError, DataError
from wherewhen.core.values import Prediction, Truth
from wherewhen.metrics._curves import average_precision, eer, roc_auc
from wherewhen.metrics._pairs import paired, where_defined
from wherewhen.metrics._regions import cell_shares, placed, places, steps

Floats = NDArray[np.float64]


def covered_scores(values: ArrayLike, cover: ArrayLike, coverage: float = 0.4) -> Floats:
    """Highest threshold at which at least ``coverage`` of each frame's truth is at or above it: ``(K,)``.

    ``values`` ``(K, N)`` scores of the cells; ``cover`` ``(K, N)`` truth within each, as area or number of pixels.
    DataError if a frame has no truth.

    >>> covered_scores([[0.9, 0.5, 0.1]], [[1, 1, 3]]).tolist()
    [0.5]
    """
    scores, areas = np.asarray(values), np.asarray(cover, np.float64)
    if not 0 < coverage <= 1:
        raise ConfigError(f"coverage: expected a share above 0 and up to 1, got {coverage}")
    total = areas.sum(1)
    if not (total > 0).all():
        raise DataError("a frame without truth pixels has no covered score")
    order = np.argsort(scores, 1)[:, ::-1]
    sums = np.take_along_axis(areas, order, 1).cumsum(1)
    # A sum of areas in another order may differ in its last digits.
    enough = np.argmax(sums >= (coverage * total * (1 - 1e-12))[:, None], 1)
    return np.take_along_axis(scores, np.take_along_axis(order, enough[:, None], 1), 1)[:, 0].astype(np.float64)


def pixel_criterion_auc(
    normal: ArrayLike,
    covered: ArrayLike,
    peak: ArrayLike | None = None,
    weights: ArrayLike | None = None,
) -> float:
    """Area under detection rate over false-positive rate of frames, by the pixel criterion.

    ``normal`` ``(N,)``: highest score in each normal frame. ``covered`` ``(K,)``: :func:`covered_scores` of the
    anomalous frames. ``peak`` ``(K,)``: their highest score anywhere; if given, an anomalous frame that fires
    but is not covered counts as a false positive too. The curve then runs back at times, and the area is that of
    the best detection rate at any false-positive rate up to x. ``weights`` ``(K,)``: how often a frame counts.

    >>> pixel_criterion_auc([0.1, 0.3], [0.5, 0.2]), pixel_criterion_auc([0.1, 0.3], [0.5, 0.2], peak=[0.9, 0.9])
    (0.75, 0.5)
    """
    calm, hits = np.asarray(normal, np.float64).reshape(-1), np.asarray(covered, np.float64).reshape(-1)
    often = np.ones(len(hits)) if weights is None else np.asarray(weights, np.float64).reshape(-1)
    if peak is None or not len(calm) or not len(hits):
        labels = np.r_[np.zeros(len(calm), bool), np.ones(len(hits), bool)]
        whole = np.r_[np.ones(len(calm)), often]
        exact = whole.astype(np.int64) if (whole == whole.round()).all() else whole
        return roc_auc(np.r_[calm, hits], labels, exact)
    highest = np.asarray(peak, np.float64).reshape(-1)
    levels = np.unique(np.r_[calm, hits, highest])[::-1]
    flagged = _at_or_above(calm, np.ones(len(calm)), levels)
    detected = _at_or_above(hits, often, levels)
    flagged = flagged + _at_or_above(highest, often, levels) - detected
    return _envelope_area(flagged / len(calm), detected / often.sum())


def _at_or_above(scores: Floats, weights: Floats, levels: Floats) -> Floats:
    order = np.argsort(scores)
    below = np.append(0.0, weights[order].cumsum())
    counts: Floats = below[-1] - below[np.searchsorted(scores[order], levels)]
    return counts


def _envelope_area(x: Floats, y: Floats) -> float:
    """Area over [0, 1] of the highest y up to x, on a path from (0, 0) to (1, 1) along which y never falls."""
    x, y = np.append(0.0, x), np.append(0.0, y)
    limit = np.minimum.accumulate(x[::-1])[::-1]
    low, high = x[:-1], limit[1:]
    wide, run = high > low, x[1:] - low
    reach = y[:-1] + np.divide((y[1:] - y[:-1]) * (high - low), run, out=np.zeros_like(run), where=wide)
    return float(np.sum(((high - low) * (y[:-1] + reach) / 2)[wide]))


def ranked_within(values: ArrayLike, positive: ArrayLike, negative: ArrayLike) -> tuple[Floats, Floats]:
    """ROC AUC and step-wise AP of the cells of each frame: two ``(K,)``; AUC is NaN without negatives.

    ``values`` ``(K, N)`` scores; ``positive`` and ``negative`` ``(K, N)`` area or number of pixels of either kind
    within each cell. Equal scores are one operating point.

    >>> auc, ap = ranked_within([[0.9, 0.1]], [[1, 1]], [[1, 1]])
    >>> auc.tolist(), ap.tolist()
    ([0.5], [0.5])
    """
    order = np.argsort(np.asarray(values), 1)[:, ::-1]
    scores, tp, fp = (np.take_along_axis(np.asarray(a), order, 1) for a in (values, positive, negative))
    tp, fp = tp.astype(np.float64), fp.astype(np.float64)
    change, count = scores[:, 1:] != scores[:, :-1], scores.shape[1]
    edge = np.ones((len(scores), 1), bool)
    starts, ends = np.concatenate([edge, change], 1), np.concatenate([change, edge], 1)
    index = np.arange(count)
    first = np.maximum.accumulate(np.where(starts, index, 0), 1)
    last = np.minimum.accumulate(np.where(ends, index, count)[:, ::-1], 1)[:, ::-1]
    above, reached = tp.cumsum(1), fp.cumsum(1)
    before = np.take_along_axis(above - tp, first, 1)
    upto, false = np.take_along_axis(above, last, 1), np.take_along_axis(reached, last, 1)
    positives, negatives = above[:, -1], reached[:, -1]
    twice = (fp * (before + upto)).sum(1)
    pairs = 2 * positives * negatives
    auc = np.divide(twice, pairs, out=np.full(len(scores), np.nan), where=pairs > 0)
    precision = np.divide(upto, upto + false, out=np.zeros_like(upto), where=upto + false > 0)
    return auc, (tp * precision).sum(1) / positives


def _mean(values: Floats, frames: Floats) -> float:
    if not len(values):
        raise DataError("undefined: no frame holds truth pixels and others")
    return float(np.average(values, weights=frames))


@dataclass(frozen=True, slots=True)
class _Table:
    """Per normal frame its peak; per stretch with truth its scores and its number of frames; cells if pooled."""

    normal: Floats
    covered: Floats
    peak: Floats
    auc: Floats
    ap: Floats
    frames: NDArray[np.int64]
    cells: NDArray[np.float64]


def _one_video(prediction: Prediction, truth: Truth, coverage: float, pooled: bool) -> _Table:
    heat = prediction.heat
    assert heat is not None
    place, step = places(truth), steps(heat, truth.edges)
    h, w = heat.values.shape[1:]
    rows: list[tuple[NDArray[Any], ...]] = []
    cells: list[Floats] = []
    for batch in placed(heat, place, truth.edges):
        values = batch.values.reshape(-1, h * w)
        cover = batch.cover().reshape(-1, h * w)
        size = np.broadcast_to(cell_shares(h, w, place.shape).reshape(-1), cover.shape)
        rest = (size - cover).clip(0) * (size > cover + 1e-12)
        auc, ap = ranked_within(values, cover, rest)
        rows.append((covered_scores(values, cover, coverage), values.max(1), auc, ap, batch.frames))
        if pooled:
            cells.append(_entries(values, cover, size, batch.frames))
    if pooled:
        calm = np.bincount(step[place.normal], minlength=len(heat.values))
        values = heat.values[calm > 0].reshape(-1, h * w)
        size = np.broadcast_to(cell_shares(h, w, place.shape).reshape(-1), values.shape)
        cells.append(_entries(values, np.zeros_like(size), size, calm[calm > 0]))
    columns = [np.concatenate(c) for c in zip(*rows, strict=True)] or [np.empty(0)] * 5
    normal = heat.values.max((1, 2))[step][place.normal]
    covered, peak, auc, ap, frames = columns
    every = np.concatenate([np.empty((3, 0)), *cells], 1)
    return _Table(normal.astype(np.float64), covered, peak, auc, ap, frames.astype(np.int64), every)


def _entries(values: NDArray[np.float32], cover: Floats, size: Floats, frames: NDArray[np.int64]) -> Floats:
    share = np.divide(cover, size, out=np.zeros_like(cover), where=size > 0).clip(0, 1)
    return np.stack([values.reshape(-1).astype(np.float64), share.reshape(-1), (size * frames[:, None]).reshape(-1)])


def compute(
    predictions: Mapping[str, Prediction],
    truths: Mapping[str, Truth],
    *,
    coverage: float = 0.4,
    under_covered: Literal["miss", "false_positive"] = "miss",
    pooled: bool = False,
) -> dict[str, float]:
    """Pixel-level numbers from heat maps and pixel masks, or filled boxes where a video has no masks.

    ``pixel_auc``, ``pixel_eer``: frames, by the pixel criterion at ``coverage``; an anomalous frame that fires but
    isn't covered is a miss, or with ``under_covered="false_positive"`` a false positive besides (in the AUC alone).
    ``pixel_auroc``, ``pixel_ap``: ranking of the pixels within a frame, averaged over the frames with truth pixels;
    other frames are ignored. With ``pooled`` also ``pixel_auroc_pooled`` and ``pixel_ap_pooled``: all pixels
    of all frames in one ranking. Frames in a span without truth pixels are left out everywhere: their place is unknown.
    DataError if no frame has truth pixels or none is normal. Source: Mahadevan et al. 2010, Li et al. 2014.
    """
    if under_covered not in ("miss", "false_positive"):
        raise ConfigError(f"under_covered: expected 'miss' or 'false_positive', got {under_covered!r}")
    tables = [_one_video(p, t, coverage, pooled) for _, p, t in paired(predictions, truths, "heat")]

    def column(name: str) -> NDArray[np.float64]:
        return np.concatenate([getattr(table, name) for table in tables], -1)

    normal, covered, frames = column("normal"), column("covered"), column("frames")
    peak = column("peak") if under_covered == "false_positive" else None
    auc, ap = column("auc"), column("ap")
    mixed = ~np.isnan(auc)
    labels = np.r_[np.zeros(len(normal), bool), np.ones(len(covered), bool)]
    required = {"pixel_auc": pixel_criterion_auc(normal, covered, peak, frames)}
    numbers = {
        "pixel_eer": lambda: eer(np.r_[normal, covered], labels, np.r_[np.ones(len(normal)), frames]),
        "pixel_auroc": lambda: _mean(auc[mixed], frames[mixed]),
        "pixel_ap": lambda: _mean(ap, frames),
    }
    if pooled:
        numbers["pixel_auroc_pooled"] = lambda: roc_auc(*column("cells"))
        numbers["pixel_ap_pooled"] = lambda: average_precision(*column("cells"))
    return required | where_defined(numbers)


PLUGIN = Metric(
    compute,
    names=("pixel_auc", "pixel_eer", "pixel_auroc", "pixel_ap", "pixel_auroc_pooled", "pixel_ap_pooled"),
    reads=("heat",),
    needs=("times", "places", "normal frames"),
    source="Mahadevan et al. 2010; Li, Mahadevan and Vasconcelos 2014",
    lower_is_better=("pixel_eer",),
)
