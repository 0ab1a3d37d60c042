from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from wherewhen.backbones.toywords import ToyWords, ToyWordsConfig
from wherewhen.core import documents, prompts
from wherewhen.core.errors import ConfigError
from wherewhen.core.prompts import Prompts
from wherewhen.datasets.toy import KINDS


def test_a_file_comes_back_as_it_was_written(tmp_path: Path) -> None:
    made = Prompts(("a road", "Straße: naß"), {"fight": ("two fight", "no: list"), "fall": ("a fall",)})
    prompts.write(tmp_path / "own.yaml", made)
    assert prompts.read(tmp_path / "own.yaml") == made
    assert made.names == ("fight", "fall")
    assert made.texts == ("a road", "Straße: naß", "two fight", "no: list", "a fall")
    assert made.owners.tolist() == [-1, -1, 0, 0, 1]


@pytest.mark.parametrize("name", prompts.shipped())
def test_what_comes_along_is_whole(name: str) -> None:
    made = prompts.read(name)
    assert len(set(made.texts)) == len(made.texts) == len(made.owners)
    assert np.bincount(made.owners + 1).min() >= 1


def test_the_toys_prompts_are_its_kinds_in_words_it_knows() -> None:
    made = prompts.read("toy")
    assert made.names == KINDS
    found = ToyWords(ToyWordsConfig()).encode(made.texts)
    cosines = found @ found.T
    same = made.owners[:, None] == made.owners
    assert cosines[same & (made.owners >= 0)].min() > 0.99 and cosines[~same].max() < 0.01


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("version: 2\nnormal: [a]\nclasses: {b: [c]}", "expected version: 1, got 2"),
        ("normal: [a]\nclasses: {b: [c]}", "expected version: 1, got None"),
        ("version: 1\nnormal: [a]\nclasses: [b]", "expected classes as"),
        ("version: 1\nnormal: [a]", "expected classes as"),
        ("version: 1\nnormal: []\nclasses: {b: [c]}", "normal is empty"),
        ("version: 1\nnormal: [a]\nclasses: {}", "classes is empty"),
        ("version: 1\nnormal: [a]\nclasses: {b: []}", "'b' has no text"),
        ("version: 1\nnormal: [a]\nclasses: {b: [[x, y]]}", r"classes.b: expected a list of texts"),
        ("version: 1\nnormal: [a, 5]\nclasses: {b: [c]}", "normal: expected a list of texts"),
        ("version: 1\nnormal: [a]\nclasses: {b: c}", "classes.b: expected a list of texts"),
        ("version: 1\nnormal: [' ']\nclasses: {b: [c]}", "1 to 500 characters, got ' '"),
        (f"version: 1\nnormal: [{'a' * 501}]\nclasses: {{b: [c]}}", "1 to 500 characters, got 'a{40}...'"),
        ("version: 1\nnormal: [a]\nclases: {b: [c]}", "unknown key 'clases'; did you mean 'classes'"),
        ("version: 1\nnormal: &a [x]\nclasses: {b: !!python/object:os.system [c]}", "not a YAML file"),
    ],
)
def test_what_is_wrong_is_told(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(text)
    with pytest.raises(ConfigError, match=said):
        prompts.read(tmp_path / "own.yaml")


def test_size_is_bounded(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_bytes(b"#" * (documents.SETTINGS + 1))
    with pytest.raises(ConfigError, match="larger than the 1048576 bytes"):
        prompts.read(tmp_path / "own.yaml")
    with pytest.raises(ConfigError, match="5000 are the most"):
        Prompts(("a",) * 5000, {"b": ("c",)})


def test_a_name_that_is_no_file_is_told() -> None:
    with pytest.raises(ConfigError, match=r"unknown prompts 'toys'; did you mean 'toy'.*or give a file"):
        prompts.read("toys")
    with pytest.raises(ConfigError, match="no such prompt file"):
        prompts.read("nowhere.yaml")


def test_a_folder_of_the_same_name_hides_no_shipped_prompts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toy").mkdir()
    assert prompts.read("toy").names
    (tmp_path / "other").mkdir()
    with pytest.raises(ConfigError, match="unknown prompts 'other'"):
        prompts.read("other")
