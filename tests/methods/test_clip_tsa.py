from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from oracle import Layers, drawn, relu, sigmoid
from torch import Tensor

from wherewhen.core.contracts import View
from wherewhen.core.errors import ConfigError
from wherewhen.methods import clip_tsa
from wherewhen.methods._grid import lanes
from wherewhen.methods._sequences import sequences
from wherewhen.methods.clip_tsa import CLIPTSA, CLIPTSAConfig

CellBags = Callable[..., dict[str, View]]


def seeded(like: Tensor, samples: int = 100) -> Tensor:
    """The noise of the fixture."""
    shape = (len(like), samples, like.shape[1])
    return torch.from_numpy(np.random.default_rng(11).standard_normal(shape).astype(np.float32))


def made(said: Any, attention: bool) -> CLIPTSA:
    config = CLIPTSAConfig(width=128, dropout=0.0, top=0.0, attention=attention, compat=True)
    model = CLIPTSA(config, {"cells": 512})
    model.load_state_dict(clip_tsa.official(said.tensors, attention=attention), strict=True)
    model._noise = seeded  # type: ignore[assignment]
    return model.eval()


@pytest.mark.parametrize(("name", "attention"), [("noHA", False), ("HA", True)])
def test_the_network_is_that_of_the_official_code(
    golden: Callable[[str], Any], name: str, attention: bool, cell_bags: CellBags
) -> None:
    said = golden("head_cliptsa_512")
    model = made(said, attention)
    features: list[Tensor] = []
    inner = model.network
    model.network = lambda *given: (features.append((found := inner(*given))[0]), found)[1]  # type: ignore[assignment,func-returns-value]
    with torch.no_grad():
        output = model(cell_bags(said.input(4, 1, 32, 512)[:, 0]))
        said.close(f"{name}_train_shape__scores", output.scores[..., None])
        said.close(f"{name}_train_shape__score_normal", output.extra["bag"][:2, None])
        said.close(f"{name}_train_shape__score_abnormal", output.extra["bag"][2:, None])
        lengths = features[0].norm(dim=-1)
        said.close(f"{name}_train_shape__feat_magnitudes", lengths)
        longest = torch.stack([f[row.topk(3).indices] for f, row in zip(features[0], lengths, strict=True)])
        said.close(f"{name}_train_shape__feat_select_normal", longest[:2])
        said.close(f"{name}_train_shape__feat_select_abn", longest[2:])
        torch.testing.assert_close(output.extra["feature"], longest.mean(1))
        for steps in (32, 100):
            scores = model(cell_bags(said.input(1, 1, steps, 512)[:, 0])).scores
            said.close(f"{name}_test_T{steps}__scores", scores[..., None])
            said.close(f"{name}_test_T{steps}__feat_magnitudes", features[-1].norm(dim=-1))


def test_the_attention_is_that_of_the_official_code(golden: Callable[[str], Any]) -> None:
    said = golden("head_cliptsa_512")
    model, given = made(said, True), torch.from_numpy(said.input(4, 32, 512))
    with torch.no_grad():
        scores = model.scorer(given).squeeze(-1)
        said.close("hard_attention_scores", scores)
        held = torch.ones_like(scores, dtype=torch.bool)
        said.close("hard_attention_out", given * model.attend(scores, held)[..., None])
    kept = clip_tsa.chosen(scores[:, None] + 0.05 * seeded(scores), held, torch.full((4,), 30))
    rank = kept.cumsum(2) - 1
    by_rank = torch.stack([(kept & (rank == k)).float().mean(1) for k in range(30)], 1)
    said.close("hard_attention_topk_indicators", by_rank)


@torch.no_grad()
def test_each_joined_crop_keeps_its_share(cell_bags: CellBags) -> None:
    model = CLIPTSA(CLIPTSAConfig(keep=0.5, joint=True), {"cells": 8}).eval()
    views = cell_bags(np.random.default_rng(0).normal(size=(1, 4 * 3, 8)).astype(np.float32), (4, 1, 3))
    lane = sequences(lanes(views["cells"]))
    kept = model.inputs(lane, lane.held) / lane.features
    torch.testing.assert_close(kept[..., 0].sum(1), torch.full((3,), 2.0))


def test_gradients_are_those_of_the_expectation() -> None:
    """Against differences of the mean over very many draws of the same noise."""
    torch.manual_seed(0)
    scores, held = torch.rand(1, 6, dtype=torch.float64), torch.tensor([[True, True, True, False, True, True]])
    worth, keep, sigma = torch.randn(1, 6, dtype=torch.float64), torch.tensor([3]), 0.3
    noise = torch.randn(1, 400_000, 6, dtype=torch.float64)
    leaf = scores.clone().requires_grad_()
    (clip_tsa.PerturbedTopK.apply(leaf, noise, held, keep, sigma) * worth).sum().backward()
    for k in range(6):
        step = torch.zeros_like(scores)
        step[0, k] = 0.05
        ends = [
            (clip_tsa.PerturbedTopK.apply(scores + s * step, noise, held, keep, sigma) * worth).sum() for s in (1, -1)
        ]
        assert leaf.grad is not None
        assert float(leaf.grad[0, k]) == pytest.approx(float(ends[0] - ends[1]) / 0.1, abs=0.03)


