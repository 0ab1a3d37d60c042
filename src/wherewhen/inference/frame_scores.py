"""Frame scores alone: as detection gives them, without maps, boxes and events, which cost more."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from wherewhen.core.calibration import calibrate
from wherewhen.core.contracts import FrameScorer, Localizer
from wherewhen.core.values import Bag, Floats, HeatMap, Prediction
from wherewhen.inference import score_maps
from wherewhen.inference.model import Model


def frame_scores(model: Model, bag: Bag) -> tuple[Floats, Floats]:
    """Times ``(T, 2)``, start and end in seconds, and raw frame scores ``(T,)`` of one (normalized) bag."""
    parts = ((name, bag.views[name]) for name in model.config.views)
    maps = score_maps.heat((part, values[:, 0]) for part, values in model.answered(parts))
    return scored_steps(model.localizer, maps)


def frame_prediction(model: Model, bag: Bag) -> Prediction:
    """The prediction of one (normalized) bag, with its frame scores alone."""
    return prediction_of(*frame_scores(model, bag), model.threshold)


def scored_steps(localizer: Localizer, maps: Iterable[HeatMap]) -> tuple[Floats, Floats]:
    """Times ``(T, 2)`` and raw frame scores ``(T,)`` that a localizer gives the steps of maps."""
    if isinstance(localizer, FrameScorer):
        steps = list(localizer.scores(maps))
    else:
        steps = [(step.start, step.end, score) for step, score in localizer.raw(maps)]
    rows = np.array(steps, np.float64)
    return rows[:, :2], rows[:, 2]


def prediction_of(times: Floats, raw: Floats, threshold: float) -> Prediction:
    """A prediction that holds the calibrated frame scores of steps that touch; ``threshold`` becomes 0.5."""
    edges = np.append(times[:, 0], times[-1:, 1])
    return Prediction(HeatMap(calibrate(raw.astype(np.float32), threshold), edges), threshold=threshold)
