"""Pointing game: whether the highest cell of the map is in the ground truth."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wherewhen.core.contracts import Metric
from wherewhen.core.errors import DataError
from wherewhen.core.values import Prediction, Truth
from wherewhen.metrics._pairs import paired
from wherewhen.metrics._regions import placed, places


def hits(values: ArrayLike, inside: ArrayLike) -> NDArray[np.float64]:
    """Chance ``(K,)`` that the highest cell of each map points at the truth.

    ``values`` ``(K, ...)`` scores; ``inside`` ``(K, ...)`` which cells have their center in the truth. Of several
    highest cells each is as likely: a constant map hits as often as its cells are in the truth.

    >>> hits([[0.9, 0.2], [0.5, 0.5]], [[True, False], [True, False]]).tolist()
    [1.0, 0.5]
    """
    scores = np.asarray(values)
    flat, truth = scores.reshape(len(scores), -1), np.asarray(inside, bool).reshape(len(scores), -1)
    top = flat == flat.max(1, keepdims=True)
    chance: NDArray[np.float64] = (top & truth).sum(1) / top.sum(1)
    return chance


def compute(predictions: Mapping[str, Prediction], truths: Mapping[str, Truth]) -> dict[str, float]:
    """``pointing_hit``: share of the frames with truth whose highest cell has its center in it.

    Truth is pixel masks, or boxes where a video has none. Frames without truth are ignored. DataError if
    there is no frame with truth. Source: Zhang et al. 2018, Top-down Neural Attention (the pointing game).
    """
    total, frames = 0.0, 0
    for _, prediction, truth in paired(predictions, truths, "heat"):
        assert prediction.heat is not None
        for batch in placed(prediction.heat, places(truth), truth.edges):
            total += float(hits(batch.values, batch.inside()) @ batch.frames)
            frames += int(batch.frames.sum())
    if not frames:
        raise DataError("no annotated frame: pointing needs at least one truth box or mask")
    return {"pointing_hit": total / frames}


PLUGIN = Metric(
    compute,
    names=("pointing_hit",),
    reads=("heat",),
    needs=("times", "places"),
    source="Zhang et al. 2018, Top-down Neural Attention",
)
