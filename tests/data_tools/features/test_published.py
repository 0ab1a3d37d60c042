"""Packs as published code ships them: lists with paths of somebody's desktop, frame labels in one row."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherewhen import cli, datasets
from wherewhen.core.errors import ConfigError, DataError
from wherewhen.core.values import Fold
from wherewhen.data_tools.features.importing import Known, Said, bring
from wherewhen.data_tools.features.published import Lists, frame_labels, listed

UCF = {"Abuse001_x264": 3, "Normal_Videos001_x264": 4, "Abuse028_x264": 5, "Normal_Videos_003_x264": 2}
XD = {"v=a__#1_label_B2-G-0": 3, "Movie.2001__#00-01_label_A": 2}


def feature(seed: int, steps: int, crops: int = 10) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(steps, crops, 8)).astype(np.float32)


@pytest.fixture
def ucf(tmp_path: Path) -> Path:
    """Features as RTFM, UR-DMU and MGFN take them, their two lists, and frame labels."""
    (tmp_path / "i3d").mkdir()
    for number, (name, steps) in enumerate(UCF.items()):
        np.save(tmp_path / "i3d" / f"{name}_i3d.npy", feature(number, steps))
    train, test = "/home/yu/yu_ssd/UCF_Train_ten_crop_i3d", "C:\\Users\\me\\Desktop\\UCF Test"
    names = [f"{name}_i3d.npy" for name in UCF]
    (tmp_path / "ucf-i3d.list").write_text("".join(f"{train}/{name}\n" for name in names[:2]))
    (tmp_path / "ucf-i3d-test.list").write_text("".join(f"{test}\\{name}\r\n" for name in names[2:]))
    flags = np.zeros(7 * 16)
    flags[20:40] = 1
    np.save(tmp_path / "gt-ucf.npy", flags)
    return tmp_path


def lists(root: Path) -> Lists:
    return Lists.of(*(str(root / name) for name in ("ucf-i3d.list", "ucf-i3d-test.list", "gt-ucf.npy"))) or Lists()


def test_a_pack_comes_in_with_labels_fold_and_truth(ucf: Path) -> None:
    found = bring(ucf / "i3d", ucf / "store", from_name=True, lists=lists(ucf), metadata=Known(rate=30))
    assert found.labels == (2, 2) and found.truths == 2 and found.time == "seconds"
    assert "train list: 2 of 2 videos have features here" in found.notes
    reader = datasets.reader_of(ucf / "store")
    dataset = reader.load(ucf / "store")
    (fold,) = dataset.folds
    assert (dataset.default, fold.name) == ("published", "published")
    assert [v.label for v in fold.train] == [v.label for v in fold.test] == [1, 0]
    truths = reader.truth(ucf / "store")
    abuse, normal = (truths[f"{name}_i3d"] for name in ("Abuse028_x264", "Normal_Videos_003_x264"))
    assert len(abuse.edges) == 5 * 16 + 1 and len(normal.edges) == 2 * 16 + 1
    np.testing.assert_allclose(abuse.spans, [[20 / 30, 40 / 30]])
    assert abuse.categories == ("Abuse",) and normal.label == 0
    assert abuse.boxed is not None and not abuse.boxed[20:40].any(), "nothing is known of boxes"


def test_without_a_rate_times_are_relative_and_frames_still_count(ucf: Path) -> None:
    found = bring(ucf / "i3d", ucf / "store", from_name=True, lists=lists(ucf))
    assert (found.time, found.truths) == ("relative", 2)
    truth = datasets.reader_of(ucf / "store").truth(ucf / "store")["Abuse028_x264_i3d"]
    assert truth.frames.nonzero()[0].tolist() == list(range(20, 40))
    assert truth.edges[-1] == 1


def test_train_and_evaluate_take_the_lists(ucf: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["features", "import", ucf / "i3d", "--output", ucf / "store", "--labels-from-name"]
    words += [
        "--train-list",
        ucf / "ucf-i3d.list",
        "--test-list",
        ucf / "ucf-i3d-test.list",
        "--gt",
        ucf / "gt-ucf.npy",
    ]
    assert cli.main(list(map(str, words))) == 0
    assert f"next:  wherewhen train {ucf / 'store'}" in capsys.readouterr().out
    steps = ["--training.steps", "3", "--device", "cpu", "--quiet"]
    assert cli.main(["train", str(ucf / "store"), "--output", str(ucf / "run"), *steps]) == 0
    told = capsys.readouterr().out
    assert f"next:  wherewhen evaluate {ucf / 'store'} --model {ucf / 'run'}" in told
    assert json.loads((ucf / "run" / "metrics.json").read_text())["videos"] == 2
    words = ["evaluate", ucf / "store", "--model", ucf / "run", "--device", "cpu", "--quiet"]
    assert cli.main(list(map(str, words))) == 0
    made = json.loads((ucf / "run" / "evaluation" / "metrics.json").read_text())
    assert made["fold"] == "published" and "frame_auc" in {row["metric"] for row in made["rows"]}


@pytest.mark.parametrize(
    ("frames", "says"),
    [
        (100, r"gt-ucf\.npy: 100 frame labels, but 7 features of 2 videos x 16 frames are 112: 12 too few\."),
        (113, "1 too many"),
        (7 * 64, "336 too many; with 64 frames per feature they would fit"),
    ],
)
def test_frame_labels_of_another_length_are_refused_with_by_how_much(ucf: Path, frames: int, says: str) -> None:
    np.save(ucf / "gt-ucf.npy", np.zeros(frames))
    with pytest.raises(DataError, match=says):
        bring(ucf / "i3d", ucf / "store", from_name=True, lists=lists(ucf))
    assert not (ucf / "store" / "features.json").exists()


def test_frame_labels_that_contradict_names_are_refused(ucf: Path) -> None:
    rows = (ucf / "ucf-i3d-test.list").read_text().splitlines()
    (ucf / "ucf-i3d-test.list").write_text("\n".join(rows[::-1]))
    with pytest.raises(
        DataError, match=r"marks 12 of 32 frames of Normal_Videos_003_x264, which is normal.*in its order"
    ):
        bring(ucf / "i3d", ucf / "store", from_name=True, lists=lists(ucf))
    np.save(ucf / "gt-ucf.npy", np.zeros(112))
    found = bring(ucf / "i3d", ucf / "store", from_name=True, lists=lists(ucf))
    assert any("marks no frame of 1 anomalous videos: Abuse028_x264" in note for note in found.notes)


def test_test_videos_without_features_stop_the_cutting(ucf: Path) -> None:
    (ucf / "i3d" / "Normal_Videos_003_x264_i3d.npy").unlink()
    with pytest.raises(DataError, match=r"all 2 videos of .*, but 1 of them have no features here: Normal_Videos_003"):
        bring(ucf / "i3d", ucf / "store", from_name=True, lists=lists(ucf))
    some = Lists(train=ucf / "ucf-i3d.list", test=ucf / "ucf-i3d-test.list")
    found = bring(ucf / "i3d", ucf / "store", from_name=True, lists=some)
    assert "test list: 1 of 2 videos have features here" in found.notes


def test_lists_that_dont_fit_are_told(ucf: Path) -> None:
    (ucf / "sh.list").write_text("/x/01_0014_i3d.npy\n/x/01_0015_i3d.npy\n")
    with pytest.raises(
        DataError, match=r"sh\.list: none of its 2 .*; listed are 01_0014, 01_0015, the features .* Abuse001"
    ):
        bring(ucf / "i3d", ucf / "store", lists=Lists(test=ucf / "sh.list"))
    with pytest.raises(DataError, match=r"ucf-i3d\.list: 2 videos are in .* as well"):
        bring(ucf / "i3d", ucf / "store", lists=Lists(ucf / "ucf-i3d.list", ucf / "ucf-i3d.list"))
    with pytest.raises(ConfigError, match="--test-list"):
        Lists(gt=ucf / "gt-ucf.npy")


def test_a_list_of_crops_counts_each_video_once(tmp_path: Path) -> None:
    (tmp_path / "rgb.list").write_text(
        "".join(f"/media/peng/XD-Violence/i3d-features/RGB/{name}__{crop}.npy\n" for name in XD for crop in range(5))
    )
    assert listed(tmp_path / "rgb.list") == list(XD)
    (tmp_path / "in").mkdir()
    for number, (name, steps) in enumerate(XD.items()):
        for crop in range(5):
            np.save(tmp_path / "in" / f"{name}__{crop}.npy", feature(number, steps, 1)[:, 0])
    np.save(tmp_path / "gt.npy", np.repeat([0, 1, 0, 0, 0], 16))
    pack = Lists(test=tmp_path / "rgb.list", gt=tmp_path / "gt.npy")
    found = bring(tmp_path / "in", tmp_path / "store", lists=pack, from_name=True)
    assert (found.layout, found.labels, found.truths) == ("xd5", (1, 1), 2)
    truth = datasets.reader_of(tmp_path / "store").truth(tmp_path / "store")[next(iter(XD))]
    assert truth.categories == ("shooting+explosion",) and truth.frames.sum() == 16


@pytest.mark.parametrize("row", ["{}.npy", "/a b/{}_i3d.npy 432 1", "x\\{}.npy,1", "{}.mp4", "{}", "UCF/{}__0.npy"])
def test_rows_of_every_form_name_the_video(tmp_path: Path, row: str) -> None:
    (tmp_path / "a.list").write_text(f"\n{row.format('Abuse001_x264')}\n\n{row.format('01_0014')}  \n")
    assert listed(tmp_path / "a.list") == ["Abuse001_x264", "01_0014"]


def test_a_csv_as_vadclip_ships_it_is_a_list(tmp_path: Path) -> None:
    (tmp_path / "ucf_CLIP_rgb.csv").write_text("path,label\n/home/x/Abuse/Abuse001_x264__0.npy,Abuse\n")
    assert listed(tmp_path / "ucf_CLIP_rgb.csv") == ["Abuse001_x264"]


HOSTILE = {
    "objects": lambda path: np.save(path, np.array([[1], None], object), allow_pickle=True),
    "words": lambda path: np.save(path, np.array(["a"])),
    "matrix": lambda path: np.save(path, np.zeros((4, 4))),
    "numbers": lambda path: np.save(path, np.array([0, 1, 2])),
    "nothing": lambda path: np.save(path, np.zeros(0)),
    "nan": lambda path: np.save(path, np.array([0, np.nan])),
    "text": lambda path: path.write_text("0 1 1"),
    "empty": lambda path: path.write_bytes(b""),
    "folder": lambda path: path.mkdir(),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_frame_labels_that_are_none_are_refused(tmp_path: Path, name: str) -> None:
    HOSTILE[name](tmp_path / "gt.npy")
    with pytest.raises(DataError, match=r"gt\.npy: .*expected|gt\.npy: frame labels are 0 or 1, got"):
        frame_labels(tmp_path / "gt.npy")
    with pytest.raises(DataError, match=r"gone\.npy"):
        frame_labels(tmp_path / "gone.npy")


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 7), min_size=1, max_size=5), st.integers(1, 20), st.data())
def test_frame_labels_come_back_video_by_video(
    tmp_path_factory: pytest.TempPathFactory, counts: list[int], frames: int, drawn: st.DataObject
) -> None:
    root = tmp_path_factory.mktemp("pack")
    (root / "in").mkdir()
    names = [f"Kind{number:03d}" for number in range(len(counts))]
    for name, count in zip(names, counts, strict=True):
        np.save(root / "in" / f"{name}.npy", feature(0, count, 1)[:, 0])
    flags = np.array(drawn.draw(st.lists(st.booleans(), min_size=sum(counts) * frames, max_size=sum(counts) * frames)))
    np.save(root / "gt.npy", flags)
    (root / "test.list").write_text("\n".join(names))
    pack = Lists(test=root / "test.list", gt=root / "gt.npy")
    bring(root / "in", root / "store", lists=pack, metadata=Known(frames=frames), axes="time-first")
    truths = datasets.reader_of(root / "store").truth(root / "store")
    np.testing.assert_array_equal(np.concatenate([truths[name].frames for name in names]), flags)


# --- official lists, though not all their videos are here


def official(root: Path, count: int) -> Path:
    """UCF-Crime's own lists and spans, as many test videos as asked for."""
    root.mkdir()
    test = [f"Abuse{number:03d}_x264.mp4" for number in range(count)]
    (root / "Anomaly_Train.txt").write_text(
        "Abuse/Abuse900_x264.mp4\nTraining_Normal_Videos_Anomaly/Normal_Videos901_x264.mp4\n"
    )
    (root / "Anomaly_Test.txt").write_text("".join(f"Abuse/{name}\n" for name in test))
    (root / "Temporal_Anomaly_Annotation.txt").write_text("".join(f"{name}  Abuse  3  40  -1  -1\n" for name in test))
    return root


