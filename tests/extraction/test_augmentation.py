"""Changed pictures of training videos: what a change does, and that its features are kept apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherewhen.backbones.motion import NAMES, Motion, MotionConfig
from wherewhen.core.errors import ConfigError
from wherewhen.core.values import Frame, Instances, Pictures, Pixels, Video
from wherewhen.extraction import feature_cache
from wherewhen.extraction.augmentation import CHANGES, Change, Mirrored
from wherewhen.extraction.extractor import FeatureSpec, extract_features
from wherewhen.inference.model_config import ModelConfig, changed_view
from wherewhen.video import reader
from wherewhen.video.reader import Want
from wherewhen.video.writer import Writer

SameInstances = Callable[[Instances, Instances], None]
ALL = ",".join(CHANGES)


def noise(count: int) -> Pixels:
    return np.random.default_rng(count).integers(0, 256, (count, 8, 12, 3)).astype(np.uint8)


def crossing(shift: int = 0) -> Pixels:
    """A square that moves to the right over the left half of a wall whose width is a whole number of cells."""
    images = np.full((9, 56, 112, 3), 90, np.uint8)
    for k, image in enumerate(images):
        image[20:36, 4 + shift + 3 * k : 20 + shift + 3 * k] = 200
    return images


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 40), st.integers(0, 39), st.sampled_from([5.0, 12.5, 25.0, 30.0]))
def test_a_delay_reads_the_frames_of_a_recording_that_begins_later(count: int, removed: int, rate: float) -> None:
    images = noise(count)
    removed = min(removed, count - 1)
    late = removed / 25
    (delayed, cut) = (
        list(reader.several(Pictures(shown, 25.0), [want]))
        for shown, want in ((images, Want(rate, delay=late)), (images[removed:], Want(rate)))
    )
    assert len(delayed) == len(cut) > 0
    for (_, one), (_, other) in zip(delayed, cut, strict=True):
        np.testing.assert_array_equal(one.image, other.image)
        assert (one.start, one.end) == pytest.approx((other.start + late, other.end + late))


@settings(max_examples=40, deadline=None)
@given(st.floats(0.01, 3), st.none() | st.floats(1, 30), st.none() | st.floats(1, 30), st.floats(0.01, 9))
def test_a_change_leaves_out_half_of_a_video_at_most(
    delay: float, rate: float | None, own: float | None, duration: float
) -> None:
    want = Change(delay=delay, rate=rate).want(Want(own, 64), duration)
    assert want.delay == min(delay, duration / 2) and want.width == 64
    assert want.rate == min((value for value in (rate, own) if value), default=None)
    assert Change(delay=delay).want(Want()).delay == delay


def test_gray_levels_and_compression_are_changed_and_times_are_not() -> None:
    frames = [Frame(image, k, k / 25, (k + 1) / 25) for k, image in enumerate(noise(3))]
    assert list(Change(delay=1, mirrored=True).frames(frames)) == frames
    for change in (Change(gain=0.5), Change(gain=2.0), Change(quality=20)):
        changed = list(change.frames(frames))
        assert [(f.index, f.start, f.end) for f in changed] == [(f.index, f.start, f.end) for f in frames]
    darker, brighter = (next(Change(gain=gain).frames(frames)).image for gain in (0.5, 2.0))
    np.testing.assert_array_equal(darker, frames[0].image // 2)
    np.testing.assert_array_equal(brighter, np.minimum(2 * frames[0].image.astype(int), 255))
    flat = np.full((16, 16, 3), (200, 120, 40), np.uint8)
    coded = next(Change(quality=90).frames([replace(frames[0], image=flat)])).image
    assert np.abs(coded.astype(int) - flat).max() <= 3, "colors are not exchanged"
    assert not np.array_equal(next(Change(quality=20).frames(frames)).image, frames[0].image)


def test_mirrored_features_stay_at_their_places_and_move_the_other_way() -> None:
    backbone = Motion(MotionConfig(camera=False))
    plain, mirrored = backbone(crossing()[None])[0], Mirrored(backbone)(crossing()[None])[0]
    held, mirrored_held = (features.any(-1) for features in (plain, mirrored))
    columns = held.shape[2]
    assert held[..., : columns // 2].any() and not held[..., -2:].any()
    np.testing.assert_array_equal(mirrored_held, held)
    right, left = NAMES.index("flow_right"), NAMES.index("flow_left")
    assert mirrored[..., left].mean() == pytest.approx(plain[..., right].mean(), rel=0.2)
    assert plain[..., right].mean() > 5 * plain[..., left].mean()
    assert mirrored[..., left].mean() > 5 * mirrored[..., right].mean()
    assert Mirrored(backbone).for_video() is None and Mirrored(backbone).clip == backbone.clip


def test_features_of_changed_pictures_are_cached_apart(
    short_video: Video, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, assert_same_instances: SameInstances
) -> None:
    cache = tmp_path / "cache"
    plain = ModelConfig.of({}).feature_specs()
    specs = ModelConfig.of({"augment": ALL}).training_specs()
    names = [changed_view("cells", number) for number in range(1 + sum(map(len, CHANGES.values())))]
    assert list(specs) == names and specs["cells"] == plain["cells"]
    paths = {feature_cache.cached(short_video, spec, cache) for spec in specs.values()}
    assert len(paths) == len(names)
    assert feature_cache.cached(short_video, plain["cells"], cache) in paths
    bag = feature_cache.bag_of(short_video, specs, cache)
    features = [bag.views[name].features for name in names]
    for number, one in enumerate(features):
        assert not any(one.shape == other.shape and np.allclose(one, other) for other in features[:number])
    alone = feature_cache.bag_of(short_video, plain, tmp_path / "other")
    assert_same_instances(alone.views["cells"], bag.views["cells"])
    monkeypatch.setattr(feature_cache, "extract_features", lambda *_, **__: pytest.fail("is in the cache"))
    again = feature_cache.bag_of(short_video, specs, cache)
    for name in names:
        assert_same_instances(again.views[name], bag.views[name])


def test_a_video_of_few_pictures_has_all_changes(tmp_path: Path) -> None:
    path = tmp_path / "short.mp4"
    with Writer(path, 25.0) as writer:
        for image in crossing()[:2]:
            writer.write(image)
    video = Video("short", path, 1)
    specs = list(ModelConfig.of({"augment": ALL}).training_specs().values())
    assert all(len(done.instances.features) for done in extract_features(video, specs))


def test_changes_need_pictures_and_a_backbone_that_allows_them(tmp_path: Path, short_video: Video) -> None:
    with pytest.raises(ConfigError, match=r"augment: expected names between commas, of phase, rate.*got phase,turn"):
        ModelConfig.of({"augment": "phase,turn"})
    with pytest.raises(ConfigError, match="augment: at another rate the features of pixels have another speed"):
        ModelConfig.of({"augment": "rate", "backbone": "pixels"})
    config = ModelConfig.of({"augment": "flip, phase,flip", "backbone": "pixels"})
    assert config.changes == (*CHANGES["flip"], *CHANGES["phase"])
    assert ModelConfig.of(config.plain()) == config
    spec = FeatureSpec.named("motion")
    store = replace(short_video, path=tmp_path / "x.safetensors")
    with pytest.raises(ConfigError, match="augment needs the pictures of videos"):
        feature_cache.stored(store, replace(spec, change=Change(gain=2.0)))
