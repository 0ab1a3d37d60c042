from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherewhen.backbones import _joined
from wherewhen.core import registry
from wherewhen.core.config import build
from wherewhen.core.errors import ConfigError, StoreError
from wherewhen.core.values import Bag, Instances, Video
from wherewhen.evaluation import evaluator
from wherewhen.extraction import feature_cache
from wherewhen.inference import model_file, scoring
from wherewhen.inference.model import Model
from wherewhen.inference.model_config import ModelConfig
from wherewhen.inference.normalizer import Normalizer
from wherewhen.inference.stored_parts import check_code
from wherewhen.video.writer import Writer

SETTINGS: dict[str, Any] = {"pixels": {"size": [16, 16]}}


def moving(count: int, frames: int = 9, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    pictures = np.random.default_rng(0).integers(0, 120, (count, 1, *size, 3), np.uint8).repeat(frames, 1)
    for frame in range(frames):
        pictures[:, frame, 8:24, 2 * frame : 2 * frame + 16] = 220
    return pictures


def made(name: str, settings: dict[str, Any] | None = None) -> Any:
    plugin = registry.load("backbones", name)
    return plugin(build(plugin.Config, settings or {}, name))


@pytest.mark.parametrize("names", [*permutations(["motion", "frame_difference", "toywords"], 2)])
def test_features_of_both_stand_side_by_side(names: tuple[str, str]) -> None:
    clips = moving(2)
    first, backbone = made(names[0]), made("+".join(names))
    seconds = np.full((2, 8), 0.08)
    alone = first(clips, seconds) if first.abilities.takes_seconds else first(clips)
    features = backbone(clips, seconds)
    width = _joined.reduced(alone).shape[-1]
    assert backbone.clip == first.clip and backbone.widths[0] == width
    assert features.shape == (*alone.shape[:4], sum(backbone.widths)) and features.dtype == np.float32
    np.testing.assert_array_equal(features[..., :width], alone if width == alone.shape[-1] else _joined.reduced(alone))
    assert features[..., width:].any()


def test_a_later_backbone_gets_times_of_its_frames() -> None:
    clips, seconds = moving(1, 18), np.full((1, 17), 0.04)
    backbone = made("frame_difference+motion")
    chosen = _joined.spread(18, 9)
    alone = backbone.parts["motion"](clips[:, chosen], np.full((1, 8), 0.08))
    expected = _joined.resampled(alone, backbone(clips, seconds).shape[1:4])
    np.testing.assert_allclose(backbone(clips, seconds)[..., -21:], expected, atol=1e-6)


@given(source=st.integers(1, 20), target=st.integers(1, 20))
def test_resampling_keeps_constants_means_and_direction(source: int, target: int) -> None:
    ramp = np.arange(source, dtype=np.float32).reshape(1, source, 1, 1, 1)
    result = _joined.resampled(ramp, (target, 1, 1)).ravel()
    assert len(result) == target and (np.diff(result) >= -1e-5).all()
    np.testing.assert_allclose(result.mean(), ramp.mean(), atol=1e-4)
    np.testing.assert_allclose(_joined.resampled(ramp * 0 + 3, (target, 1, 1)), 3, rtol=1e-6)


@given(count=st.integers(1, 40), wanted=st.integers(1, 40), repeats=st.booleans())
def test_frames_are_spread_evenly_and_in_order(count: int, wanted: int, repeats: bool) -> None:
    chosen = _joined.spread(count, wanted, repeats=repeats)
    assert len(chosen) == (wanted if repeats else min(count, wanted))
    assert (np.diff(chosen) >= 0).all() and chosen.min() >= 0 and chosen.max() < count
    assert len(set(chosen.tolist())) == min(count, wanted)
    np.testing.assert_array_equal(chosen, count - 1 - chosen[::-1]) if len(chosen) == count else None


def test_many_features_are_projected_and_keep_their_distances() -> None:
    rng = np.random.default_rng(0)
    features = np.abs(rng.normal(size=(60, 1280))).astype(np.float32) * rng.uniform(0, 2, (60, 1)).astype(np.float32)
    short = _joined.reduced(features)
    assert short.shape == (60, 32)
    pairs = np.triu_indices(60, 1)
    distances, kept = (np.linalg.norm(rows[:, None] - rows[None], axis=-1)[pairs] for rows in (features, short))
    np.testing.assert_allclose(kept / distances, 1, atol=0.6)
    assert np.corrcoef(distances, kept)[0, 1] > 0.9
    np.testing.assert_allclose(_joined._signs(1280)[:2, :4] * 32**0.5, [[-1, 1, 1, -1], [1, 1, -1, 1]], atol=1e-6)


def test_normalized_parts_weigh_by_their_own_spread() -> None:
    """53 features of two units, 1280 raw ones behind 32 of them: normal cells are about 1 long in each part."""
    rng = np.random.default_rng(0)
    motion = rng.normal(size=(500, 21)) * 1e-3
    network = _joined.reduced(np.maximum(rng.normal(size=(500, 30)) @ rng.normal(size=(30, 1280)), 0))
    rows = np.concatenate([motion, network * 100], 1).astype(np.float32)
    cells = Instances(rows, np.tile([0, 1, 0, 0, 1, 1.0], (500, 1)))
    features = Normalizer.fit([cells], groups=(21, 32))(cells).features
    lengths = np.sqrt((features[:, :21] ** 2).mean(1)), np.sqrt((features[:, 21:] ** 2).mean(1))
    assert 0.7 < lengths[0].mean() < 1.1 and 0.4 < lengths[1].mean() < 1.1
    without = Normalizer.fit([cells], decorrelate=False)(cells).features
    assert np.sqrt((without[:, :21] ** 2).mean()) < 0.2  # what the groups are for


def test_names_that_can_not_be_joined() -> None:
    with pytest.raises(ConfigError, match=r"unknown backbone 'motoin'; did you mean 'motion'"):
        registry.load("backbones", "motoin+pixels")
    with pytest.raises(ConfigError, match=r"unknown backbone ''"):
        registry.load("backbones", "motion+")
    with pytest.raises(ConfigError, match=r"motion\+motion: expected different backbones"):
        registry.load("backbones", "motion+motion")
    with pytest.raises(ConfigError, match="imported can't be joined"):
        registry.load("backbones", "motion+imported")


def test_each_part_has_its_section_and_is_in_the_passport(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    path.write_bytes(b"code")
    values = {"backbone": "motion+file", "motion": {"cell": 20}, "file": {"path": str(path), "frames": 2}}
    config = ModelConfig.of(values)
    written = config.plain()
    assert "motion+file" not in written and written["motion"]["cell"] == 20 and written["file"]["frames"] == 2
    assert ModelConfig.of(written) == config and not config.trusted
    assert ModelConfig.of({"backbone": "motion+file"}).plain()["file"]["frames"] == _joined.FRAMES
    settings = config.feature_spec().required_settings()
    assert settings["backbone"] == "motion+file" and set(settings["motion+file"]) == {"motion", "file"}
    own = ModelConfig.of({**values, "backbone": "file"}).feature_spec().required_settings()["file"]
    assert settings["motion+file"]["file"] == own and own["sha256"] and "path" not in own
    with pytest.raises(ConfigError, match=r"unknown setting of motion\+file\.file 'framez'"):
        ModelConfig.of({"backbone": "motion+file", "file": {"framez": 1}})


def test_weights_are_in_the_passport() -> None:
    config = ModelConfig.of({"backbone": "motion+shufflenet", "shufflenet": {"weights": "random"}})
    assert config.feature_spec().required_settings()["motion+shufflenet"]["shufflenet"]["weights"] == "random, seed 0"


def test_code_of_a_part_runs_only_with_consent(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    path.write_bytes(b"code")
    values = {"backbone": "motion+file", "file": {"path": str(path)}}
    with pytest.raises(ConfigError, match="holds code that runs when it is opened"):
        ModelConfig.of(values).make("backbone")
    trusted = ModelConfig.of(values, trust=True)
    assert trusted.trusted and "trust" not in trusted.plain()["file"]


def test_live_is_offline(tmp_path: Path) -> None:
    with Writer(tmp_path / "film.mp4", 12.5) as writer:
        for picture in moving(1, 20)[0]:
            writer.write(picture)
    config = ModelConfig.of({"backbone": "motion+frame_difference"})
    video = Video("film", tmp_path / "film.mp4", 1)
    cells = feature_cache.instances(video, config.feature_spec(), tmp_path)
    length = cells.features.shape[1]
    assert config.column_groups(length) == (21, length - 21) and config.column_groups(length + 1) == ()
    normalizer = Normalizer.fit([cells], groups=config.column_groups(length))
    model = Model(config, {"cells": normalizer}, config.make("method", {"cells": length}), 0.5, normalizer(cells))
    live = scoring.join_predictions(model.stream(video.path))
    bag = Bag(video, {"cells": feature_cache.instances(video, config.feature_spec(), tmp_path)})
    offline = evaluator.detect_bags(model, evaluator.normalized(model, [bag]))["film"]
    assert live.heat is not None and offline.heat is not None and live.heat.values.std() > 0
    np.testing.assert_allclose(live.heat.values, offline.heat.values, rtol=0, atol=1e-6)
    model.save(tmp_path / "model.safetensors")
    assert Model.load(tmp_path / "model.safetensors", device="cpu").config == config


def test_a_model_with_a_part_of_code_needs_consent(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    path.write_bytes(b"code")
    config = ModelConfig.of({"backbone": "motion+file", "file": {"path": str(path)}})
    stored = model_file.Stored(tmp_path / "model", {}, config.plain(), 0.5, {}, (), ())
    with pytest.raises(ConfigError, match="this model runs the code in"):
        check_code(stored, config)
    check_code(stored, ModelConfig.of(config.plain(), trust=True))
    with pytest.raises(StoreError, match="has no sha256"):
        check_code(model_file.Stored(tmp_path / "model", {}, {"file": {"path": "a.pt"}}, 0.5, {}, (), ()), config)


@pytest.mark.parametrize(("setting", "value"), [("engine", "torch"), ("engine", "openvino"), ("precision", "bf16")])
def test_a_network_among_them_takes_no_engine(setting: str, value: str) -> None:
    values = {"shufflenet": {"weights": "random"}, setting: value}
    with pytest.raises(ConfigError, match=rf"{setting}: shufflenet in the joined backbone .*leave out --{setting}"):
        ModelConfig.of({"backbone": "motion+shufflenet", **values})
    assert ModelConfig.of({"backbone": "shufflenet", **values}).backbone == "shufflenet"
    assert ModelConfig.of({"backbone": "motion+toywords", setting: value}).backbone == "motion+toywords"