def some_features(root: Path, names: dict[str, int]) -> Path:
    root.mkdir()
    for number, (name, steps) in enumerate(names.items()):
        np.save(root / f"{name}_i3d.npy", feature(number, steps))
    return root


HERE = {"Abuse003_x264": 4, "Abuse007_x264": 5, "Abuse900_x264": 3, "Normal_Videos901_x264": 3}


def test_lengths_are_wanted_of_imported_videos_alone(tmp_path: Path) -> None:
    lists_, features = official(tmp_path / "ucf", 30), some_features(tmp_path / "in", HERE)
    (lists_ / "videos.json").write_text(
        json.dumps({name: {"frames": 16 * steps + 5} for name, steps in HERE.items() if name < "Abuse9"})
    )
    known = Known(frames=16)
    found = bring(features, tmp_path / "store", metadata=known, labels=Said(lists_))
    assert found.truths == 2 and found.labels == (1, 3)
    assert f"labels: 4 of the 32 videos of {lists_} have features here" in found.notes
    assert "2 videos without truth count as 30 frames per second, as those with truth" in found.notes
    truth = datasets.reader_of(tmp_path / "store").truth(tmp_path / "store")["Abuse003_x264_i3d"]
    assert len(truth.edges) == 70 and truth.frames.nonzero()[0].tolist() == list(range(2, 40))


