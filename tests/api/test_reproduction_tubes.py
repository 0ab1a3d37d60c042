"""Recipes of system C (Wu et al., IJCAI 2021): drawn videos in the layouts of ST-UCF-Crime and STRA, seeded weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wherewhen
from wherewhen import cli, datasets
from wherewhen.api import recipes
from wherewhen.core.errors import ConfigError
from wherewhen.core.values import Pixels
from wherewhen.extraction.feature_cache import bag_of
from wherewhen.inference.model_config import ModelConfig
from wherewhen.proposals._layouts import Raw
from wherewhen.proposals.transformers import Transformers
from wherewhen.video.writer import Writer

ROWS = ("mgpr", "stil", "asa", "dmrm_st", "gclnc_st", "alocc")
LENGTH = 12
TRUTH = "".join(f"0,{frame},10,10,40,40\n" for frame in range(3, 10))
NARROW: dict[str, dict[str, Any]] = {
    "mgpr": {"width": 8, "hidden": 8}, "stil": {}, "asa": {"hidden": 8, "attention": 4}, "dmrm": {"width": 8},
    "gclnc": {"width": 8, "middle": 4}, "alocc": {"channels": 2, "patches": 4},
}  # fmt: skip


def walk(path: Path, speed: int) -> None:
    """A dark block walks through gray noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(speed).integers(100, 130, (LENGTH, 48, 64, 3)).astype(np.uint8)
    with Writer(path, 10) as writer:
        for number, picture in enumerate(noise):
            left = (speed * number) % 50
            picture[8:40, left : left + 14] = 20
            writer.write(picture)


def st_ucf_crime(root: Path) -> None:
    """Lists, spans and tubes of ST-UCF-Crime."""
    sides = {
        "Train": ("Abuse/Abuse001_x264", "Normal/Normal_Videos001_x264"),
        "Test": ("Abuse/Abuse028_x264", "Normal/Normal_Videos_003_x264"),
    }
    for side, listed in sides.items():
        (root / f"Anomaly_{side}.txt").write_text("".join(f"{name}.mp4\n" for name in listed))
        for name in listed:
            walk(root / f"{name}.mp4", speed=1 + len(name) % 5)
    spans = "Abuse028_x264.mp4  Abuse  4  10  -1  -1\nNormal_Videos_003_x264.mp4  Normal  -1  -1  -1  -1\n"
    (root / "Temporal_Anomaly_Annotation.txt").write_text(spans)
    (root / "tubes").mkdir()
    (root / "tubes" / "Abuse028_x264.txt").write_text(TRUTH)


def stra(root: Path) -> None:
    """Lists and tubes of STRA."""
    for side in ("train", "test"):
        (root / f"{side}.txt").write_text(f"{side}/crash.{side}.mp4 1\n{side}/street.{side}.mp4 0\n")
        walk(root / side / f"crash.{side}.mp4", speed=3)
        walk(root / side / f"street.{side}.mp4", speed=1)
    (root / "tubes").mkdir()
    (root / "tubes" / "crash.test.txt").write_text(TRUTH)


LAYOUTS: dict[str, Callable[[Path], None]] = {"st_ucf_crime": st_ucf_crime, "stra": stra}


def dark_and_still(detector: Transformers, picture: Pixels) -> Raw:
    """In place of the network: a box around what is dark, and one that stays where it is."""
    down, across = np.nonzero(picture.mean(2) < 70)
    height, width = picture.shape[:2]
    corners = [[0.3, 0.2, 0.6, 0.9]]
    if len(down):
        corners.append(
            [across.min() / width, down.min() / height, (across.max() + 1) / width, (down.max() + 1) / height]
        )
    return np.array(corners), np.array([0.8, 0.9][: len(corners)]), np.array([2, 0][: len(corners)])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """Both data sets, and a cache that the recipes share: their features are the same."""
    root = tmp_path_factory.mktemp("system_c")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WHEREWHEN_CACHE", str(root / "cache"))
        patch.setattr(Transformers, "_detected", dark_and_still)
        for name, layout in LAYOUTS.items():
            (root / name).mkdir()
            layout(root / name)
            assert cli.main(["data", "probe", str(root / name)]) == 0
        yield {name: root / name for name in LAYOUTS}


