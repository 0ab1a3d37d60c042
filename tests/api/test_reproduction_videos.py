"""Recipes whose features come from videos: drawn videos in the layout of each data set, seeded weights."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import wherewhen
from wherewhen import cli
from wherewhen.api import recipes
from wherewhen.api.reproduction import Reproduction, merged
from wherewhen.backbones import _uniformer, c3d, i3d
from wherewhen.backbones._c3d import C3DNetwork
from wherewhen.backbones._i3d import InceptionI3D
from wherewhen.backbones.clip import SPACE
from wherewhen.core.contracts import ClipSpec
from wherewhen.core.store import plain
from wherewhen.data_tools.features.layouts import LAYOUTS, places
from wherewhen.extraction.sampling import CROP, cropped
from wherewhen.video.writer import Writer

FRAMES, HEIGHT, WIDTH = 20, 48, 64
SHORT = {"steps": 2, "bags": 2, "validate_every": 1}
UNIFORMER = {"weights": "random", "frames": 4, "stride": 4, "sampling": 1, "size": [32, 32]}
SMALL: dict[str, dict[str, Any]] = {
    "proximity": {"uniformer": UNIFORMER, "proximity": {"width": 8}},
    "reward": {"uniformer": UNIFORMER, "reward": {"width": 8, "last": 4, "bank": 8}},
}
"""Settings of a recipe's parts that make it small, by its method."""
STPROMPT = {
    "clip": {"weights": "random", "variant": "b32", "frames": 4, "stride": 4, "sampling": 4},
    "windows": {"shares": [0.5], "stride": 1.0},
}


