"""One file under two names, found by content, links and spans; and what a single video of a label means."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from wherewhen import cli
from wherewhen.api import extraction, runs
from wherewhen.core.diagnostics import collected, listening
from wherewhen.core.errors import DataError
from wherewhen.core.values import Fold, Video
from wherewhen.data_tools.dataset_checks import check_cameras, check_contents, check_few, pairs


def link(source: Path, target: Path) -> None:
    target.symlink_to(source)


def hard(source: Path, target: Path) -> None:
    os.link(source, target)


@pytest.mark.parametrize("put", [shutil.copy, link, hard])
def test_one_file_with_both_labels_is_an_error_that_names_both(
    clips: Path, tmp_path: Path, put: Callable[[Path, Path], None]
) -> None:
    root = tmp_path / "yard"
    shutil.copytree(clips, root)
    put(root / "anomalous" / "a0.mp4", root / "normal" / "other.mp4")
    both = (
        rf"same file with both labels: {root}/normal/other\.mp4 \(normal\) and {root}/anomalous/a0\.mp4 \(anomalous\)"
    )
    with pytest.raises(DataError, match=both):
        runs.train(root, tmp_path / "run", device="cpu", quiet=True)
    with pytest.raises(DataError, match=both):
        extraction.sources(root)
    assert not (tmp_path / "run").exists(), "refused before any work"
    assert cli.main(["data", "check", str(root)]) == 1


def test_one_file_twice_with_one_label_is_told_once(
    clips: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "yard"
    shutil.copytree(clips, root)
    for number in range(3):
        shutil.copy(root / "normal" / "n0.mp4", root / "normal" / f"copy{number}.mp4")
    extraction.sources(root)
    (told,) = [record for record in caplog.records if "content-repeated" in record.message]
    assert told.levelname == "WARNING" and "and 5 more like it; wherewhen data check" in told.message


def video(path: Path, label: int, span: tuple[float, float] | None = None) -> Video:
    return Video(f"{path.name}-{label}-{span}", path, label, span=span)


def test_parts_of_one_file_are_the_same_where_they_overlap(tmp_path: Path) -> None:
    path, folder = tmp_path / "a.mp4", tmp_path / "frames"
    path.write_text("a")
    folder.mkdir()
    (folder / "1.png").write_text("x")
    shutil.copytree(folder, tmp_path / "again")
    apart = [video(path, 0, (0, 2)), video(path, 1, (2, 4))]
    assert not list(pairs(apart))
    assert len(list(pairs([*apart, video(path, 0, (1, 3))]))) == 2
    assert len(list(pairs([video(folder, 0), video(tmp_path / "again", 1)]))) == 1
    assert not list(pairs([video(tmp_path / "gone.mp4", 0), video(tmp_path / "gone too.mp4", 1)]))


@pytest.mark.parametrize(("labels", "told"), [((1, 0, 0), "only anomalous video"), ((1, 1, 0), "only normal video")])
def test_a_single_video_of_a_label_is_told_with_what_to_expect(labels: tuple[int, ...], told: str) -> None:
    videos = [Video(f"v{number}", Path(f"v{number}.mp4"), label) for number, label in enumerate(labels)]
    with listening() as found:
        check_few(videos)
    assert [one.kind for one in found] == ["few-videos"]
    assert told in found[0].message and "expect" in found[0].message and "8 of each label" in found[0].message
    with listening() as found:
        check_few([*videos, *(Video(f"w{label}", Path("w.mp4"), label) for label in (0, 1))])
    assert not found


def test_all_errors_are_counted_in_one(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).write_text("same")
    found = [video(tmp_path / name, label) for name, label in zip("abc", (0, 1, 1), strict=True)]
    with (
        pytest.raises(DataError, match=r"same file .*; and 1 more errors, which wherewhen data check"),
        collected(tmp_path),
    ):
        check_contents(found)


def _filmed(cameras: str) -> list[Video]:
    return [Video(f"v{n}", Path(f"{n}.mp4"), n % 2, camera=camera) for n, camera in enumerate(cameras)]


@pytest.mark.parametrize(
    ("cameras", "messages"),
    [
        ("aabb", ["2 cameras: 2 with normal videos, 2 with anomalous videos"]),
        ("abab", [
            "2 cameras: 1 with normal videos, 1 with anomalous videos",
            "2 of 2 tested cameras are also in training: a, b",
        ]),
        ("aaaa", []),
    ],
)  # fmt: skip
def test_cameras_are_counted_and_may_be_on_one_side_only(cameras: str, messages: list[str]) -> None:
    videos = _filmed(cameras)
    fold = Fold("f", tuple(videos[:2]), tuple(videos[2:]))
    with listening() as findings:
        check_cameras(videos, {video.id: str(video.camera) for video in videos}, [fold])
    assert [finding.message for finding in findings] == messages


def test_videos_without_a_camera_are_counted_apart() -> None:
    with listening() as findings:
        check_cameras(_filmed("aabb"), {"v0": "a", "v3": "b"})
        check_cameras(_filmed("aabb"), {})
    assert [finding.message for finding in findings] == [
        "2 cameras: 1 with normal videos, 1 with anomalous videos; 2 videos have none"
    ]
