"""Folds that keep groups of videos on one side."""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherewhen.core.errors import ConfigError
from wherewhen.core.values import Video
from wherewhen.training.folds import ENOUGH, fold_groups, grouped_folds, validation_ids

marks = st.lists(st.tuples(st.sampled_from([0, 1]), st.integers(0, 9)), min_size=2, max_size=60)


def clips(rows: list[tuple[int, int]]) -> tuple[list[Video], dict[str, str]]:
    videos = [Video(f"v{n}", Path(f"{n}.mp4"), label) for n, (label, _) in enumerate(rows)]
    return videos, {video.id: f"g{group}" for video, (_, group) in zip(videos, rows, strict=True)}


@given(marks, st.integers(2, 6), st.integers(0, 5))
def test_every_video_is_tested_once_and_no_group_is_on_two_sides(
    rows: list[tuple[int, int]], count: int, seed: int
) -> None:
    videos, groups = clips(rows)
    if len(set(groups.values())) < count:
        with pytest.raises(ConfigError, match="at most"):
            grouped_folds(videos, groups, count, seed)
        return
    folds = grouped_folds(videos, groups, count, seed)
    assert len(folds) == count and len({fold.name for fold in folds}) == count
    assert Counter(video.id for fold in folds for video in fold.test) == Counter(video.id for video in videos)
    for fold in folds:
        assert fold.test and sorted([*fold.train, *fold.test], key=videos.index) == videos
        assert not {groups[video.id] for video in fold.train} & {groups[video.id] for video in fold.test}
    assert grouped_folds(videos, groups, count, seed) == folds


@given(st.lists(st.sampled_from([0, 1]), min_size=4, max_size=50), st.integers(2, 4), st.integers(0, 5))
def test_without_groups_labels_are_spread_evenly(labels: list[int], count: int, seed: int) -> None:
    videos, _ = clips([(label, 0) for label in labels])
    folds = grouped_folds(videos, {video.id: video.id for video in videos}, count, seed)
    for label in (0, 1):
        tested = [sum(video.label == label for video in fold.test) for fold in folds]
        assert max(tested) - min(tested) <= 1


def test_large_groups_leave_room_for_balance() -> None:
    rows = [(n % 2, 0) for n in range(20)] + [(n % 2, 1 + n // 4) for n in range(20)]
    videos, groups = clips(rows)
    for fold in grouped_folds(videos, groups, 2, 0):
        assert [sum(video.label == label for video in fold.test) for label in (0, 1)] == [10, 10]


def test_other_seeds_draw_other_folds() -> None:
    videos, groups = clips([(n % 2, n // 2) for n in range(20)])
    assert len({grouped_folds(videos, groups, 3, seed) for seed in range(6)}) > 3


def test_a_single_fold_is_refused() -> None:
    videos, groups = clips([(0, 0), (1, 1)])
    with pytest.raises(ConfigError, match="at least 2"):
        grouped_folds(videos, groups, 1, 0)


@pytest.mark.parametrize("cameras", [ENOUGH - 1, ENOUGH])
def test_folds_are_by_camera_only_where_there_are_enough(cameras: int) -> None:
    videos = [Video(f"v{n}", Path(f"{n}.mp4"), n % 2, camera=f"c{n // 2 % cameras}") for n in range(20)]
    groups, by_camera = fold_groups(videos)
    assert by_camera == (cameras >= ENOUGH)
    assert len(set(groups.values())) == (cameras if by_camera else 20)


filmed = st.lists(st.tuples(st.sampled_from([0, 1]), st.integers(0, 12)), max_size=80)


@given(filmed, st.floats(0.01, 0.9), st.integers(0, 5))
def test_validation_has_whole_cameras_of_both_labels(rows: list[tuple[int, int]], share: float, seed: int) -> None:
    videos = [Video(f"v{n}", Path(f"{n}.mp4"), label, camera=f"c{camera}") for n, (label, camera) in enumerate(rows)]
    held = validation_ids(videos, share, seed)
    assert held == validation_ids(videos, share, seed)
    parts = [[video for video in videos if (video.id in held) == side] for side in (True, False)]
    if held:
        assert not {video.camera for video in parts[0]} & {video.camera for video in parts[1]}
        assert {video.label for video in parts[0]} == {video.label for video in parts[1]} == {0, 1}
    else:
        cameras = [{video.camera for video in videos if video.label == label} for label in (0, 1)]
        everywhere = len(set.union(*cameras)) == len(videos)
        assert min(map(len, cameras)) < ENOUGH or everywhere or len(videos) < 40


def test_a_share_of_the_cameras_validates_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    videos = [Video(f"v{n}", Path(f"{n}.mp4"), n % 2, camera=f"c{n // 4}") for n in range(40)]
    with caplog.at_level(logging.INFO):
        assert len(validation_ids(videos, 0.2, 0)) == 8
    assert caplog.messages == ["validation: 8 of 40 videos, all those of 2 of 10 cameras"]


def test_few_cameras_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    videos = [Video(f"v{n}", Path(f"{n}.mp4"), n % 2, camera="c") for n in range(40)]
    with caplog.at_level(logging.INFO):
        assert validation_ids(videos, 0.2, 0) == ()
    assert "fewer than 4 cameras" in caplog.messages[0]
