"""Every recipe from seeded features in the authors' layout to expected beside measured numbers, and its errors."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wherewhen
from wherewhen import cli
from wherewhen.api import recipes
from wherewhen.api.recipes import FeatureFiles
from wherewhen.core.errors import ConfigError, DataError
from wherewhen.training import loop

UCF = {
    "train": ("Abuse/Abuse001_x264", "Arson/Arson001_x264", "Normal/Normal_Videos001_x264", "Normal/Normal_Videos2"),
    "test": ("Abuse/Abuse028_x264", "Normal/Normal_Videos_003_x264"),
}  # fmt: skip
FRAMES = 100
NARROW = {
    "rtfm": {"width": 4}, "dmrm": {"width": 4}, "urdmu": {"width": 8}, "mgfn": {"width": 32, "depths": [1, 1, 1]},
    "pel4vad": {"width": 8}, "clip_tsa": {"width": 4, "samples": 4}, "gclnc": {"width": 4},
    "vadclip": {"width": 4, "length": 16},
}  # fmt: skip


def ucf_crime(root: Path) -> list[str]:
    """Lists, spans and lengths as UCF-Crime has them; returns the names of the videos."""
    root.mkdir(parents=True)
    for side, listed in UCF.items():
        (root / f"Anomaly_{side.capitalize()}.txt").write_text("".join(f"{name}.mp4\n" for name in listed))
    rows = "Abuse028_x264.mp4  Abuse  20  60  -1  -1\nNormal_Videos_003_x264.mp4  Normal  -1  -1  -1  -1\n"
    (root / "Temporal_Anomaly_Annotation.txt").write_text(rows)
    names = [name.split("/")[1] for side in UCF.values() for name in side]
    (root / "videos.json").write_text(json.dumps({name: {"frames": FRAMES, "fps": 30.0} for name in names}))
    return names


def xd_violence(root: Path) -> list[str]:
    """Annotations, lengths and (empty) training videos as XD-Violence has them; returns the names of the videos."""
    names = ["a__#1_label_B2-0-0", "b__#1_label_G-0-0", "c__#1_label_A", "d__#1_label_A"]
    tests = ["e__#1_label_B1-0-0", "f__#1_label_A"]
    (root / "train").mkdir(parents=True)
    for name in names:
        (root / "train" / f"{name}.mp4").touch()
    (root / "annotations.txt").write_text(f"{tests[0]} 20 60\n")
    (root / "test").mkdir()
    for name in tests:
        (root / "test" / f"{name}.mp4").touch()
    rows = {name: {"frames": FRAMES, "fps": 24.0} for name in [*names, *tests]}
    (root / "videos.json").write_text(json.dumps(rows))
    return [*names, *tests]


def shanghaitech(root: Path) -> list[str]:
    """Lists, frame marks and lengths as ShanghaiTech has them; returns the names of the videos."""
    (root / "test_frame_mask").mkdir(parents=True)
    (root / "SH_Train.txt").write_text("01_0014\n01_0015\n01_001\n01_002\n")
    (root / "SH_Test.txt").write_text("01_0016\n01_003\n")
    marks = np.zeros(FRAMES, np.uint8)
    marks[20:60] = 1
    for name in ("01_0014", "01_0015", "01_0016"):
        np.save(root / "test_frame_mask" / f"{name}.npy", marks)
    (root / "videos.json").write_text(json.dumps({"01_003": {"frames": FRAMES}}))
    return ["01_0014", "01_0015", "01_001", "01_002", "01_0016", "01_003"]


DATA: dict[str, Callable[[Path], list[str]]] = {
    "ucf_crime": ucf_crime, "xd_violence": xd_violence, "shanghaitech": shanghaitech,
}  # fmt: skip


def write(folder: Path, files: FeatureFiles, names: list[str]) -> None:
    """Seeded features of videos in the authors' layout."""
    folder.mkdir(parents=True)
    for seed, name in enumerate(names):
        steps = 32 if files.layout == "sultani" else -(-FRAMES // 16)
        values = np.random.default_rng(seed).normal(size=(steps, files.crops, files.length)).astype(np.float32)
        if files.layout == "rtfm":
            np.save(folder / f"{name}_i3d.npy", values)
        elif files.layout == "sultani":
            lines = (" ".join(f"{value:.2f}" for value in row) for row in values[:, 0])
            (folder / f"{name}.txt").write_text("\n".join(lines))
        else:
            for crop in range(files.crops):
                np.save(folder / f"{name}__{crop}.npy", values[:, crop])


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHEREWHEN_CACHE", str(tmp_path / "cache"))


def prepared(name: str, root: Path) -> tuple[Path, Path, dict[str, Any]]:
    """A small data set, features and changed settings for a recipe."""
    recipe = recipes.read(name)
    assert recipe.files is not None
    names = DATA[recipe.data.reader](root / "data")
    write(root / "features", recipe.files, names)
    training = {"steps": 2, "bags": 2, "validate_every": 1}
    return root / "data", root / "features", {"training": training, recipe.method: NARROW[recipe.method]}


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("name", [name for name in recipes.names() if recipes.read(name).files])
def test_a_recipe_runs_from_features_to_numbers(name: str, tmp_path: Path) -> None:
    data, features, changes = prepared(name, tmp_path)
    result = wherewhen.reproduce(
        name, data, features, seeds=1, output=tmp_path / "out", device="cpu", changes=changes, quiet=True
    )
    recipe = recipes.read(name)
    metric = recipe.expect[0].metric
    rows = {row.row: row for row in result.comparisons if row.metric == metric}
    assert rows[recipe.method].expected == recipe.expect[0].value and 0 <= rows[recipe.method].measured <= 1
    assert "chance" in rows and rows["chance"].selection == ""
    assert not any("TEST" in row.selection for row in result.comparisons)
    assert result.bench.facts["configs"][0]["normalizer"] == "none"
    assert not any("no features" in note or "not used" in note for note in result.notes), result.notes
    document = json.loads((tmp_path / "out" / "reproduction.json").read_text())
    assert document["changes"]["training"]["steps"] == 2 and document["settings"]["training"]["steps"] > 100
    assert (tmp_path / "out" / "report.html").exists()
    text = "\n".join(result.lines())
    assert "changed: training.steps: 2" in text and f"expected {recipe.expect[0].value:.4f}" in text


@pytest.mark.usefixtures("cache", "quick_noise")
def test_system_a_runs_from_raw_videos(clips: Path, tmp_path: Path) -> None:
    root = tmp_path / "data"
    (root / "videos").mkdir(parents=True)
    videos = {"Arrest002": "anomalous/a0", "Robbery050": "anomalous/a1", "Normal1": "normal/n0", "Normal2": "normal/n1"}
    for name, clip in videos.items():
        shutil.copy(clips / f"{clip}.mp4", root / "videos" / f"{name}.mp4")
    (root / "Train_split_AD.txt").write_text("Arrest002\nNormal1\n")
    (root / "Test_split_AD.txt").write_text("Robbery050\nNormal2\n")
    (root / "Txt annotations").mkdir()
    for name in ("Arrest002", "Robbery050"):
        rows = (f'0 80 60 160 240 {frame} 0 0 1 "Arrest"\n' for frame in range(5, 10))
        (root / "Txt annotations" / f"{name}.txt").write_text("".join(rows))
    assert cli.main(["data", "probe", str(root)]) == 0
    network = {"weights": "random", "frames": 4, "stride": 10, "layer": "maxpool3d_3a"}
    engine = {"engine": "torch", "precision": "fp32"}
    changes = {
        **engine,
        "i3d": network,
        "cuboid_mil": {"hidden": 8},
        "training": {"steps": 2, "bags": 1, "validate_every": 1},
    }
    options: dict[str, Any] = {
        "seeds": 1,
        "output": tmp_path / "out",
        "device": "cpu",
        "changes": changes,
        "quiet": True,
    }
    result = wherewhen.reproduce("cuboid_mil", root, **options)
    assert {row.metric for row in result.comparisons} == {"ucfcrime2local_frame"}
    assert {"cuboid_mil", "chance"} <= {row.row for row in result.comparisons}
    with pytest.raises(ConfigError, match="computes its features from the videos"):
        wherewhen.reproduce("cuboid_mil", root, root, **options)


@pytest.mark.usefixtures("cache")
def test_the_published_protocol_adds_the_number_of_test_selection_marked_as_such(tmp_path: Path) -> None:
    data, features, changes = prepared("urdmu_xd", tmp_path)
    options: dict[str, Any] = {
        "seeds": 2,
        "workers": 1,
        "output": tmp_path / "out",
        "device": "cpu",
        "changes": changes,
        "quiet": True,
    }
    result = wherewhen.reproduce("urdmu_xd", data, features, protocol="published", **options)
    marked = {row.selection: row for row in result.comparisons if "all training videos" in row.selection}
    assert any("TEST" in text for text in marked) and all(row.n == 2 for row in marked.values())
    by_test, last = sorted(marked.items(), key=lambda pair: "TEST" not in pair[0])
    assert by_test[1].measured >= last[1].measured
    again = wherewhen.reproduce("urdmu_xd", tmp_path / "out" / "features", **options)
    assert [row for row in again.comparisons if not row.selection] == [r for r in result.comparisons if not r.selection]


@pytest.mark.usefixtures("cache")
def test_an_interrupted_seed_continues_to_the_same_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, features, changes = prepared("urdmu", tmp_path)
    changes["training"]["steps"] = 5
    options: dict[str, Any] = {"seeds": 1, "workers": 1, "device": "cpu", "changes": changes, "quiet": True}
    options["protocol"] = "published"
    steps: list[int] = []
    plain = loop._loss

    def counted(state: loop.State, *rest: Any) -> Any:
        steps.append(state.step)
        if len(steps) == 4:
            raise KeyboardInterrupt
        return plain(state, *rest)

    monkeypatch.setattr(loop, "_loss", counted)
    with pytest.raises(KeyboardInterrupt):
        wherewhen.reproduce("urdmu", data, features, output=tmp_path / "out", **options)
    resumed = wherewhen.reproduce("urdmu", data, features, output=tmp_path / "out", **options)
    assert steps == [0, 1, 2, 3, 3, 4, 0, 1, 2, 3, 4], "then the training on all videos"
    shutil.rmtree(tmp_path / "cache" / "bench")
    assert wherewhen.reproduce("urdmu", data, features, output=tmp_path / "out", **options).comparisons == (
        resumed.comparisons
    )
    assert not [path for path in (tmp_path / "cache" / "bench").iterdir() if path.is_dir()], "its checkpoints are gone"


def test_the_list_has_every_recipe_with_its_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["reproduce", "--list"]) == 0
    text = capsys.readouterr().out
    for name in recipes.names():
        assert f"wherewhen reproduce {name} DATA" in text
        assert all(need in text for need in recipes.read(name).needs.values())
        assert f"time: {recipes.read(name).time(recipes.seconds_per_step(name))}" in text


