"""Features are made once; what lies in the cache is what was made."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wherewhen import extract
from wherewhen.errors import VideoError
from wherewhen.extract import Look, Seen
from wherewhen.model import Recipe
from wherewhen.values import Instances, Video
from wherewhen.video.batch import Quarantine


@pytest.fixture
def look() -> Look:
    return Look.of(Recipe.of())


@pytest.fixture
def video(clips: Path, tmp_path: Path) -> Video:
    shutil.copy(clips / "anomalous" / "a0.mp4", tmp_path / "a.mp4")
    return Video("a", tmp_path / "a.mp4", 1)


@pytest.fixture(autouse=True)
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids of the videos that were really looked at."""
    seen: list[str] = []
    real = extract.look_at

    def look_and_count(video: Video, *more: Any) -> list[Seen]:
        seen.append(video.id)
        return real(video, *more)

    monkeypatch.setattr(extract, "look_at", look_and_count)
    return seen


def same(one: Instances, other: Instances) -> None:
    assert one.shape == other.shape
    np.testing.assert_array_equal(one.features, other.features)
    np.testing.assert_array_equal(one.extents, other.extents)
    np.testing.assert_array_equal(one.track, other.track)
    detail = getattr(one, "detail", None)
    if detail is not None:
        np.testing.assert_array_equal(detail, other.detail)


def test_the_cache_gives_back_what_was_made(video: Video, look: Look, tmp_path: Path, counted: list[str]) -> None:
    made = extract.instances(video, look, tmp_path / "cache")
    same(extract.instances(video, look, tmp_path / "cache"), made)
    assert counted == ["a"]
    renamed = video.path.rename(tmp_path / "b.mp4")
    same(extract.instances(Video("b", renamed, 0), look, tmp_path / "cache"), made)
    assert counted == ["a"], "the same content under another name and label is the same"


def test_other_content_settings_and_spans_are_made_anew(
    video: Video, look: Look, tmp_path: Path, clips: Path, counted: list[str]
) -> None:
    cache = tmp_path / "cache"
    whole = extract.instances(video, look, cache)
    part = extract.instances(replace(video, span=(0.4, 1.2)), look, cache)
    assert part.extents[:, 0].min() >= 0.4 and part.extents[:, 1].max() <= 1.2 + 1e-9
    coarse = Look.of(Recipe.of({"cells": {"rows": 1, "columns": 1, "steps": 1}}))
    assert len(extract.instances(video, coarse, cache).features) < len(whole.features)
    shutil.copy(clips / "normal" / "n0.mp4", video.path)
    assert not np.array_equal(extract.instances(video, look, cache).features, whole.features)
    assert counted == ["a"] * 4
    assert len(list(cache.glob("*/*"))) == 4 and len(list(cache.iterdir())) == 2, "a folder per look"


def test_a_damaged_entry_is_made_again(video: Video, look: Look, tmp_path: Path, counted: list[str]) -> None:
    made = extract.instances(video, look, tmp_path / "cache")
    (entry,) = (tmp_path / "cache").glob("*/*")
    entry.write_bytes(entry.read_bytes()[:100])
    same(extract.instances(video, look, tmp_path / "cache"), made)
    assert counted == ["a", "a"]


def test_bags_come_in_order_and_broken_videos_are_set_aside(
    video: Video, look: Look, clips: Path, tmp_path: Path
) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    videos = [
        Video("x", tmp_path / "broken.mp4", 0),
        video,
        Video("gone", tmp_path / "gone.mp4", 1),
        Video("n1", clips / "normal" / "n1.mp4", 0),
    ]
    quarantine = Quarantine(tmp_path)
    found = list(extract.bags(videos, {"cells": look}, quarantine=quarantine, workers=3, quiet=True))
    assert [bag.video.id for bag in found] == ["a", "n1"]
    assert set(quarantine.reasons) == {"broken.mp4", "gone.mp4"}
    assert quarantine.reasons["gone.mp4"] == "no such file"
    with pytest.raises(VideoError, match=r"broken\.mp4"):
        list(extract.bags(videos, {"cells": look}, quiet=True))


def test_many_features_are_read_when_they_are_looked_at(
    clips: Path, look: Look, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHEREWHEN_CACHE", str(tmp_path))
    videos = [Video(f"v{k}", path, k % 2) for k, path in enumerate(sorted(clips.rglob("*.mp4")))]
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    videos.insert(1, Video("broken", broken, 0))
    some = extract.gathered(videos, {"cells": look}, quarantine=Quarantine(tmp_path), quiet=True)
    assert isinstance(some, list)
    size = sum(b.views["cells"].features.nbytes + b.views["cells"].extents.nbytes for b in some)
    assert isinstance(extract.gathered([videos[0], *videos[2:]], {"cells": look}, quiet=True, held=size), list)
    many = extract.gathered(videos, {"cells": look}, quarantine=Quarantine(tmp_path), quiet=True, held=size - 1)
    assert isinstance(many, extract.Kept) and [bag.video.id for bag in many] == [bag.video.id for bag in some]
    assert [bag.video.id for bag in many[1:3]] == [some[1].video.id, some[2].video.id]
    for one, other in zip(some, many, strict=True):
        same(one.views["cells"], other.views["cells"])
    with pytest.raises(IndexError):
        many[4]
