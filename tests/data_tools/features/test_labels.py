"""Labels of videos whose features others made: from tables, from names, and names that must agree."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from wherewhen import cli, datasets
from wherewhen.core.errors import ConfigError, DataError
from wherewhen.data_tools.features.importing import Known, Said, bring
from wherewhen.data_tools.features.labels import by_name, labels_of


def features(root: Path, shapes: dict[str, tuple[int, ...]]) -> Path:
    root.mkdir()
    for name, shape in shapes.items():
        np.save(root / f"{name}.npy", np.ones(shape, np.float32))
    return root


@pytest.mark.parametrize(
    ("name", "label", "category"),
    [
        ("Abuse/Abuse028_x264.mp4", 1, "Abuse"),
        ("Testing_Normal_Videos_Anomaly/Normal_Videos_003_x264_i3d.npy", 0, None),
        ("MSAD_normal_testing_1.npy", 0, None),
        ("Assault_1_clip.npy", 1, "Assault"),
        ("v=S-7rRLrxnVQ__#1_label_B4-0-0__3.npy", 1, "riot"),
        ("Your.Name.2016__#01-01-20_01-04-00_label_A__0.npy", 0, None),
        ("01_0014_i3d.npy", 1, None),
        ("12_012.npy", 0, None),
    ],
)
def test_names_of_published_sets_say_labels(name: str, label: int, category: str | None) -> None:
    known = by_name(name)
    assert (known.label, known.category) == (label, category)


@pytest.mark.parametrize("name", ["clip", "0001", "2024-01-01T10:00:00", "_"])
def test_other_names_are_refused_and_never_guessed(name: str) -> None:
    with pytest.raises(DataError, match=r"the name has no label; .* Give a table with --labels"):
        by_name(name)


def test_names_that_dont_agree_are_an_error_with_both_sides(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    features(tmp_path / "in", {"video-1": (6, 8), "video-2": (5, 8)})
    (tmp_path / "labels.csv").write_text("path,label\nclip1.mp4,0\nclip2.mp4,1\n")
    words = ["features", "import", str(tmp_path / "in"), "--output", str(tmp_path / "store")]
    assert cli.main([*words, "--labels", str(tmp_path / "labels.csv")]) == 1
    told = capsys.readouterr().err
    assert "names none of the 2 videos" in told and "video-1, video-2" in told and "clip1, clip2" in told
    assert not (tmp_path / "store").exists()


def test_names_that_agree_in_part_are_told(tmp_path: Path) -> None:
    features(tmp_path / "in", {"a_i3d": (6, 8), "b": (5, 8), "c": (5, 8)})
    (tmp_path / "labels.csv").write_text("path,label\na.mp4,0\nb.mp4,1.0\nz.mp4,1\n")
    found = bring(tmp_path / "in", tmp_path / "store", labels=labels_of(tmp_path / "labels.csv"))
    assert f"labels: 2 of the 3 videos of {tmp_path / 'labels.csv'} have features here" in found.notes
    assert f"1 videos with features are not in {tmp_path / 'labels.csv'}: c" in found.notes
    assert found.labels == (1, 1) and found.unlabelled == 1
    assert "next:  wherewhen train store" in found.lines("store")


def test_what_comes_next_works(tmp_path: Path) -> None:
    features(tmp_path / "in", {"Abuse001": (6, 8), "Abuse002": (5, 8)})
    assert "needs labels as well" in bring(tmp_path / "in", tmp_path / "a").lines("a")[-1]
    assert "needs normal videos as well" in bring(tmp_path / "in", tmp_path / "b", from_name=True).lines("b")[-1]


def test_a_column_split_becomes_the_fold_that_is_taken(tmp_path: Path) -> None:
    shapes = dict.fromkeys("abcde", (5, 8))
    features(tmp_path / "in", shapes)
    rows = ["path,label,split,camera", "a,0,train,1", "b,1,train,1", "c,0,val,1", "d,1,val,2", "e,1,test,2"]
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    bring(tmp_path / "in", tmp_path / "store", labels=Said(tmp_path / "labels.csv"))
    dataset = datasets.reader_of(tmp_path / "store").load(tmp_path / "store")
    learn, held = datasets.training_videos(dataset)
    assert [v.id for v in learn] == ["a", "b", "c", "d"] and held == ("c", "d")
    assert [v.id for v in datasets.evaluation_videos(dataset)] == ["e"]
    (tmp_path / "labels.csv").write_text("path,label,split\na,0,train\na,0,test\n")
    with pytest.raises(DataError, match=r"line 3: a is in test here and in train above"):
        labels_of(tmp_path / "labels.csv")


@pytest.mark.parametrize(("frames", "told"), [(4, "50% of the video"), (8, ""), (10, "125% of the video")])
def test_features_are_held_against_the_seconds_of_a_table(tmp_path: Path, frames: int, told: str) -> None:
    features(tmp_path / "in", {"a": (10, 8), "b": (10, 8)})
    (tmp_path / "labels.csv").write_text("path,label,seconds\na,0,8\nb,1,8\n")
    known = Known(frames=frames, rate=10)
    found = bring(tmp_path / "in", tmp_path / "store", metadata=known, labels=labels_of(tmp_path / "labels.csv"))
    notes = [note for note in found.notes if "cover another length" in note]
    assert [told in note and "2 of 2 videos" in note for note in notes] == [True] * bool(told)


# --- time is the first axis, or is said to be the last


@pytest.mark.parametrize(
    "shapes",
    [{"a": (24, 7), "b": (24, 9)}, {"a": (1024, 30)}, {"a": (512, 33), "b": (512, 33)}],
)
def test_files_with_time_last_are_refused_until_that_is_said(
    tmp_path: Path, shapes: dict[str, tuple[int, int]]
) -> None:
    features(tmp_path / "in", shapes)
    with pytest.raises(DataError, match=r"Did you mean \(D, T\), transposed\? If so, add --axes time-last"):
        bring(tmp_path / "in", tmp_path / "store")
    found = bring(tmp_path / "in", tmp_path / "store", axes="time-last")
    assert found.videos == len(shapes) and found.layout == "rtfm"
    (file, *_) = sorted((tmp_path / "store").rglob("a.safetensors"))
    from wherewhen.core.feature_file import open_features

    assert open_features(file).shape == shapes["a"][::-1]


def test_files_that_may_well_have_time_first_are_taken(tmp_path: Path) -> None:
    features(tmp_path / "in", {"a": (512, 1024), "b": (512, 1024), "c": (7, 1024)})
    assert bring(tmp_path / "in", tmp_path / "store").videos == 3
    features(tmp_path / "one", {"a": (1024, 30)})
    assert bring(tmp_path / "one", tmp_path / "first", axes="time-first").videos == 1
    with pytest.raises(ConfigError, match="unknown order of axes 'TD'"):
        bring(tmp_path / "one", tmp_path / "x", axes="TD")


def test_crops_before_time_are_told(tmp_path: Path) -> None:
    features(tmp_path / "in", {"a": (10, 40, 16)})
    with pytest.raises(DataError, match=r"most are \(10, 40, 16\)\)\. Crops must be the axis behind time"):
        bring(tmp_path / "in", tmp_path / "store")


def test_two_files_of_one_video_are_refused_where_labels_would_hold_for_both(tmp_path: Path) -> None:
    features(tmp_path / "in", {"a": (5, 8), "a_i3d": (5, 8)})
    (tmp_path / "labels.csv").write_text("path,label\na,0\nb,1\n")
    with pytest.raises(DataError, match="a and a_i3d: both are features of a video called a"):
        bring(tmp_path / "in", tmp_path / "store", labels=labels_of(tmp_path / "labels.csv"))


def test_a_table_names_cameras(tmp_path: Path) -> None:
    features(tmp_path / "in", {"a": (6, 8), "b": (5, 8)})
    (tmp_path / "labels.csv").write_text("path,label,camera\na.mp4,0,gate\nb.mp4,1,\n")
    bring(tmp_path / "in", tmp_path / "store", labels=labels_of(tmp_path / "labels.csv"))
    videos = datasets.reader_of(tmp_path / "store").load(tmp_path / "store").videos
    assert {video.id: video.camera for video in videos} == {"a": "gate", "b": None}