@pytest.mark.equation("clip_tsa", "w", "share_i", "d share_i / d w_j", "x_i")
def test_the_attention_and_its_gradient_are_the_papers_in_numpy(cell_bags: CellBags) -> None:
    """Scorer, draws, shares, the gradient as Berthet et al. (2020) estimate it, and the network's input."""
    config = CLIPTSAConfig(keep=0.4, sigma=0.3, samples=9, dropout=0.0)
    model = drawn(CLIPTSA(config, {"cells": 5})).train()
    rng = np.random.default_rng(0)
    rows, noise = rng.normal(size=(2, 12, 5)), rng.normal(size=(2, 9, 12))
    rows[1, 3] = 0
    model._noise = lambda like: torch.from_numpy(noise)  # type: ignore[method-assign]
    taken: list[Tensor] = []
    network = model.network
    model.network = lambda x, present: (taken.append(x), network(x, present))[1]  # type: ignore[assignment,func-returns-value]
    model(cell_bags(rows.reshape(2, 12, 5), (6, 1, 2)))
    layers, worth = Layers(model), rng.normal(size=(2, 12))
    leaf = model.scorer(torch.from_numpy(rows)).squeeze(-1).detach().requires_grad_()
    held = rows.any(-1)
    (model.attend(leaf, torch.from_numpy(held)) * torch.from_numpy(worth)).sum().backward()
    assert leaf.grad is not None
    for bag in (0, 1):
        w = sigmoid(layers.linear("scorer.2", relu(layers.linear("scorer.0", rows[bag]))))[:, 0]
        np.testing.assert_allclose(leaf[bag].detach(), w)
        number, kept = int(0.4 * held[bag].sum()), np.zeros((9, 12))
        for draw in range(9):
            tried = np.where(held[bag], w + 0.3 * noise[bag, draw], -np.inf)
            kept[draw, np.argsort(-tried)[:number]] = 1
        np.testing.assert_allclose(
            np.concatenate([lane.detach() for lane in taken[0][2 * bag : 2 * bag + 2]]),
            (kept.mean(0)[:, None] * rows[bag]).reshape(6, 2, 5).swapaxes(0, 1).reshape(12, 5),
            atol=1e-7,
        )
        for j in range(12):
            slopes = [np.mean(kept[:, i] * noise[bag, :, j]) / 0.3 for i in range(12)]
            assert float(leaf.grad[bag, j]) == pytest.approx(worth[bag] @ slopes, rel=1e-6)


def test_the_highest_are_kept() -> None:
    rng = np.random.default_rng(0)
    scores, held = rng.random((3, 4, 9)), rng.random((3, 9)) > 0.3
    keep = np.array([1, 3, 20])
    found = clip_tsa.chosen(*map(torch.tensor, (scores, held, keep)))
    for bag in range(3):
        for sample in range(4):
            order = sorted(np.flatnonzero(held[bag]), key=lambda k: -scores[bag, sample, k])[: keep[bag]]
            assert np.flatnonzero(found[bag, sample]).tolist() == sorted(order)


def test_the_chance_is_what_many_draws_tend_to() -> None:
    torch.manual_seed(0)
    scores, held = torch.rand(2, 80, dtype=torch.float64), torch.rand(2, 80) > 0.3
    keep, noise = torch.tensor([20, 50]), torch.randn(2, 20_000, 80, dtype=torch.float64)
    drawn = clip_tsa.PerturbedTopK.apply(scores, noise, held, keep, 0.1)
    chance = clip_tsa.expected(scores, held, keep, 0.1)
    torch.testing.assert_close(chance.sum(1), keep.double())
    assert float((chance - drawn).abs().max()) < 0.03


def test_who_keeps_all_keeps_all() -> None:
    held = torch.tensor([[True, False, True]])
    assert clip_tsa.expected(torch.rand(1, 3), held, torch.tensor([2]), 0.1).tolist() == [[1, 0, 1]]


def test_fixed_noise_starts_alike_for_every_length() -> None:
    model = CLIPTSA(CLIPTSAConfig(samples=7), {"cells": 4}).eval()
    long = model._noise(torch.zeros(1, 50))
    for length in (1, 15, 16, 33):
        assert torch.equal(model._noise(torch.zeros(2, length))[1], long[0, :, :length])


def test_long_features_are_shortened_first(cell_bags: CellBags) -> None:
    model = CLIPTSA(CLIPTSAConfig(), {"cells": 600}).eval()
    layers, rows = Layers(model), np.random.default_rng(0).normal(size=(2, 600)).astype(np.float32)
    wanted = sigmoid(layers.linear("shorten.2", relu(layers.linear("shorten.0", rows.astype(np.float64)))))
    np.testing.assert_allclose(model.shorten(torch.from_numpy(rows)).detach(), wanted, rtol=1e-4)
    assert model(cell_bags(np.ones((1, 4, 600), np.float32))).scores.shape == (1, 4)
    assert [tuple(layer.weight.shape) for layer in (model.shorten[0], model.shorten[2])] == [(1024, 600), (512, 1024)]


def test_an_empty_bag_scores_nothing_and_teaches_nothing(cell_bags: CellBags) -> None:
    model = CLIPTSA(CLIPTSAConfig(), {"cells": 3})
    views = cell_bags(np.zeros((2, 5, 3), np.float32))
    for mode in (True, False):
        output = model.train(mode)(views)
        assert (output.scores == 0).all()
        assert all(torch.isfinite(v) for v in model.loss(output, views, torch.tensor([0.0, 1.0])).values())


@pytest.mark.parametrize("wrong", [{"keep": 0.0}, {"samples": 0}, {"sigma": 0.0}, {"dropout": 1.0}])
def test_senseless_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"clip_tsa: {next(iter(wrong))}"):
        CLIPTSAConfig(**wrong)
