"""Recipes: typed, equal to the published settings of their methods, and complete."""

from __future__ import annotations

import re
import shlex
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from wherewhen.api import recipes
from wherewhen.core.config import build, read_yaml, write_yaml
from wherewhen.core.documents import read_json
from wherewhen.core.errors import ConfigError
from wherewhen.inference.model_config import ModelConfig

PAGE = Path(__file__).parents[2] / "docs" / "reproduce.md"


@pytest.mark.parametrize("name", recipes.names())
def test_a_recipe_has_the_published_settings_and_schedule(name: str) -> None:
    recipe = recipes.read(name)
    module = import_module(f"wherewhen.methods.{recipe.method}")
    base = "SYSTEM_A" if recipe.method == "cuboid_mil" else "PUBLISHED"
    sets = {"xd_violence": "_XD", "shanghaitech": "_SHANGHAITECH", "st_ucf_crime": "_WSSTAD", "stra": "_WSSTAD"}
    name_of_set = base + sets.get(recipe.data.reader, "")
    published = getattr(module, name_of_set, None) or getattr(module, base)
    schedule = getattr(module, f"{name_of_set}_TRAINING", None) or getattr(module, f"{base}_TRAINING")
    settings = {key: value for key, value in recipe.settings.items() if key != "joint"}
    assert build(module.PLUGIN.Config, settings, name) == published
    kept = recipe.files is not None and recipe.files.crops > 1 and not recipe.files.average
    assert recipe.settings.get("joint", False) == (kept and module.PLUGIN.abilities.joins_crops)
    assert recipe.training == schedule
    plain = {"smooth_seconds": 0, "smooth_cells": 0, "top": 1}
    assert plain.items() <= recipe.regions.items(), "published scores are not smoothed"
    assert recipe.normalizer == "none", "published features are not normalized"


@pytest.mark.parametrize("name", recipes.names())
def test_the_page_has_every_recipe_with_its_number(name: str) -> None:
    (row,) = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith(f"| `{name}` |")]
    for expected in recipes.read(name).expect:
        assert expected.row or f"{expected.metric} {expected.text}" in row


@pytest.mark.parametrize("name", recipes.names())
def test_what_is_unknown_and_differs_is_stated(name: str) -> None:
    recipe = recipes.read(name)
    assert recipe.unknown and recipe.paper.table and all(way.differs for way in recipe.ways)
    for expected in recipe.expect:
        assert expected.source and (expected.value is None or 0 < expected.value < 1)


def test_times_and_sizes_are_stated_with_their_arithmetic() -> None:
    measured = read_json(recipes.MEASURED)
    assert set(measured) <= set(recipes.names()) and all(seconds > 0 for seconds in measured.values())
    recipe = recipes.read("urdmu")
    assert recipe.time(1.2) == "1.0 h per seed on one processor core, without evaluation: 3000 steps of 1.2 s"
    assert recipe.time(None) == "not measured"
    assert "35 GB: 128 h at 30 / 16 features a second, x 10 crops x 1024 numbers x 4 bytes" in recipe.needs["features"]
    assert recipes.read("dmrm").needs["features"].endswith("size not measured")


PAGES = {"cuboid_mil": "cuboid_mil", "proximity": "proximity", "reward": "reward", "stprompt": "stprompt"}
"""Recipes whose method's page has the command that trains as published, and that page."""


@pytest.mark.parametrize("name", PAGES)
def test_the_command_of_a_page_trains_as_published(name: str) -> None:
    text = (PAGE.parent / "methods" / f"{PAGES[name]}.md").read_text("utf-8")
    commands = [part.split("\n\n", 1)[0].replace("\\\n", " ") for part in text.split("wherewhen train ")[1:]]
    (words,) = [shlex.split(line)[1:] for line in commands if "--training.steps" in line]
    given: dict[str, Any] = {}
    for option in " ".join(words).split("--")[1:]:
        key, _, value = option.strip().partition(" ")
        section, _, setting = key.removeprefix("no-").partition(".")
        target = given.setdefault(section, {}) if setting else given
        target[setting or section] = yaml.safe_load(value) if value else not key.startswith("no-")
    assert ModelConfig.of(given).plain() == ModelConfig.of(recipes.read(name).model()).plain()


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("normaliser", "none", "unknown setting of recipe rtfm 'normaliser'; did you mean 'normalizer'"),
        ("expect", [{"metric": "frame_acu", "value": 0.5, "source": "x"}], "did you mean 'frame_auc'"),
        ("expect", [], "expect is empty"),
        ("expect", [{"metric": "frame_auc", "value": 0.5, "source": "x", "row": "chanc"}], "did you mean 'chance'"),
        ("base", "rtmf", "unknown recipe 'rtmf'; did you mean 'rtfm'"),
        ("settings", {"widht": 4}, "'widht'; did you mean 'width'"),
        ("training", {"bags": 4, "optimizer": "adam", "learning_rate": 0.1}, "training: steps is missing"),
        ("data", {"reader": "ucf_crimes", "fold": "official"}, "did you mean 'ucf_crime'"),
        ("files", {"network": "I3D"}, "layer"),
        ("unknown", "text", "unknown: expected a list"),
    ],
)
def test_a_mistake_in_a_recipe_is_named(key: str, value: object, message: str, tmp_path: Path) -> None:
    write_yaml(tmp_path / "rtfm.yaml", {**read_yaml(recipes.FOLDER / "rtfm.yaml"), key: value})
    with pytest.raises(ConfigError, match=re.escape(message)):
        recipes.read_file(tmp_path / "rtfm.yaml")


def test_a_recipe_has_the_values_of_its_base_where_it_has_none(tmp_path: Path) -> None:
    values = {"base": "rtfm", "title": "x", "paper": {"table": "y"}, "settings": {"width": 4}}
    write_yaml(tmp_path / "other.yaml", values)
    recipe, base = recipes.read_file(tmp_path / "other.yaml"), recipes.read("rtfm")
    assert (recipe.title, recipe.paper.table, recipe.paper.title) == ("x", "y", base.paper.title)
    assert recipe.settings == {"width": 4} and (recipe.training, recipe.files) == (base.training, base.files)


def test_a_recipe_without_features_and_videos_is_an_error(tmp_path: Path) -> None:
    write_yaml(tmp_path / "rtfm.yaml", {**read_yaml(recipes.FOLDER / "rtfm.yaml"), "files": None, "videos": None})
    with pytest.raises(ConfigError, match="expected files"):
        recipes.read_file(tmp_path / "rtfm.yaml")


@pytest.mark.parametrize("name", [name for name in recipes.names() if len(recipes.read(name).ways) > 1])
def test_both_ways_of_a_recipe_differ_in_their_features_alone(name: str) -> None:
    recipe = recipes.read(name)
    of_files, of_videos = (way.model() for way in recipe.ways)
    assert recipe.model() == of_files and recipe.backbone == "imported"
    assert recipe.videos is not None and of_videos["backbone"] == recipe.videos.backbone
    features = {"backbone", "crops", "crop_mode", "test_crop", *recipe.videos.settings}
    rest = [{key: value for key, value in model.items() if key not in features} for model in (of_files, of_videos)]
    assert rest[0] == rest[1]
    assert recipe.needs["or"] == f"videos and {recipe.ways[1].needs['weights']}"


def test_an_unknown_recipe_is_named() -> None:
    with pytest.raises(ConfigError, match="unknown recipe 'rtmf'; did you mean 'rtfm'"):
        recipes.read("rtmf")
