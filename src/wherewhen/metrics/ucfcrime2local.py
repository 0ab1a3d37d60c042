"""UCFCrime2Local in three variants, since the published text is ambiguous."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from wherewhen.core.contracts import Metric
from wherewhen.core.errors import ConfigError
from wherewhen.core.values import HeatMap, Prediction, Truth
from wherewhen.metrics._cells import cell_samples, pooled
from wherewhen.metrics._curves import roc_auc
from wherewhen.metrics._pairs import paired, where_defined
from wherewhen.metrics._regions import Places, annotated_frames, marks, placed, places, steps


def tube_samples(heat: HeatMap, place: Places, edges: NDArray[np.float64], pool: str) -> NDArray[np.float64]:
    """Scores, labels and numbers of frames ``(3, K)``: truth regions, and normal frames as whole pictures.

    ``pool="mean"`` takes the mean over the area, ``"max"`` the highest cell that it touches. Means are rounded to
    float32, as maps are, so that equal means stay equal.
    """
    columns = [np.empty((3, 0))]
    for batch in placed(heat, place, edges):
        values, cover = batch.values.astype(np.float64), batch.cover()
        if pool == "mean":
            scores = (values * cover).sum((1, 2)) / cover.sum((1, 2))
        else:
            # A border that rounding pushed over the next cell's doesn't touch it.
            touched = cover > 1e-9 * cover.max((1, 2), keepdims=True)
            scores = np.where(touched, values, -np.inf).max((1, 2))
        columns.append(np.stack([scores, np.ones(len(scores)), batch.frames]))
    calm = np.bincount(steps(heat, edges)[place.normal], minlength=len(heat.values))
    whole = heat.values.astype(np.float64)
    scores = (whole.mean((1, 2)) if pool == "mean" else whole.max((1, 2)))[calm > 0]
    columns.append(np.stack([scores, np.zeros(len(scores)), calm[calm > 0]]))
    table = np.concatenate(columns, 1)
    table[0] = table[0].astype(np.float32)
    return table


def compute(
    predictions: Mapping[str, Prediction],
    truths: Mapping[str, Truth],
    *,
    pool: Literal["mean", "max"] = "mean",
    grid: int = 7,
    coverage: float = 0.25,
) -> dict[str, float]:
    """Three areas under the ROC curve.

    ``ucfcrime2local_frame``: frames, by the highest cell of the map. ``ucfcrime2local_tube``: annotated frames by
    the score within their truth, with known place, against normal frames by the whole picture; ``pool``
    combines cells to one score. ``ucfcrime2local_cell``: all cells of a ``grid`` x ``grid`` map, positive if a
    box covers at least ``coverage`` of them. DataError if the frames are all normal or none is. Source: Landi et
    al. 2019 (the data and the task).
    """
    if pool not in ("mean", "max"):
        raise ConfigError(f"pool: expected 'mean' or 'max', got {pool!r}")
    scores, labels, tubes, cells = [], [], [], []
    for _, prediction, truth in paired(predictions, truths, "heat"):
        heat = prediction.heat
        assert heat is not None
        place = places(truth)
        scores.append(heat.values.max((1, 2))[steps(heat, truth.edges)])
        labels.append(truth.frames)
        tubes.append(tube_samples(heat, place, truth.edges, pool))
        marked = marks(place.regions, grid, coverage)
        cells.append(cell_samples(heat, place, truth.edges, annotated_frames(truth, place), marked))
    return {"ucfcrime2local_frame": roc_auc(np.concatenate(scores), np.concatenate(labels))} | where_defined(
        {
            "ucfcrime2local_tube": lambda: roc_auc(*pooled(tubes)),
            "ucfcrime2local_cell": lambda: roc_auc(*pooled(cells)),
        }
    )


PLUGIN = Metric(
    compute,
    names=("ucfcrime2local_frame", "ucfcrime2local_tube", "ucfcrime2local_cell"),
    reads=("heat",),
    needs=("times", "both kinds of frames"),
    source="Landi, Snoek and Cucchiara 2019, Anomaly Locality in Video Surveillance",
)
