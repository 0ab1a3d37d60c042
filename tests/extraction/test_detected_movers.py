"""A real detector's boxes for movers: the same events live and from a file."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from wherewhen.core.values import Video
from wherewhen.evaluation import evaluator
from wherewhen.extraction import feature_cache
from wherewhen.inference import scoring
from wherewhen.inference.model import Model
from wherewhen.inference.model_config import ModelConfig
from wherewhen.inference.normalizer import Normalizer

SHARED = Path(os.environ.get("WHEREWHEN_SHARED", Path(__file__).parents[2] / "../shared"))
DETECTOR = SHARED / "weights" / "fastestdet" / "FastestDet.onnx"
CLIP = SHARED / "data" / "fight" / "videos" / "clip100.mp4"


@pytest.mark.skipif(not (DETECTOR.exists() and CLIP.exists()), reason="no real detector or clip at hand")
def test_movers_of_a_detector_are_the_same_live() -> None:
    pytest.importorskip("onnxruntime")
    config = ModelConfig.of({"movers": {"proposals": "onnx", "boxes": {"path": str(DETECTOR)}}})
    video = Video("clip100", CLIP, 1)
    cells = feature_cache.instances(video, config.feature_spec())
    normalizer = Normalizer.fit([cells])
    model = Model(config, {"cells": normalizer}, config.make("method", {"cells": 21}), 0.5, normalizer(cells))
    raw = scoring.join_predictions(model.stream(video)).heat
    assert raw is not None
    model.threshold = float(np.quantile(raw.values, 0.5))
    live = scoring.join_predictions(model.stream(video))
    bag = feature_cache.bag_of(video, config.feature_specs())
    offline = evaluator.detect_bags(model, evaluator.normalized(model, [bag]))["clip100"]
    assert live.boxes and offline.boxes and len(live.boxes.values)
    assert [event.track for event in live.events] == [event.track for event in offline.events]
    assert any(event.track >= 0 and event.track % 2 == 0 for event in live.events)
    np.testing.assert_allclose(live.boxes.extents, offline.boxes.extents)