@pytest.mark.usefixtures("cache")
def test_what_is_missing_is_an_error_that_names_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, features, changes = prepared("rtfm", tmp_path)
    options: dict[str, Any] = {"seeds": 1, "output": tmp_path / "out", "changes": changes, "quiet": True}
    with pytest.raises(ConfigError, match=r"--features FOLDER with I3D .*2048.*rtfm.*; or videos in .*i3d_kinetics400"):
        wherewhen.reproduce("rtfm", data, **options)
    with pytest.raises(DataError, match="no such folder; expected I3D"):
        wherewhen.reproduce("rtfm", data, tmp_path / "none", **options)
    with pytest.raises(DataError, match="length of the features is 2048, the recipe has 1024"):
        wherewhen.reproduce("urdmu", data, features, **options)
    (data / "videos.json").unlink()
    with pytest.raises(DataError, match=r"no known length .*wherewhen data probe"):
        wherewhen.reproduce("rtfm", data, features, **{**options, "output": tmp_path / "other"})
    assert cli.main(["reproduce", "rtfm"]) == 2
    assert "needs the folder of the data set" in capsys.readouterr().err
    assert cli.main(["reproduce"]) == 2
    assert cli.main(["reproduce", "rtfm", "--list"]) == 2


@pytest.mark.usefixtures("cache")
def test_videos_without_features_are_noted_and_segments_need_lengths(tmp_path: Path) -> None:
    data, features, changes = prepared("dmrm", tmp_path)
    (features / "Arson001_x264.txt").unlink()
    options: dict[str, Any] = {"seeds": 1, "output": tmp_path / "out", "changes": changes, "quiet": True}
    result = wherewhen.reproduce("dmrm", data, features, **options)
    assert any("1 of 4 training videos have no features (Arson001_x264)" in note for note in result.notes)
    with pytest.raises(ConfigError, match="is a store of features; leave it out"):
        wherewhen.reproduce("dmrm", tmp_path / "out" / "features", features, **options)
    lengths = json.loads((data / "videos.json").read_text())
    del lengths["Abuse001_x264"]
    (data / "videos.json").write_text(json.dumps(lengths))
    with pytest.raises(DataError, match=r"lengths of 1 videos are not known \(Abuse001_x264\)"):
        wherewhen.reproduce("dmrm", data, features, **{**options, "output": tmp_path / "other"})