def small(method: str, detector: Path) -> dict[str, Any]:
    """Changes that make a recipe small."""
    boxes = {"model": str(detector), "classes": ["person", "bicycle", "car"], "score": 0.3}
    pixels = {"stride": 8, "height": 24, "width": 36, "side": 9, "step": 9}
    return {
        "engine": "torch",
        "precision": "fp32",
        "training": {"steps": 2, "bags": 1, "validate_every": 1},
        method: NARROW[method],
        **({"pixels": pixels} if method == "alocc" else {}),
        "c3d": {"weights": "random", "layer": "pool1"},
        "tubes": {"boxes": boxes, "part": 0.6, "shape": {"touching": 2}},
    }


def run(
    name: str, data: dict[str, Path], detector: Path, output: Path, **more: Any
) -> wherewhen.api.reproduction.Reproduction:
    recipe = recipes.read(name)
    changes = small(recipe.method, detector)
    if recipe.method == "alocc":
        changes = {key: value for key, value in changes.items() if key not in ("c3d", "tubes")}
    options: dict[str, Any] = {"seeds": 1, "workers": 1, "output": output, "device": "cpu", "quiet": True, **more}
    return wherewhen.reproduce(name, data[recipe.data.reader], changes=changes, **options)


@pytest.mark.usefixtures("quick_noise")
@pytest.mark.parametrize("name", [name for row in ROWS for name in (row, row.removesuffix("_st") + "_stra")])
def test_a_row_runs_from_videos_to_numbers(
    name: str, data: dict[str, Path], tiny_transformer: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    result = run(name, data, tiny_transformer, tmp_path / "out")
    recipe = recipes.read(name)
    rows = {
        (row.metric, row.number_of or row.row): row for row in result.comparisons if row.selection != "last checkpoint"
    }
    for expected in recipe.expect:
        if expected.row not in recipe.ablations:
            row = rows[expected.metric, expected.row or recipe.method]
            assert row.expected == expected.value and 0 <= row.measured <= 1
    (config,) = result.bench.facts["configs"]
    assert config["regions"]["smooth_seconds"] == 0 and config["normalizer"] == "none"
    if recipe.method != "alocc":
        assert config["tubes"]["track"] == "part" and config["regions"]["within"] is None
        assert config["tubes"]["proposals"] == "transformers"
        made = ModelConfig.of(config)
        video = datasets.reader_of(data[recipe.data.reader]).load(data[recipe.data.reader]).folds[0].train[0]
        parts, whole = (
            bag_of(video, made.feature_specs(training=training)).views[made.scored] for training in (False, True)
        )
        assert len(parts.features) > len(whole.features) > 1 and len({*parts.track.tolist()}) == len(parts.features)
    text = "\n".join(result.lines())
    assert f"{recipe.expect[0].metric}: expected {recipe.expect[0].text}" in text


@pytest.mark.usefixtures("quick_noise")
def test_ablations_are_the_rows_of_tables_2_to_4(data: dict[str, Path], tiny_transformer: Path, tmp_path: Path) -> None:
    result = run("mgpr", data, tiny_transformer, tmp_path / "out", ablations=True)
    recipe = recipes.read("mgpr")
    numbers = {(row.number_of, row.metric): row for row in result.comparisons if row.number_of}
    assert set(numbers) == {(row.row, row.metric) for row in recipe.expect if row.row}
    assert numbers["no multivariate tubes", "vauc_tube"].row == "mgpr: no multivariate tubes"
    assert "vauc_tube, no multivariate tubes: expected 0.8408 (table 4)" in result.lines()
    with pytest.raises(ConfigError, match="the recipe stil has no published numbers of ablations"):
        run("stil", data, tiny_transformer, tmp_path / "out", ablations=True)
