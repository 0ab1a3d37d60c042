"""Sensitivity after training: an alarm from another score on, and how alarms last and rest."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from wherewhen.api import runs
from wherewhen.core import registry
from wherewhen.core.errors import ConfigError
from wherewhen.inference.alarms import level, sensitivity, tuned
from wherewhen.inference.model import Model


@pytest.fixture(scope="module")
def model(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Model:
    settings = {"training": {"steps": 20}, "seed": 3}
    return runs.train(clips, tmp_path_factory.mktemp("runs") / "run", settings=settings, device="cpu", quiet=True)


def test_a_threshold_is_compared_with_the_scores_that_are_told(model: Model, clips: Path, tmp_path: Path) -> None:
    video = clips / "anomalous" / "a1.mp4"
    usual = model.detect(video)
    for threshold in (0.05, 0.5, 0.95):
        changed = model.with_threshold(threshold)
        found = changed.detect(video)
        assert (changed.alarm, found.threshold, model.alarm, changed.threshold) == (
            threshold,
            threshold,
            0.5,
            model.threshold,
        )
        np.testing.assert_array_equal(found.scores, usual.scores)
        assert all(event.score >= threshold for event in found.events)
        assert [e.score for e in model.detect(video, threshold=threshold).events] == [e.score for e in found.events]
        if found.scores.max() < threshold:
            assert not found.events
        changed.save(tmp_path / "model.safetensors")
        assert Model.load(tmp_path / "model.safetensors", device="cpu").alarm == threshold
    assert changed.backbone is model.backbone and changed.method is model.method
    for wrong in (-0.1, 1.1, math.nan, "high", True):
        with pytest.raises(ConfigError, match="threshold: expected a score from 0 to 1"):
            model.detect(video, threshold=wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"regions\.smooth_seconds: the threshold was chosen with 0\.5"):
        model.with_localizer(smooth_seconds=1.0)
    with pytest.raises(ConfigError, match=r"unknown setting of regions 'cooldown'.*did you mean 'cooldown_seconds'"):
        model.with_localizer(cooldown=1.0)


@pytest.mark.parametrize("name", registry.names("localize"))
def test_every_localizer_can_be_tuned(name: str) -> None:
    plugin = registry.load("localize", name)
    usual = plugin.Config()
    changed = tuned(name, usual, sensitivity(0.25))
    assert (level(usual), level(changed), type(changed)) == (0.5, 0.25, plugin.Config)
    assert tuned(name, changed, sensitivity(0.5)) == usual
    for setting in plugin.abilities.score_settings:
        with pytest.raises(ConfigError, match=f"{name}.{setting}: the threshold was chosen with"):
            tuned(name, usual, {setting: 1})
