"""Ranking of the patches of an 8x8 grid over all test frames: PAUC and PAP."""

from __future__ import annotations

from collections.abc import Mapping

from wherewhen.core.contracts import Metric
from wherewhen.core.values import Prediction, Truth
from wherewhen.metrics._cells import cell_samples, pooled
from wherewhen.metrics._curves import operating_points, roc_area, step_area, trapezoid_area
from wherewhen.metrics._pairs import paired, where_defined
from wherewhen.metrics._regions import annotated_frames, marks, places


def compute(
    predictions: Mapping[str, Prediction],
    truths: Mapping[str, Truth],
    *,
    grid: int = 8,
    coverage: float = 0.25,
    tolerance: float = 5 / 128,
) -> dict[str, float]:
    """Patch AUC and AP with scores = cell x frame score, over all cells of all frames.

    A cell is truth if a box, ``tolerance`` (share of the picture's side; 5 of 128 pixels) larger on all sides,
    covers at least ``coverage`` of it. ``pauc``; ``pap`` (trapezoids, as published); ``pap_step`` (steps);
    ``pauc_anomalous``, ``pap_anomalous``: only frames within spans, scores without the frame's. Cells take the
    score of the map's cell that contains their center. Frames with truth at an unknown place are left
    out. DataError if no cell is truth, or all are. Source: Abdulaziz et al. 2026 (SST-WSVADL).
    """
    gated, inside = [], []
    for _, prediction, truth in paired(predictions, truths, "heat", "frames"):
        assert prediction.heat is not None
        place = places(truth)
        valid, marked = annotated_frames(truth, place), marks(place.regions, grid, coverage, tolerance)
        gated.append(cell_samples(prediction.heat, place, truth.edges, valid, marked, prediction.frames))
        inside.append(cell_samples(prediction.heat, place, truth.edges, valid & truth.frames, marked))
    _, *everything = operating_points(*pooled(gated))
    _, *anomalous = operating_points(*pooled(inside))
    required = {"pauc": roc_area(*everything), "pap": trapezoid_area(*everything), "pap_step": step_area(*everything)}
    return required | where_defined(
        {
            "pauc_anomalous": lambda: roc_area(*anomalous),
            "pap_anomalous": lambda: trapezoid_area(*anomalous),
        }
    )


PLUGIN = Metric(
    compute,
    names=("pauc", "pap", "pap_step", "pauc_anomalous", "pap_anomalous"),
    reads=("heat", "frames"),
    needs=("times", "places", "patches"),
    source="Abdulaziz et al. 2026, SST-WSVADL",
)
