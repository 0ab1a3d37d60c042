"""Calibration of raw scores: the threshold of a model becomes 0.5."""

from __future__ import annotations

import numpy as np

from wherewhen.core.values import Features


def calibrate(values: Features, threshold: float) -> Features:
    """Bend raw scores in [0, 1] so that ``threshold`` becomes 0.5; order is kept.

    >>> calibrate(np.array([0.0, 0.2, 1.0]), 0.2).tolist()
    [0.0, 0.5, 1.0]
    """
    theta = float(np.clip(threshold, 1e-6, 1 - 1e-6))
    bent = np.where(values <= theta, 0.5 * values / theta, 0.5 + 0.5 * (values - theta) / (1 - theta))
    return np.clip(bent, 0, 1)
