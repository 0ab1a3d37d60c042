"""Joints of movers: located where they are in the picture, the same live and from a file, and told in passports."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wherewhen.core.errors import ConfigError
from wherewhen.core.values import Frame, Video
from wherewhen.evaluation import evaluator
from wherewhen.extraction import feature_cache
from wherewhen.extraction.pose_features import located, squared
from wherewhen.extraction.roi_crops import FrameBuffer
from wherewhen.inference import scoring
from wherewhen.inference.model import Model
from wherewhen.inference.model_config import ModelConfig
from wherewhen.instances._pose import NAMES
from wherewhen.runtime import joints
from wherewhen.video.writer import Writer

TUBES: dict[str, Any] = {
    "features": "pose", "boxes": {"smallest": 0.002}, "tracks": {"gap": 0.4}, "part": 1.0, "width": 96,
    "shape": {"window": 2.0, "shortest": 0.2},
}  # fmt: skip


def config_of(network: Path, method: str = "mgpr", **tubes: Any) -> ModelConfig:
    settings = {**TUBES, "pose": {"path": str(network)}, **tubes}
    return ModelConfig.of({"method": method, "instances": "tubes", "tubes": settings})


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five seconds of a wall: a light square crosses from second 1 on, another from second 2; then nothing."""
    path = tmp_path_factory.mktemp("pose") / "film.mp4"
    wall = np.random.default_rng(0).integers(90, 110, (96, 128, 3)).astype(np.uint8)
    with Writer(path, 12.5) as writer:
        for index in range(62):
            picture = wall.copy()
            if 12 <= index < 45:
                picture[20:44, 3 * (index - 12) : 3 * (index - 12) + 14] = 240
            if 27 <= index < 45:
                picture[60:84, 110 - 4 * (index - 27) : 122 - 4 * (index - 27)] = 250
            writer.write(picture)
    return path


def test_joints_are_where_they_are_in_the_picture(joint_network: Path) -> None:
    """A light spot in boxes at the middle and at the border of the picture, with and without a margin."""
    network = joints.opened(str(joint_network), "")
    for x, y in ((40, 30), (4, 4), (92, 60)):
        roll = FrameBuffer()
        image = np.full((64, 96, 3), 50, np.uint8)
        image[y - 3 : y + 3, x - 3 : x + 3] = 255
        roll.add(Frame(image, 0, 0.0, 0.1))
        low, high = np.array([x - 9, y - 14]).clip(0), np.array([x + 5, y + 15]).clip(0, [96, 64])
        boxes = np.array([[0.0, 0.1, *low / [96, 64], *high / [96, 64]]])
        for margin in (0.0, 0.4):
            poses = located(network, roll, boxes, margin)
            np.testing.assert_allclose(poses.joints[0, :, :2], np.tile([x, y], (17, 1)), atol=1.0)
            np.testing.assert_allclose(poses.boxes[0], [*low, *high], atol=1e-9)
    with pytest.raises(ValueError, match="movers without pictures"):
        located(network, FrameBuffer(), boxes, 0.0)


def test_squares_have_a_pixel_and_stay_square() -> None:
    image = np.ones((20, 30, 3), np.uint8)
    for box in ((0, 0, 0, 0), (30, 20, 30, 20), (0, 0, 30, 20), (29, 0, 30, 20)):
        crop, (_, _, side) = squared(image, np.array(box, np.float64), 0.3)
        assert crop.shape == (side, side, 3) and side >= 1
    assert squared(image, np.array([0.0, 0, 30, 20]), 0.0)[0].sum() == 20 * 30 * 3


def test_live_is_offline_and_cached(
    film: Path, joint_network: Path, untrained: Callable[..., Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    config, video = config_of(joint_network), Video("film", film, 1)
    views = feature_cache.bag_of(video, config.feature_specs()).views
    pooled = feature_cache.bag_of(video, config_of(joint_network, features="pool").feature_specs()).views
    np.testing.assert_array_equal(views["tubes"].features[:, : -len(NAMES)], pooled["tubes"].features)
    np.testing.assert_array_equal(views["tube_frames"].features, pooled["tube_frames"].features)
    motion = dict(zip(NAMES, views["tubes"].features[:, -len(NAMES) :].T, strict=True))
    assert motion["confidence"].max() > 0.5 and motion["closing"].max() > 0 and motion["partner"].max() > 0
    assert 0 < motion["body_fastest"].max() < 10
    model = untrained(config, views)
    live = scoring.join_predictions(model.stream(video))
    monkeypatch.setattr("wherewhen.extraction.feature_cache.extract_features", lambda *_: pytest.fail("extracted"))
    bag = feature_cache.bag_of(video, config.feature_specs())
    offline = evaluator.detect_bags(model, evaluator.normalized(model, [bag]))["film"]
    assert live.boxes and offline.boxes and live.events
    np.testing.assert_array_equal(live.boxes.extents, offline.boxes.extents)
    np.testing.assert_allclose(live.boxes.values, offline.boxes.values, rtol=0, atol=1e-5)


def test_the_file_is_in_the_passport_and_its_path_is_not(joint_network: Path, tmp_path: Path) -> None:
    base = config_of(joint_network).feature_spec().required_settings()
    copies = [Path(shutil.copy(joint_network.with_suffix(suffix), tmp_path)) for suffix in (".xml", ".bin")]
    assert config_of(copies[0]).feature_spec().required_settings() == base
    assert base["tubes"]["pose"]["sha256"] and "path" not in base["tubes"]["pose"]
    for other in ({"margin": 0.2}, {"rate": None}, {"confidence": 0.3}):
        settings = {"path": str(joint_network), **other}
        assert config_of(joint_network, pose=settings).feature_spec().required_settings() != base
    frames = config_of(joint_network).feature_specs()["tube_frames"].required_settings()
    assert "pose" not in frames["tube_frames"] and frames["tube_frames"]["features"] == "pool"
    config = config_of(joint_network)
    assert ModelConfig.of(config.plain()) == config


def test_settings_that_can_not_be(joint_network: Path) -> None:
    with pytest.raises(ConfigError, match=r"features pose needs a network of joints: --tubes\.pose\.path FILE"):
        ModelConfig.of({"method": "mgpr", "tubes": {"features": "pose"}})
    for wrong in ({"rate": 0}, {"margin": -1}, {"confidence": 2}):
        with pytest.raises(ConfigError, match=r"tubes\.pose: expected rate above 0"):
            config_of(joint_network, pose={"path": str(joint_network), **wrong})
    with pytest.raises(ConfigError, match="has changed"):
        config_of(joint_network, pose={"path": str(joint_network), "sha256": "0" * 64})
