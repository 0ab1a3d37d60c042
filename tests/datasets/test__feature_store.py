"""The index of a store of features."""

from __future__ import annotations

from pathlib import Path

from wherewhen.core.values import Dataset, Fold, Video
from wherewhen.datasets._feature_store import read_index, read_videos, write_index


def test_a_store_keeps_cameras_and_reads_an_index_without_them(tmp_path: Path) -> None:
    a, b = Video("a", Path("a.mp4"), 0, camera="gate"), Video("b", Path("b.mp4"), 1)
    write_index(tmp_path, Dataset("x", (a, b), (Fold("f", (a,), (b,)),)), {})
    index = read_index(tmp_path)
    assert [video.camera for video in read_videos(tmp_path, index).videos] == ["gate", None]
    assert read_videos(tmp_path, index).folds[0].train[0].camera == "gate"
    for row in index["videos"]:
        del row["camera"]
    assert [video.camera for video in read_videos(tmp_path, index).videos] == [None, None]
