"""Bags come in the order of their videos; broken ones are set aside, and many are read when they are looked at."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from wherewhen.core.errors import VideoError
from wherewhen.core.values import Instances, Video
from wherewhen.extraction import loading
from wherewhen.extraction.extractor import FeatureSpec
from wherewhen.inference.model_config import ModelConfig
from wherewhen.video.batch import Quarantine


@pytest.fixture
def look() -> FeatureSpec:
    return ModelConfig.of().feature_spec()


@pytest.fixture
def video(clips: Path, tmp_path: Path) -> Video:
    shutil.copy(clips / "anomalous" / "a0.mp4", tmp_path / "a.mp4")
    return Video("a", tmp_path / "a.mp4", 1)


def same(one: Instances, other: Instances) -> None:
    assert one.shape == other.shape
    np.testing.assert_array_equal(one.features, other.features)
    np.testing.assert_array_equal(one.extents, other.extents)
    np.testing.assert_array_equal(one.track, other.track)
    detail = getattr(one, "detail", None)
    if detail is not None:
        np.testing.assert_array_equal(detail, other.detail)


def test_bags_come_in_order_and_broken_videos_are_set_aside(
    video: Video, look: FeatureSpec, clips: Path, tmp_path: Path
) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    videos = [
        Video("x", tmp_path / "broken.mp4", 0),
        video,
        Video("gone", tmp_path / "gone.mp4", 1),
        Video("n1", clips / "normal" / "n1.mp4", 0),
    ]
    quarantine = Quarantine(tmp_path)
    found = list(loading.bags(videos, {"cells": look}, quarantine=quarantine, workers=3, quiet=True))
    assert [bag.video.id for bag in found] == ["a", "n1"]
    assert set(quarantine.reasons) == {"broken.mp4", "gone.mp4"}
    assert quarantine.reasons["gone.mp4"] == "no such file"
    with pytest.raises(VideoError, match=r"broken\.mp4"):
        list(loading.bags(videos, {"cells": look}, quiet=True))


def test_many_features_are_read_when_they_are_looked_at(
    clips: Path, look: FeatureSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHEREWHEN_CACHE", str(tmp_path))
    videos = [Video(f"v{k}", path, k % 2) for k, path in enumerate(sorted(clips.rglob("*.mp4")))]
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    videos.insert(1, Video("broken", broken, 0))
    some = loading.gathered(videos, {"cells": look}, quarantine=Quarantine(tmp_path), quiet=True)
    assert isinstance(some, list)
    size = sum(b.views["cells"].features.nbytes + b.views["cells"].extents.nbytes for b in some)
    assert isinstance(loading.gathered([videos[0], *videos[2:]], {"cells": look}, quiet=True, held=size), list)
    many = loading.gathered(videos, {"cells": look}, quarantine=Quarantine(tmp_path), quiet=True, held=size - 1)
    assert isinstance(many, loading.StoredBags) and [bag.video.id for bag in many] == [bag.video.id for bag in some]
    assert [bag.video.id for bag in many[1:3]] == [some[1].video.id, some[2].video.id]
    for one, other in zip(some, many, strict=True):
        same(one.views["cells"], other.views["cells"])
    with pytest.raises(IndexError):
        many[4]
