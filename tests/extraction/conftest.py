"""Fixtures that several tests of this folder share."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from wherewhen.core.values import Instances, Video
from wherewhen.extraction.extractor import FeatureSpec
from wherewhen.inference import score_maps
from wherewhen.inference.model import Model
from wherewhen.inference.model_config import ModelConfig
from wherewhen.inference.normalizer import Normalizer


@pytest.fixture
def default_spec() -> FeatureSpec:
    return ModelConfig.of().feature_spec()


@pytest.fixture
def short_video(clips: Path, tmp_path: Path) -> Video:
    shutil.copy(clips / "anomalous" / "a0.mp4", tmp_path / "a.mp4")
    return Video("a", tmp_path / "a.mp4", 1)


@pytest.fixture(scope="session")
def assert_same_instances() -> Callable[[Instances, Instances], None]:
    """Features, extents, tracks and stored details are equal to the bit."""

    def same(first: Instances, second: Instances) -> None:
        assert first.shape == second.shape
        for name in ("features", "extents", "track", "detail"):
            value = getattr(first, name, None)
            if value is not None:
                np.testing.assert_array_equal(value, getattr(second, name))

    return same


@pytest.fixture
def untrained(
    halving: Callable[[Iterable[float]], float],
) -> Callable[[ModelConfig, Mapping[str, Instances]], Model]:
    """A model with random weights, whose threshold about half of the scores of these views exceed."""

    def model_of(config: ModelConfig, views: Mapping[str, Instances]) -> Model:
        torch.manual_seed(0)
        dims = {name: instances.features.shape[1] for name, instances in views.items()}
        scored = views[config.scored]
        normalizers = {name: Normalizer.fit([instances]) for name, instances in views.items()}
        bank = Instances(scored.features, scored.extents)
        model = Model(config, normalizers, config.make("method", dims), 0.5, bank, dims=dims)
        raw = model.localizer.raw(score_maps.heat([(scored, model.scores(model.normalized(views)))]))
        model.threshold = halving(score for _, score in raw)
        return model

    return model_of
