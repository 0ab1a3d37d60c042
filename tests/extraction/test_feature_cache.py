"""Features are made once; what lies in the cache is what was made."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wherewhen.core.values import Instances, Video
from wherewhen.extraction import feature_cache, sampling
from wherewhen.extraction.extractor import Extracted, FeatureSpec
from wherewhen.inference.model_config import ModelConfig


@pytest.fixture
def look() -> FeatureSpec:
    return ModelConfig.of().feature_spec()


@pytest.fixture
def video(clips: Path, tmp_path: Path) -> Video:
    shutil.copy(clips / "anomalous" / "a0.mp4", tmp_path / "a.mp4")
    return Video("a", tmp_path / "a.mp4", 1)


@pytest.fixture(autouse=True)
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids of the videos that were really looked at."""
    seen: list[str] = []
    real = feature_cache.extract_features

    def look_and_count(video: Video, *more: Any) -> list[Extracted]:
        seen.append(video.id)
        return real(video, *more)

    monkeypatch.setattr(feature_cache, "extract_features", look_and_count)
    return seen


def same(one: Instances, other: Instances) -> None:
    assert one.shape == other.shape
    np.testing.assert_array_equal(one.features, other.features)
    np.testing.assert_array_equal(one.extents, other.extents)
    np.testing.assert_array_equal(one.track, other.track)
    detail = getattr(one, "detail", None)
    if detail is not None:
        np.testing.assert_array_equal(detail, other.detail)


def test_the_cache_gives_back_what_was_made(
    video: Video, look: FeatureSpec, tmp_path: Path, counted: list[str]
) -> None:
    made = feature_cache.instances(video, look, tmp_path / "cache")
    same(feature_cache.instances(video, look, tmp_path / "cache"), made)
    assert counted == ["a"]
    renamed = video.path.rename(tmp_path / "b.mp4")
    same(feature_cache.instances(Video("b", renamed, 0), look, tmp_path / "cache"), made)
    assert counted == ["a"], "the same content under another name and label is the same"


def test_other_content_settings_and_spans_are_made_anew(
    video: Video, look: FeatureSpec, tmp_path: Path, clips: Path, counted: list[str]
) -> None:
    cache = tmp_path / "cache"
    whole = feature_cache.instances(video, look, cache)
    part = feature_cache.instances(replace(video, span=(0.4, 1.2)), look, cache)
    assert part.extents[:, 0].min() >= 0.4 and part.extents[:, 1].max() <= 1.2 + 1e-9
    coarse = ModelConfig.of({"cells": {"rows": 1, "columns": 1, "steps": 1}}).feature_spec()
    assert len(feature_cache.instances(video, coarse, cache).features) < len(whole.features)
    shutil.copy(clips / "normal" / "n0.mp4", video.path)
    assert not np.array_equal(feature_cache.instances(video, look, cache).features, whole.features)
    assert counted == ["a"] * 4
    assert len(list(cache.glob("*/*"))) == 4 and len(list(cache.iterdir())) == 2, "a folder per look"


def test_a_damaged_entry_is_made_again(video: Video, look: FeatureSpec, tmp_path: Path, counted: list[str]) -> None:
    made = feature_cache.instances(video, look, tmp_path / "cache")
    (entry,) = (tmp_path / "cache").glob("*/*")
    entry.write_bytes(entry.read_bytes()[:100])
    same(feature_cache.instances(video, look, tmp_path / "cache"), made)
    assert counted == ["a", "a"]


def test_looks_that_differ_in_their_instances_share_a_run_of_the_backbone(
    video: Video, look: FeatureSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = FeatureSpec.named("motion", "videolets")
    other = ModelConfig.of({"motion": {"width": 48}}).feature_spec()
    alone = [feature_cache.instances(video, one, tmp_path / "alone") for one in (look, short, other)]
    runs = []
    grids = sampling.grids
    monkeypatch.setattr(sampling, "grids", lambda *some, **more: runs.append(1) or grids(*some, **more))
    found = feature_cache.bag_of(
        video, {"cells": look, "videolets": short, "coarse": other}, tmp_path / "together"
    ).views
    assert len(runs) == 2
    for one, two in zip(found.values(), alone, strict=True):
        same(one, two)
