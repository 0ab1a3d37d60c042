"""Cameras of a data set as tables."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from wherewhen import cli, datasets
from wherewhen.core.errors import DataError
from wherewhen.core.values import Dataset, Fold, Video
from wherewhen.data_tools.camera_list import by_camera, labels_table


def filmed(root: Path) -> Dataset:
    videos = tuple(Video(f"v{k}", root / f"{k}.mp4", k % 2, "fight" if k % 2 else None) for k in range(8))
    return Dataset("x", videos, (Fold("split", videos[:6], videos[6:], ("v2", "v3")),), "split")


def test_cameras_with_most_videos_are_first(tmp_path: Path) -> None:
    rows = by_camera(filmed(tmp_path), {f"v{k}": "b" if k in (1, 2, 3, 4, 5) else "a" for k in range(8)})
    assert rows == [
        {"camera": "b", "normal": 2, "anomalous": 3, "videos": ["v1", "v2", "v3", "v4", "v5"]},
        {"camera": "a", "normal": 2, "anomalous": 1, "videos": ["v0", "v6", "v7"]},
    ]


def test_a_table_of_labels_is_read_back_with_its_split(tmp_path: Path) -> None:
    dataset, cameras = filmed(tmp_path), {f"v{k}": "b, c" if k % 3 else "a" for k in range(8)}
    for video in dataset.videos:
        video.path.touch()
    (tmp_path / "labels.csv").write_text(labels_table(tmp_path, dataset, cameras))
    again = datasets.reader_of(tmp_path).load(tmp_path)
    assert [(v.label, v.category, v.camera) for v in again.videos] == [
        (v.label, v.category, cameras[v.id]) for v in dataset.videos
    ]
    (fold,) = again.folds
    assert [len(fold.train), len(fold.test), len(fold.validation)] == [6, 2, 2]


def test_spans_of_videos_are_read_back(tmp_path: Path) -> None:
    spans = [(0.0, 1.25), (1.25, 3.0), None, (0.5, 1234.567)]
    videos = [Video(f"v{k}", tmp_path / f"{k // 2}.mp4", k % 2, span=span) for k, span in enumerate(spans)]
    for video in videos:
        video.path.touch()
    (tmp_path / "labels.csv").write_text(
        labels_table(tmp_path, Dataset("x", tuple(videos)), dict.fromkeys(("v0", "v1", "v2", "v3"), "a"))
    )
    again = datasets.reader_of(tmp_path).load(tmp_path).videos
    assert [(v.id, v.path, v.label, v.span) for v in again] == [
        (id, v.path, v.label, v.span)
        for id, v in zip(["0@0-1.25", "0@1.25-3", "1", "1@0.5-1234.567"], videos, strict=True)
    ]


@pytest.mark.parametrize(
    ("video", "message"),
    [
        (Video("a", Path("/x/a.mp4")), "has no label"),
        (Video("a", Path("/y/a.mp4"), 0), "is not in /x"),
    ],
)
def test_what_a_table_cannot_hold_is_an_error(video: Video, message: str) -> None:
    with pytest.raises(DataError, match=message):
        labels_table(Path("/x"), Dataset("x", (video,)), {"a": "gate"})


def test_the_verb_lists_cameras_and_writes_labels(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "yard"
    shutil.copytree(clips, root)
    words = ["data", "cameras", str(root)]
    assert cli.main([*words, "--json", "--output", str(root / "labels.csv")]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert sorted(name for row in rows for name in row["videos"]) == sorted(
        video.id for video in datasets.reader_of(clips).load(clips).videos
    )
    assert {video.camera for video in datasets.reader_of(root).load(root).videos} == {row["camera"] for row in rows}
    assert cli.main([*words, "--examples", "1"]) == 0
    head, _, columns, *_ = capsys.readouterr().out.splitlines()
    assert head == f"{len(rows)} camera{'s' * (len(rows) > 1)}, 4 videos" and columns.split() == [
        "camera",
        "normal",
        "anomalous",
        "videos",
    ]


def test_a_table_of_the_user_is_not_replaced(clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "labels.csv").write_text("mine")
    assert cli.main(["data", "cameras", str(clips), "--output", str(tmp_path / "labels.csv")]) != 0
    assert (tmp_path / "labels.csv").read_text() == "mine" and "labels.csv" in capsys.readouterr().err