def draw(path: Path, seed: int) -> None:
    """A gray wall along which a bright square goes."""
    place, rng = 4 + 9 * (seed % 4), np.random.default_rng(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    with Writer(path, 10) as writer:
        for index in range(FRAMES):
            picture = rng.integers(80, 100, (HEIGHT, WIDTH, 3), np.uint8)
            picture[place : place + 12, 2 * index : 2 * index + 12] = 230
            writer.write(picture)


def ucf_crime(root: Path) -> list[str]:
    """Lists and spans of UCF-Crime; returns the names of the videos."""
    anomalous, normal = (
        ("Abuse/Abuse001_x264", "Arson/Arson001_x264"),
        ("Normal/Normal_Videos001_x264", "Normal/Normal2"),
    )
    sides = {"Train": (*anomalous, *normal), "Test": ("Abuse/Abuse028_x264", "Normal/Normal_Videos_003_x264")}
    for side, listed in sides.items():
        (root / f"Anomaly_{side}.txt").write_text("".join(f"{name}.mp4\n" for name in listed))
    rows = "Abuse028_x264.mp4  Abuse  4  12  -1  -1\nNormal_Videos_003_x264.mp4  Normal  -1  -1  -1  -1\n"
    (root / "Temporal_Anomaly_Annotation.txt").write_text(rows)
    return [name.split("/")[1] for listed in sides.values() for name in listed]


def ucf_crime_liu_ma(root: Path) -> list[str]:
    """The same with boxes in pictures of 320 x 240."""
    names = ucf_crime(root)
    boxes = [[f"/frames/image_{number:04d}.jpg", 40, 20, 160, 120] for number in (5, 8)]
    (root / "Test_annotation.pkl").write_bytes(pickle.dumps({"Abuse028_x264": boxes}, protocol=0))
    return names


def xd_violence(root: Path) -> list[str]:
    """Spans of XD-Violence; labels are in the names."""
    (root / "annotations.txt").write_text("e__#1_label_B1-0-0 4 12\n")
    train = ("a__#1_label_B2-0-0", "b__#1_label_G-0-0", "c__#1_label_A", "d__#1_label_A")
    return [*(f"train/{name}" for name in train), "test/e__#1_label_B1-0-0", "test/f__#1_label_A"]


def shanghaitech(root: Path) -> list[str]:
    """Lists and frame marks of ShanghaiTech."""
    (root / "SH_Train.txt").write_text("01_0014\n01_0015\n01_001\n01_002\n")
    (root / "SH_Test.txt").write_text("01_0016\n01_003\n")
    (root / "test_frame_mask").mkdir()
    for name in ("01_0014", "01_0015", "01_0016"):
        np.save(root / "test_frame_mask" / f"{name}.npy", (np.arange(FRAMES) % 12 > 4).astype(np.uint8))
    return ["01_0014", "01_0015", "01_001", "01_002", "01_0016", "01_003"]


def ubnormal(root: Path) -> list[str]:
    """The six lists of UBnormal, and the tracks of its abnormal test video."""
    names = []
    for number, side in enumerate(("training", "validation", "test")):
        for word in ("normal", "abnormal"):
            count = 2 if side == "training" else 1
            listed = [f"{word}_scene_1_scenario_{number}{k}" for k in range(count)]
            (root / f"{word}_{side}_video_names.txt").write_text("\n".join(listed))
            names += listed
    for name in ("abnormal_scene_1_scenario_10", "abnormal_scene_1_scenario_20"):
        folder = root / "Scene1" / f"{name}_annotations"
        folder.mkdir(parents=True)
        (folder / f"{name}_tracks.txt").write_text("1,4,12\n")
    return names


DATA: dict[str, Callable[[Path], list[str]]] = {
    "ucf_crime": ucf_crime, "ucf_crime_liu_ma": ucf_crime_liu_ma, "xd_violence": xd_violence,
    "shanghaitech": shanghaitech, "ubnormal": ubnormal,
}  # fmt: skip


@pytest.fixture
def shallow(monkeypatch: pytest.MonkeyPatch) -> None:
    """UniFormer-B with one block in each stage; all of them are checked where their published numbers are."""
    monkeypatch.setattr(_uniformer, "DEPTHS", (1, 1, 1, 1))


@pytest.mark.usefixtures("quick_noise", "shallow")
@pytest.mark.parametrize("name", [n for n in recipes.names() if recipes.read(n).method in SMALL])
def test_a_recipe_runs_from_videos_to_numbers(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reproduced(name, tmp_path, monkeypatch, SMALL[recipes.read(name).method])


@pytest.mark.parametrize("name", [n for n in recipes.names() if recipes.read(n).method == "stprompt"])
def test_system_d_runs_from_videos_to_numbers(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shallow_clip: None
) -> None:
    """With CLIP's towers of two layers, which read letters for words."""
    reproduced(name, tmp_path, monkeypatch, merged(STPROMPT, {"clip": {"vocabulary": letters(tmp_path)}}))


def letters(folder: Path) -> str:
    """The folder of a vocabulary of CLIP that has letters alone."""
    signs = [*"abcdefghijklmnopqrstuvwxyz,'-"]
    ids = {token: number for number, token in enumerate(signs + [f"{sign}</w>" for sign in signs])}
    (folder / "vocab.json").write_text(json.dumps(ids | {"<|startoftext|>": 49406, "<|endoftext|>": 49407}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return str(folder)


@pytest.mark.usefixtures("quick_noise")
def test_rtfm_runs_from_videos_to_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All layers of I3D on pictures of 32 px, where the mean of the last map is that of one cell."""
    monkeypatch.setattr(i3d, "SIZE", 32)
    small = {"i3d": {"weights": "random", "layer": "mixed_5c", "tail": "drop"}, "rtfm": {"width": 4}}
    result = reproduced("rtfm", tmp_path, monkeypatch, small)
    (config,) = result.bench.facts["configs"]
    assert (config["crops"], config["crop_mode"], config["rtfm"]["joint"]) == (10, "separate", True)
    assert "note: features: i3d, computed from the videos" in result.lines()
    assert any("differs: I3D is the one of Inception" in line for line in result.lines())


def test_vadclip_runs_from_videos_to_numbers_with_encoded_class_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shallow_clip: None
) -> None:
    clip = {"weights": "random", "variant": "b32", "tail": "drop", "vocabulary": letters(tmp_path)}
    result = reproduced("vadclip", tmp_path, monkeypatch, {"clip": clip, "vadclip": {"length": 16}})
    (config,) = result.bench.facts["configs"]
    assert (config["crops"], config["test_crop"]) == (10, 10)
    assert not any("class vectors are learned" in line for line in result.lines()), "CLIP encodes the names"


@pytest.mark.usefixtures("quick_noise")
def test_dmrm_runs_from_videos_to_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the first layer of C3D."""
    small = {"c3d": {"weights": "random", "layer": "pool1", "tail": "drop"}, "dmrm": {"width": 4}}
    reproduced("dmrm", tmp_path, monkeypatch, small)


@pytest.mark.parametrize("name", [n for n in recipes.names() if recipes.read(n).files])
def test_features_of_videos_have_the_published_length_or_the_recipe_says_so(name: str) -> None:
    files, videos = recipes.read(name).files, recipes.read(name).videos
    assert files is not None and videos is not None
    settings = videos.settings[videos.backbone]
    with torch.device("meta"):
        if videos.backbone == "i3d":
            network: Any = InceptionI3D((settings["frames"], i3d.SIZE, i3d.SIZE), settings["layer"])
            length = network(torch.zeros(1, settings["frames"], i3d.SIZE, i3d.SIZE, 3)).shape[-1]
        elif videos.backbone == "c3d":
            network = C3DNetwork(settings["layer"])
            length = network(torch.zeros(1, c3d.FRAMES, c3d.SIZE, c3d.SIZE, 3)).shape[-1]
        else:
            assert settings["layer"] == "embedding"
            length = SPACE
    assert (length == files.length) != any(str(files.length) in text for text in videos.differs)
    crops = 1 if files.average else files.crops
    mode = "separate" if crops > 1 else None
    assert videos.settings.get("crops", 1) == crops and videos.settings.get("crop_mode") == mode
    assert crops == files.crops or any("of the whole picture" in text for text in videos.differs)


def test_the_scored_crop_of_videos_is_that_of_the_published_files() -> None:
    files, videos = recipes.read("vadclip").ways
    assert files.files is not None and videos.videos is not None
    share = (CROP, CROP)
    wanted = places(10, LAYOUTS["vadclip"].order, share)[files.files.test_crop - 1]
    number = videos.videos.settings["test_crop"] - 1
    (_, place) = cropped(np.zeros((1, 64, 64, 3), np.uint8), ClipSpec(1, 1), crops=10)[number]
    assert place == pytest.approx(wanted)
    assert files.files.test_crop > 5 and number >= 5, "the mirrored half"


def reproduced(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: Mapping[str, Any]) -> Reproduction:
    """Run a recipe with small parts on drawn videos in the layout of its data set, and compare with what it states."""
    monkeypatch.setenv("WHEREWHEN_CACHE", str(tmp_path / "cache"))
    recipe, root = recipes.read(name).ways[-1], tmp_path / "data"
    root.mkdir()
    for seed, video in enumerate(DATA[recipe.data.reader](root)):
        draw(root / "videos" / f"{video}.mp4", seed)
    assert cli.main(["data", "probe", str(root)]) == 0
    changes: dict[str, Any] = {**small, "training": SHORT, "engine": "torch", "precision": "fp32"}
    result = wherewhen.reproduce(
        name, root, seeds=1, output=tmp_path / "out", device="cpu", changes=changes, quiet=True
    )
    rows = {(row.metric, row.row): row for row in result.comparisons if row.selection != "last checkpoint"}
    for expected in recipe.expect:
        row = rows[expected.metric, recipe.method]
        assert row.expected == expected.value and 0 <= row.measured <= 1
        assert (expected.metric, "chance") in rows
    assert not any("not used" in note for note in result.notes), result.notes
    (config,) = result.bench.facts["configs"]
    for section, settings in recipe.model().items():
        if isinstance(settings, dict):
            own = {key: value for key, value in plain(settings).items() if key not in changes.get(section, {})}
            assert {key: config[section][key] for key in own} == own
    document = json.loads((tmp_path / "out" / "reproduction.json").read_text())
    unknown = [row for row in document["comparisons"] if row["expected"] is None]
    assert all(row["difference"] is None for row in unknown)
    text = "\n".join(result.lines())
    assert all(f"{expected.metric}: expected {expected.text}" in text for expected in recipe.expect)
    return result
