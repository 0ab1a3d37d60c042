"""Adaptation to another camera, on made-up features of footage."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wherewhen.core import extents as ext
from wherewhen.core.errors import DataError
from wherewhen.core.values import Bag, Features, Instances, Video
from wherewhen.inference.model import Model
from wherewhen.inference.model_config import ModelConfig
from wherewhen.inference.normalizer import Normalizer
from wherewhen.training import adapting
from wherewhen.training.adapting import Pieces, adapted, outlying, thirds

SIZE, DIMS, STEP = (3, 4), 5, 0.5


def footage(seconds: float, seed: int = 0, strange: slice | None = None, empty: bool = False) -> Bag:
    """A video of normal cells, half of them empty; those of the ``strange`` steps are far from all others."""
    rng, steps = np.random.default_rng(seed), round(seconds / STEP)
    rows = rng.normal(3, 1, (steps, *SIZE, DIMS)).astype(np.float32)
    rows[rng.random(rows.shape[:3]) < 0.5] = 0
    if strange:
        rows[strange, 1, 1:3] = 40
    cells = Instances(
        rows.reshape(-1, DIMS) * (not empty),
        ext.grid([0, steps * STEP, 0, 0, 1, 1], (steps, *SIZE)),
        shape=(steps, *SIZE),
    )
    return Bag(Video(f"hour{seed}", Path(f"hour{seed}.mp4")), {"cells": cells})


def source(method: str = "cuboid_mil") -> Model:
    """A model of another camera, never trained."""
    torch.manual_seed(0)
    config = ModelConfig.of({"method": method})
    old = footage(20, 99).views["cells"]
    normalizer = Normalizer.fit([old])
    return Model(config, {"cells": normalizer}, config.student({"cells": DIMS}), 0.5, normalizer(old))


def raw_scores(model: Model, bag: Bag) -> Features:
    return model.scores(model.normalized(bag.views))


@pytest.mark.parametrize("method", ["cuboid_mil", "wherewhen"])
def test_the_source_stays_and_the_adapted_model_is_of_the_footage(method: str) -> None:
    model, bag = source(method), footage(10, 5)
    before, weights = raw_scores(model, bag), {k: v.clone() for k, v in model.method.state_dict().items()}
    result = adapted(model, [footage(40, seed) for seed in range(3)], 10).model
    np.testing.assert_array_equal(raw_scores(model, bag), before)
    assert all(torch.equal(weights[key], value) for key, value in model.method.state_dict().items())
    assert result.adaptation is not None and result.bank is not model.bank
    changed = {key for key, value in result.method.state_dict().items() if not torch.equal(weights[key], value)}
    assert changed == ({"memory", "usual"} if method == "wherewhen" else set())
    assert result.adaptation.activity.shape == SIZE
    np.testing.assert_allclose(result.adaptation.activity, 0.5, atol=0.1)


def test_strange_cells_score_above_normal_ones(tmp_path: Path) -> None:
    result = adapted(source(), [footage(60, seed) for seed in range(3)], 10).model
    bag = footage(20, 7, strange=slice(10, 16))
    scores = raw_scores(result, bag).reshape(-1, *SIZE)
    assert scores[10:16, 1, 1:3].min() > np.delete(scores, range(10, 16), 0).max()
    result.save(tmp_path / "m.safetensors")
    loaded = Model.load(tmp_path / "m.safetensors", device="cpu")
    np.testing.assert_array_equal(raw_scores(loaded, bag), raw_scores(result, bag))
    assert loaded.normal_time is not None and result.normal_time is not None
    assert loaded.normal_time.hours == result.normal_time.hours


def test_no_score_of_the_threshold_is_of_a_cell_in_the_bank(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []

    def far(instances: Instances, bank: Instances) -> Features:
        rows, others = ({row.tobytes() for row in part.features if row.any()} for part in (instances, bank))
        compared.append(len(rows & others))
        return np.ones(len(instances.features), np.float32)

    monkeypatch.setattr(adapting, "far", far)
    for bags in ([footage(90)], [footage(30, seed) for seed in range(4)]):
        adapted(source(), bags, 10)
    assert len(compared) > 6 and not any(compared)


def test_a_twentieth_of_anomalous_footage_changes_little() -> None:
    """The blocks are excluded, and are neither in the bank nor above the threshold."""
    clean = adapted(source(), [footage(200, seed) for seed in range(3)], 200)
    dirty = adapted(source(), [footage(200, seed, slice(44, 56)) for seed in range(3)], 200)
    assert not clean.outliers and not clean.unclear and not dirty.unclear
    assert [row[:3] for row in dirty.outliers] == [(f"hour{seed}", 20.0, 30.0) for seed in range(3)], "3 of 60 blocks"
    assert dirty.model.threshold == pytest.approx(clean.model.threshold, abs=0.05)
    assert len(dirty.model.bank.features) and np.abs(dirty.model.normalizers["cells"].mean - 3).max() < 0.3
    strange = footage(20, 7, strange=slice(10, 16))
    assert raw_scores(dirty.model, strange).max() > dirty.model.threshold


def test_too_many_outliers_are_kept_and_counted() -> None:
    strange = [footage(100, seed, slice(0, 60) if seed else None) for seed in range(3)]
    result = adapted(source(), strange, 200)
    assert len(result.outliers) <= 0.1 * 33


def test_footage_that_is_too_short_or_empty_is_an_error() -> None:
    with pytest.raises(DataError, match="too little footage: 20 s, expected at least 30 s"):
        adapted(source(), [footage(20)], 1)
    with pytest.raises(DataError, match="nothing moves in it"):
        adapted(source(), [footage(60, empty=True)], 1)


@given(st.lists(st.integers(1, 300), min_size=1, max_size=6))
@settings(max_examples=25)
def test_pieces_cover_all_footage_once(lengths: list[int]) -> None:
    bags = [footage(seconds, seed) for seed, seconds in enumerate(lengths)]
    pieces = Pieces.of(bags)
    assert sum(pieces.lengths) == pytest.approx(sum(lengths)) and max(pieces.lengths) <= max(15, sum(lengths) / 3)
    for number, bag in enumerate(bags):
        parts = [piece.views["cells"] for piece, span in zip(pieces, pieces.spans, strict=True) if span[0] == number]
        np.testing.assert_array_equal(np.concatenate([part.features for part in parts]), bag.views["cells"].features)
    folds = thirds(pieces.lengths)
    assert (np.diff(folds) >= 0).all() and (len(pieces) < 3 or set(folds.tolist()) == {0, 1, 2})


@given(st.sets(st.integers(0, 11), max_size=4))
@settings(max_examples=20)
def test_pieces_without_blocks_have_all_other_steps(numbers: set[int]) -> None:
    bags = [footage(60, seed) for seed in range(2)]
    pieces = Pieces.of(bags)
    blocks = [
        adapting.Block(k // 2, s := pieces.spans[k // 2][1] + 10.0 * (k % 2), s + 10, 0.5) for k in sorted(numbers)
    ]
    left = pieces.without(blocks)
    assert sum(left.lengths) == pytest.approx(120 - 10 * len(numbers))
    rows = np.concatenate([np.concatenate([[n], p.views["cells"].features[:1, 0]]) for n, p in enumerate(left)])
    assert len(rows) and all(a[2] <= b[1] for a, b in pairwise(left.spans) if a[0] == b[0])


def test_outliers_are_rare_in_normal_blocks_and_found_among_them() -> None:
    rng = np.random.default_rng(0)
    false = 0
    for _ in range(200):
        scores: Any = rng.gumbel(4, 1, 100).clip(0.1)
        false += int(outlying(scores / (8 + scores)).sum())
    assert false <= 20, "of 20,000 blocks"
    scores[:5] = 40
    assert outlying(scores / (8 + scores))[:5].all()
    assert not outlying(np.full(100, 0.3)).any() and not outlying(np.array([0.1, 0.9])).any()
