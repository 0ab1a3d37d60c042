"""Which videos one camera recorded."""

from __future__ import annotations

from pathlib import Path

from wherewhen.core.values import Video
from wherewhen.extraction.cameras import camera_groups


def test_names_of_the_data_set_are_the_groups() -> None:
    videos = [Video(f"v{n}", Path(f"{n}.mp4"), camera="ab"[n % 2]) for n in range(4)]
    assert camera_groups(videos) == {"v0": "a", "v1": "b", "v2": "a", "v3": "b"}


def test_parts_of_one_file_are_one_camera_and_new_names_are_free() -> None:
    videos = [
        Video("v0", Path("x.mp4"), span=(0, 1)),
        Video("v1", Path("y.mp4"), camera="camera1"),
        Video("v2", Path("x.mp4"), span=(1, 2)),
        Video("v3", Path("z.mp4")),
    ]
    assert camera_groups(videos) == {"v0": "camera2", "v1": "camera1", "v2": "camera2", "v3": "camera3"}


def test_nothing_has_no_camera() -> None:
    assert camera_groups([]) == {}