def test_where_nobody_knows_lengths_those_of_the_features_are_taken_and_told(tmp_path: Path) -> None:
    lists_, features = official(tmp_path / "ucf", 30), some_features(tmp_path / "in", HERE)
    found = bring(features, tmp_path / "store", metadata=Known(frames=16), labels=Said(lists_))
    assert (
        found.truths == 2
        and "lengths of 2 videos are those of their features, because no other file has them" in found.notes
    )
    found = bring(features, tmp_path / "blind", labels=Said(lists_))
    assert found.truths == 0 and any("no truth for 2 of 2 test videos" in note for note in found.notes)
    folds = datasets.reader_of(tmp_path / "blind").load(tmp_path / "blind").folds
    assert [type(fold) for fold in folds] == [Fold] and len(folds[0].test) == 2


@pytest.mark.parametrize(("frames", "told"), [(120, "53% of the video"), (70, ""), (40, "")])
def test_features_of_another_length_than_the_video_are_told(tmp_path: Path, frames: int, told: str) -> None:
    lists_, features = official(tmp_path / "ucf", 30), some_features(tmp_path / "in", HERE)
    (lists_ / "videos.json").write_text(json.dumps({name: {"frames": frames} for name in list(HERE)[:1]}))
    found = bring(features, tmp_path / "store", metadata=Known(frames=16), labels=Said(lists_))
    notes = [note for note in found.notes if "cover another length" in note]
    if frames == 40:
        (reason,) = found.quarantine.reasons.values()
        assert reason.startswith("4 features of 16 frames every 16 take 64 frames, the video has 40; check")
    else:
        assert [told in note and "Abuse003_x264_i3d" in note for note in notes] == [True] * bool(told)
