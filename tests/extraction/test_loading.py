"""Bags come in the order of their videos; broken ones are set aside, and many are read when they are looked at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from wherewhen.core.errors import VideoError
from wherewhen.core.values import Instances, Video
from wherewhen.extraction import loading
from wherewhen.extraction.extractor import FeatureSpec
from wherewhen.video.batch import Quarantine

SameInstances = Callable[[Instances, Instances], None]


def test_bags_come_in_order_and_broken_videos_are_set_aside(
    short_video: Video, default_spec: FeatureSpec, clips: Path, tmp_path: Path
) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    videos = [
        Video("x", tmp_path / "broken.mp4", 0),
        short_video,
        Video("gone", tmp_path / "gone.mp4", 1),
        Video("n1", clips / "normal" / "n1.mp4", 0),
    ]
    quarantine = Quarantine(tmp_path)
    found = list(loading.bags(videos, {"cells": default_spec}, quarantine=quarantine, workers=3, quiet=True))
    assert [bag.video.id for bag in found] == ["a", "n1"]
    assert set(quarantine.reasons) == {"broken.mp4", "gone.mp4"}
    assert quarantine.reasons["gone.mp4"] == "no such file"
    with pytest.raises(VideoError, match=r"broken\.mp4"):
        list(loading.bags(videos, {"cells": default_spec}, quiet=True))


def test_many_features_are_read_when_they_are_looked_at(
    clips: Path,
    default_spec: FeatureSpec,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    assert_same_instances: SameInstances,
) -> None:
    monkeypatch.setenv("WHEREWHEN_CACHE", str(tmp_path))
    videos = [Video(f"v{k}", path, k % 2) for k, path in enumerate(sorted(clips.rglob("*.mp4")))]
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    videos.insert(1, Video("broken", broken, 0))
    some = loading.gathered(videos, {"cells": default_spec}, quarantine=Quarantine(tmp_path), quiet=True)
    assert isinstance(some, list)
    size = sum(b.views["cells"].features.nbytes + b.views["cells"].extents.nbytes for b in some)
    assert isinstance(loading.gathered([videos[0], *videos[2:]], {"cells": default_spec}, quiet=True, held=size), list)
    many = loading.gathered(videos, {"cells": default_spec}, quarantine=Quarantine(tmp_path), quiet=True, held=size - 1)
    assert isinstance(many, loading.StoredBags) and [bag.video.id for bag in many] == [bag.video.id for bag in some]
    assert [bag.video.id for bag in many[1:3]] == [some[1].video.id, some[2].video.id]
    for one, other in zip(some, many, strict=True):
        assert_same_instances(one.views["cells"], other.views["cells"])
    with pytest.raises(IndexError):
        many[4]
