"""What a report shows of a video: the picture of its peak, wherever that is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from wherewhen.core.values import HeatMap, Prediction, Truth, Video
from wherewhen.evaluation import pages
from wherewhen.video import reader


@pytest.mark.parametrize("steps", [1, 2, 7, 50])
def test_a_peak_has_a_picture_in_every_time_step(clips: Path, steps: int) -> None:
    """In the last one as well, though no frame begins in its second half."""
    path = clips / "anomalous" / "a0.mp4"
    edges = reader.edges(path)
    truth = Truth(edges, np.array([[0.5, 1.0]]))
    for step in {0, steps // 2, steps - 1}:
        scores = np.zeros(steps, np.float32)
        scores[step] = 0.9
        heat = HeatMap(scores, np.linspace(edges[0], edges[-1], steps + 1))
        (picture,) = pages._peak(Video("a0", path, 1), Prediction(heat, heat), truth)
        middle = (heat.edges[step] + heat.edges[step + 1]) / 2
        assert picture.caption == f"a0 at {middle:.1f} s, score 0.90"
        assert picture.image.std() > 0
