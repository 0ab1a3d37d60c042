"""Parts of joined backbones are computed once for each video, whatever the other parts, and change no number."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wherewhen.core import registry
from wherewhen.core.store import cache_folder
from wherewhen.core.values import Features, Video
from wherewhen.extraction import feature_cache
from wherewhen.inference.model_config import ModelConfig
from wherewhen.video.writer import Writer

COUNTED = ("motion", "toywords", "frame_difference")


@pytest.fixture(params=[4, 33, 38])
def video(request: pytest.FixtureRequest, tmp_path: Path) -> Video:
    """A square that crosses a wall: shorter than a clip, of whole clips, and with a last clip that reaches back."""
    path = tmp_path / "film.mp4"
    wall = np.random.default_rng(0).integers(90, 110, (48, 64, 3)).astype(np.uint8)
    with Writer(path, 12.5) as writer:
        for index in range(request.param):
            picture = wall.copy()
            picture[10:26, index : index + 12] = 230
            writer.write(picture)
    return Video("film", path, 1)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[dict[str, int]]:
    """How many clips each backbone processes, in a cache of this test."""
    monkeypatch.setenv("WHEREWHEN_CACHE", str(tmp_path / "cache"))
    counts = dict.fromkeys(COUNTED, 0)
    for name in COUNTED:
        plugin = registry.load("backbones", name)

        def counted(self: Any, clips: Any, *more: Any, name: str = name, run: Any = plugin.__call__) -> Features:
            counts[name] += len(clips)
            features: Features = run(self, clips, *more)
            return features

        monkeypatch.setattr(plugin, "__call__", counted)
    yield counts


def features(video: Video, backbone: str, **settings: Any) -> Features:
    spec = ModelConfig.of({"backbone": backbone, **settings}).feature_spec()
    return feature_cache.instances(video, spec).features


def test_a_cached_part_is_not_computed_again(video: Video, calls: dict[str, int]) -> None:
    first = features(video, "motion+toywords")
    clips = calls["motion"]
    assert clips and calls["toywords"] == clips
    second = features(video, "motion+toywords+frame_difference")
    assert calls == {"motion": clips, "toywords": clips, "frame_difference": clips}
    np.testing.assert_array_equal(second[:, : first.shape[1]], first)
    features(video, "motion+toywords", motion={"cell": 24})
    assert calls == {"motion": 2 * clips, "toywords": clips, "frame_difference": clips}
    features(video, "motion+toywords", cells={"steps": 1})
    assert calls == {"motion": 2 * clips, "toywords": clips, "frame_difference": clips}
    features(video, "motion+toywords", motion={"stride": 4})
    assert calls["motion"] > 2 * clips and calls["toywords"] > clips, "other clips"


def test_features_of_the_first_part_alone_are_used(video: Video, calls: dict[str, int]) -> None:
    """But for the first clip, which gives the number of steps, and a last one, whose cells lack some."""
    alone = features(video, "motion")
    clips = calls["motion"]
    joined = features(video, "motion+toywords", cells={"steps": 2})
    assert calls["motion"] - clips == {1: 1, 4: 1, 5: 2}[clips]
    for path in sorted(cache_folder().glob("*/motion*/*")):
        path.unlink()
    np.testing.assert_array_equal(features(video, "motion+toywords", cells={"steps": 2}), joined)
    assert joined.shape[1] == alone.shape[1] + 9


def test_a_damaged_part_is_computed_again(video: Video, calls: dict[str, int]) -> None:
    first = features(video, "motion+toywords")
    clips = calls["motion"]
    files = sorted((cache_folder() / "parts").glob("*/*.safetensors"))
    assert len(files) == 2
    for path in files:
        path.write_bytes(b"damaged")
    assert features(video, "motion+toywords", cells={"window": 1.5}).shape == first.shape
    assert calls["motion"] == 2 * clips


def test_gates_go_without_the_cache(video: Video, calls: dict[str, int]) -> None:
    first = features(video, "motion+toywords", gate=0.5)
    assert not (cache_folder() / "parts").exists()
    features(video, "motion+toywords")
    np.testing.assert_array_equal(features(video, "motion+toywords", gate=0.5), first)
