"""What every backbone keeps to that also reads."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from wherewhen.core import registry
from wherewhen.core.config import build
from wherewhen.core.contracts import TextImage
from wherewhen.core.store import cache_folder

NAMES = [name for name in registry.names("backbones") if registry.load("backbones", name).abilities.reads_text]
pytestmark = [pytest.mark.parametrize("name", NAMES), pytest.mark.usefixtures("quick_noise")]

TEXTS = ["running", "a red bag"]


def vocabulary() -> Path:
    """CLIP's start and end, and letters for words."""
    folder = cache_folder() / "letters"
    folder.mkdir(parents=True, exist_ok=True)
    letters = [*"abcdefghijklmnopqrstuvwxyz"]
    ids = {token: number for number, token in enumerate(letters + [f"{letter}</w>" for letter in letters])}
    (folder / "vocab.json").write_text(json.dumps(ids | {"<|startoftext|>": 49406, "<|endoftext|>": 49407}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return folder


@cache
def made(name: str) -> Any:
    cls = registry.load("backbones", name)
    settings: dict[str, Any] = {"frames": 1}
    if name == "clip":
        pytest.importorskip("transformers", reason='CLIP needs pip install "wherewhen[clip]"')
        settings |= {"sampling": 1, "variant": "b32", "weights": "random", "vocabulary": str(vocabulary())}
    return cls(build(cls.Config, settings, name))


def test_it_keeps_the_contract(name: str) -> None:
    assert isinstance(made(name), TextImage)
    assert made(name).limit is None or made(name).limit > 0


def test_texts_are_unit_vectors_whatever_stands_beside_them(name: str) -> None:
    together = made(name).encode(TEXTS)
    assert together.dtype == np.float32 and together.shape[0] == len(TEXTS)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    for row, text in zip(together, TEXTS, strict=True):
        np.testing.assert_allclose(made(name).encode([text])[0], row, atol=1e-5)
    assert not np.allclose(together[0], together[1])
    assert made(name).encode([]).shape == (0, together.shape[1])


def test_pictures_patches_and_texts_share_a_space(name: str) -> None:
    clip = np.random.default_rng(0).integers(0, 256, (2, 1, 48, 64, 3), np.uint8)
    length = made(name).encode(TEXTS).shape[1]
    assert made(name).config.layer == "patches"
    cells = made(name)(clip).shape
    assert cells[:2] == (2, 1) and cells[-1] == length and min(cells[2:4]) > 1
    whole = type(made(name))(replace(made(name).config, layer="embedding"))
    assert whole(clip).shape == (2, 1, 1, 1, length)


def test_tokens_are_counted_uncut(name: str) -> None:
    short, long = made(name).tokens(["red", "red " * 200])
    assert 1 <= short < long and long >= 200


def test_prompts_can_be_learnt_through_the_tower(name: str) -> None:
    tower = made(name).tower()
    learnt = torch.zeros(tower.length, tower.width, requires_grad=True)
    found = tower.between(["red", "a bag"], learnt, 2, 3)
    assert found.shape == (2, made(name).encode(TEXTS).shape[1])
    found.square().sum().backward()
    assert learnt.grad is not None
    reached = learnt.grad.abs().sum(1) > 0
    assert reached[1:3].all() and reached.sum() >= 5 and not reached[0]
    plain = tower.between(["red"], torch.zeros(tower.length, tower.width), 0, 0)[0].detach().numpy()
    np.testing.assert_allclose(plain / np.linalg.norm(plain), made(name).encode(["red"])[0], atol=1e-5)
    with pytest.raises(ValueError, match="learned rows"):
        tower.between(["red"], torch.zeros(3, tower.width))
