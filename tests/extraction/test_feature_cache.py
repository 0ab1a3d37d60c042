"""Features are made once; what lies in the cache is what was made."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wherewhen.core.values import Instances, Video
from wherewhen.extraction import feature_cache, sampling
from wherewhen.extraction.extractor import Extracted, FeatureSpec
from wherewhen.inference.model_config import ModelConfig

SameInstances = Callable[[Instances, Instances], None]


@pytest.fixture(autouse=True)
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids of the videos that were really looked at."""
    seen: list[str] = []
    real = feature_cache.extract_features

    def look_and_count(video: Video, *more: Any, **options: Any) -> list[Extracted]:
        seen.append(video.id)
        return real(video, *more, **options)

    monkeypatch.setattr(feature_cache, "extract_features", look_and_count)
    return seen


def test_the_cache_gives_back_what_was_made(
    short_video: Video,
    default_spec: FeatureSpec,
    tmp_path: Path,
    counted: list[str],
    assert_same_instances: SameInstances,
) -> None:
    made = feature_cache.instances(short_video, default_spec, tmp_path / "cache")
    assert_same_instances(feature_cache.instances(short_video, default_spec, tmp_path / "cache"), made)
    assert counted == ["a"]
    renamed = short_video.path.rename(tmp_path / "b.mp4")
    assert_same_instances(feature_cache.instances(Video("b", renamed, 0), default_spec, tmp_path / "cache"), made)
    assert counted == ["a"], "the same content under another name and label is the same"


def test_other_content_settings_and_spans_are_made_anew(
    short_video: Video, default_spec: FeatureSpec, tmp_path: Path, clips: Path, counted: list[str]
) -> None:
    cache = tmp_path / "cache"
    whole = feature_cache.instances(short_video, default_spec, cache)
    part = feature_cache.instances(replace(short_video, span=(0.4, 1.2)), default_spec, cache)
    assert part.extents[:, 0].min() >= 0.4 and part.extents[:, 1].max() <= 1.2 + 1e-9
    coarse = ModelConfig.of({"cells": {"rows": 1, "columns": 1, "steps": 1}}).feature_spec()
    assert len(feature_cache.instances(short_video, coarse, cache).features) < len(whole.features)
    shutil.copy(clips / "normal" / "n0.mp4", short_video.path)
    assert not np.array_equal(feature_cache.instances(short_video, default_spec, cache).features, whole.features)
    assert counted == ["a"] * 4
    assert len(list(cache.glob("*/*"))) == 4 and len(list(cache.iterdir())) == 2, "a folder per look"


def test_a_damaged_entry_is_made_again(
    short_video: Video,
    default_spec: FeatureSpec,
    tmp_path: Path,
    counted: list[str],
    assert_same_instances: SameInstances,
) -> None:
    made = feature_cache.instances(short_video, default_spec, tmp_path / "cache")
    (entry,) = (tmp_path / "cache").glob("*/*")
    entry.write_bytes(entry.read_bytes()[:100])
    assert_same_instances(feature_cache.instances(short_video, default_spec, tmp_path / "cache"), made)
    assert counted == ["a", "a"]


def test_looks_that_differ_in_their_instances_share_a_run_of_the_backbone(
    short_video: Video,
    default_spec: FeatureSpec,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    assert_same_instances: SameInstances,
) -> None:
    short = FeatureSpec.named("motion", "videolets")
    other = ModelConfig.of({"motion": {"width": 48}}).feature_spec()
    alone = [feature_cache.instances(short_video, one, tmp_path / "alone") for one in (default_spec, short, other)]
    runs = []
    grids = sampling.grids
    monkeypatch.setattr(sampling, "grids", lambda *some, **more: runs.append(1) or grids(*some, **more))
    found = feature_cache.bag_of(
        short_video, {"cells": default_spec, "videolets": short, "coarse": other}, tmp_path / "together"
    ).views
    assert len(runs) == 2
    for one, two in zip(found.values(), alone, strict=True):
        assert_same_instances(one, two)
