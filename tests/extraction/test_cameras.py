"""Which videos one camera recorded."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from wherewhen.core.values import Video
from wherewhen.extraction import cameras
from wherewhen.extraction.backgrounds import SIZE, Background
from wherewhen.extraction.cameras import camera_groups


@pytest.fixture
def scenes(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Files whose first letter is their scene; a list of those that are read."""
    read: list[Path] = []

    def background(path: Path, _: object) -> Background:
        read.append(path)
        if path.suffix == ".txt":
            raise OSError(f"{path}: no video")
        return Background(np.random.default_rng(ord(path.name[0])).integers(0, 255, SIZE, np.uint8), 4 / 3)

    monkeypatch.setattr(cameras, "background", background)
    monkeypatch.setattr(Path, "exists", lambda path: path.name[0] != "-")
    return read


def videos(*names: str) -> list[Video]:
    """Videos of files, with a camera after an @."""
    parts = [name.partition("@") for name in names]
    return [Video(f"v{k}", Path(file), camera=camera or None) for k, (file, _, camera) in enumerate(parts)]


def test_names_of_the_data_set_are_the_groups_and_no_video_is_read(scenes: list[Path]) -> None:
    named = videos("a.mp4@gate", "b.mp4@yard", "a2.mp4@yard")
    assert list(camera_groups(named).values()) == ["gate", "yard", "yard"]
    assert scenes == []


def test_without_names_backgrounds_are_compared(scenes: list[Path]) -> None:
    assert list(camera_groups(videos("a.mp4", "b.mp4", "a2.mp4")).values()) == ["camera1", "camera2", "camera1"]


def test_spans_of_one_file_are_one_camera_and_the_file_is_read_once(scenes: list[Path]) -> None:
    parts = [Video(f"v{k}", Path("a.mp4"), span=(k, k + 1)) for k in range(4)]
    assert set(camera_groups(parts).values()) == {"camera1"}
    assert scenes == [Path("a.mp4")]


def test_a_video_without_a_name_takes_that_of_its_background(scenes: list[Path]) -> None:
    mixed = videos("a.mp4", "a2.mp4@gate", "b.mp4@camera1", "c.mp4", "a3.mp4@yard")
    assert list(camera_groups(mixed).values()) == ["gate", "gate", "camera1", "camera2", "yard"]


def test_what_cannot_be_read_is_logged_and_a_camera_of_its_own(
    scenes: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        groups = camera_groups(videos("a.txt", "a.mp4", "b.txt", "features.safetensors", "-missing.mp4"))
    assert len(set(groups.values())) == 5
    assert [record.getMessage().count("camera of its own") for record in caplog.records] == [1, 1]


def test_nothing_has_no_camera() -> None:
    assert camera_groups([]) == {}
