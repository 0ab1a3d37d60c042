from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from wherewhen.core.errors import ConfigError
from wherewhen.core.values import Bag, Instances, Video
from wherewhen.extraction.crops import CropBags, sequences
from wherewhen.inference.model_config import ModelConfig
from wherewhen.training import fit


def cropped(number: int, steps: int = 6, crops: int = 5) -> Bag:
    """A video of five crops; its features name the video, the step and the crop."""
    step, crop = np.divmod(np.arange(steps * crops), crops)
    features = np.stack([np.full(len(step), number + 1), step, crop], 1).astype(np.float32)
    extents = np.stack([step, step + 1, step * 0, step * 0, step * 0 + 1, step * 0 + 1], 1).astype(float)
    return Bag(Video(f"v{number}", Path("x"), number % 2), {"cells": Instances(features, extents)})


def test_crops_are_bags_in_order() -> None:
    bags = CropBags([cropped(number, steps=3 + number) for number in range(3)], 5)
    assert len(bags) == 15
    for index in (14, 0, 7):
        bag = bags[index]
        rows = bag.views["cells"]
        assert rows.shape == (3 + index // 5, 1, 1) and bag.video.label == index // 5 % 2
        assert (rows.features[:, 0] == 1 + index // 5).all() and (rows.features[:, 2] == index % 5).all()
        assert rows.features[:, 1].tolist() == list(range(len(rows.features)))


def test_several_cells_of_a_crop_are_refused() -> None:
    with pytest.raises(ConfigError, match="needs one cell of cells per clip and crop, and 10 crops"):
        sequences(cropped(0).views, 10)
    with pytest.raises(ConfigError, match=r"crop_mode: separate needs --crops 5 or 10; got 1"):
        ModelConfig.of({"crop_mode": "separate"})


def test_training_draws_each_crop_as_a_video() -> None:
    """Training on crops equals training on the crops as videos, from the same start and with the same draws."""
    bags = [cropped(number) for number in range(4)]
    settings = {"method": "dmrm", "normalizer": "none", "training": {"steps": 3, "bags": 3}, "validation": 0.0}
    apart = fit.fit(bags, ModelConfig.of({**settings, "crops": 5, "crop_mode": "separate"}))
    alone = fit.fit(list(CropBags(bags, 5)), ModelConfig.of(settings))
    for name, weight in apart.last.method.state_dict().items():
        assert (weight == alone.last.method.state_dict()[name]).all(), name
    scores = apart.last.scores(bags[0].views).reshape(-1, 5)
    each = [alone.last.scores(crop) for crop in sequences(bags[0].views, 5)]
    np.testing.assert_allclose(scores, np.repeat(np.mean(each, 0)[:, None], 5, 1), rtol=1e-6)


def test_crops_can_be_joined_and_one_can_be_tested() -> None:
    """Joined crops are one bag with a column per crop; the scores of one crop are those of its sequence."""
    bags = [cropped(number) for number in range(4)]
    settings = {"method": "rtfm", "normalizer": "none", "training": {"steps": 1, "bags": 3}, "validation": 0.0}
    settings |= {"crops": 5, "crop_mode": "separate", "test_crop": 2, "rtfm": {"width": 4, "joint": True}}
    config = ModelConfig.of(settings)
    batches = fit.batches_of(bags, bags, [0, 1, 2, 3], config, "cpu", ())
    views, labels = batches.draw(0)
    assert views["cells"].shapes == ((6, 1, 5),) * 4 and labels.tolist() == [1, 1, 0, 0]
    model = fit.fit(bags, config).last
    scores = model.scores(bags[0].views).reshape(6, 5)
    second = replace(model, config=replace(config, crop_mode="places", test_crop=0)).scores(
        sequences(bags[0].views, 5)[1]
    )
    np.testing.assert_array_equal(scores, np.repeat(second[:, None], 5, 1))
    with pytest.raises(ConfigError, match="rtfm: joint is for crops that are sequences"):
        ModelConfig.of({"method": "rtfm", "rtfm": {"joint": True}})
    with pytest.raises(ConfigError, match=r"test_crop: expected 0, or one of the crops .*; got 6"):
        ModelConfig.of({**settings, "test_crop": 6})
