from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from oracle import Array, Layers, drawn, relu, sigmoid

from wherewhen.core.contracts import View
from wherewhen.core.errors import ConfigError
from wherewhen.methods import alocc
from wherewhen.methods.alocc import ALOCC, PUBLISHED, ALOCCConfig, Groups, official, refinement


def view(bags: int = 3, cells: int = 8, side: int = 9) -> dict[str, View]:
    features = torch.rand(bags, cells, side * side, generator=torch.Generator().manual_seed(0)) * 2 - 1
    mask = torch.ones(bags, cells, dtype=torch.bool)
    shape = (2, 2, cells // 4)
    return {"cells": View(features, torch.zeros(bags, cells, 6), -torch.ones(bags, cells), mask, (shape,) * bags)}


def model(config: ALOCCConfig | None = None, side: int = 9) -> ALOCC:
    torch.manual_seed(0)
    return ALOCC(config or ALOCCConfig(channels=4), {"cells": side * side})


@pytest.mark.parametrize("kind", ["batchstat", "movingstat"])
def test_both_networks_are_the_published_ones(kind: str, golden: Callable[[str], Any]) -> None:
    found = golden("head_alocc_45x45")
    made = model(PUBLISHED, 45)
    missing, unexpected = made.load_state_dict(official(found.tensors), strict=False)
    assert (missing, unexpected) == (["usual"], [])
    rng = np.random.default_rng(7)
    noisy, real = (
        torch.from_numpy(rng.uniform(-1, 1, (8, 45, 45, 1)).astype(np.float32)).permute(0, 3, 1, 2) for _ in range(2)
    )
    groups = Groups(torch.zeros(8, dtype=torch.long), 1) if kind == "batchstat" else None
    with torch.no_grad():
        built = made.generator(noisy, groups)
        on_real, on_built = made.discriminator(real, groups), made.discriminator(built, groups)
    outputs = {
        "G": built.permute(0, 2, 3, 1),
        "D": torch.sigmoid(on_real)[:, None],
        "D_logits": on_real[:, None],
        "D_of_G": torch.sigmoid(on_built)[:, None],
        "D_logits_of_G": on_built[:, None],
        "d_loss_real": alocc._bce(on_real, 1.0),
        "d_loss_fake": alocc._bce(on_built, 0.0),
        "g_adv": alocc._bce(on_built, 1.0),
        "g_r_loss": refinement(built, noisy, True),
    }
    for name, values in outputs.items():
        found.close(f"{kind}__{name}", values)


@pytest.mark.parametrize("side", [5, 8, 9, 12, 45])
def test_any_square_is_rebuilt_at_its_size(side: int) -> None:
    made = model(side=side)
    patches = torch.rand(2, 1, side, side)
    assert made.generator(patches).shape == patches.shape
    assert made.discriminator(patches).shape == (2,)


def test_features_that_are_no_square_are_refused() -> None:
    with pytest.raises(ConfigError, match="square patches of pixels, got features of length 21; use --backbone pixels"):
        ALOCC(ALOCCConfig(), {"cells": 21})


def test_each_player_descends_its_own_terms() -> None:
    made, bags = model(ALOCCConfig(channels=4, noise=0.0)).train(), view()
    for names, player in ((("real", "fake"), "discriminator"), (("adversarial", "refinement"), "generator")):
        made.zero_grad(set_to_none=True)
        terms = made.loss(made(bags), bags, torch.zeros(3))
        sum(terms[name] for name in names).backward()  # type: ignore[union-attr]
        moved = {name.split(".")[0] for name, p in made.named_parameters() if p.grad is not None and p.grad.any()}
        assert moved == {player}


def test_anomalous_bags_teach_nothing() -> None:
    made, bags = model(ALOCCConfig(channels=4, noise=0.0)).train(), view()
    state = {k: v.clone() for k, v in made.state_dict().items()}
    terms = made.loss(made(bags), bags, torch.ones(3))
    assert all(float(value) == 0 for value in terms.values())
    assert all(torch.equal(state[k], v) for k, v in made.state_dict().items())


def test_norms_keep_what_normal_patches_look_like() -> None:
    norm = alocc.Norm(2)
    x = torch.randn(6, 2, 3, 3) * 2 + 5
    found = norm(x, Groups(torch.zeros(6, dtype=torch.long), 1, learn=True))
    wanted = F.batch_norm(x, None, None, training=True, eps=1e-5)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(norm.moving_mean, 0.1 * x.mean((0, 2, 3)))
    torch.testing.assert_close(norm.moving_variance, 0.9 + 0.1 * x.var((0, 2, 3), unbiased=False))
    two = norm(torch.cat([x, 3 * x]), Groups(torch.arange(2).repeat_interleave(6), 2))
    torch.testing.assert_close(two[6:], found, rtol=1e-3, atol=1e-4)


def test_samples_are_held_and_none_comes_twice_as_long_as_they_last() -> None:
    held = torch.tensor([[True, False, True, True, False], [False, False, True, False, False]])
    torch.manual_seed(0)
    chosen = alocc._sample(held, 3)
    assert sorted(chosen[0].tolist()) == [0, 2, 3]
    assert chosen[1].tolist() == [2, 2, 2]


def test_the_official_refinement_takes_tanh_for_a_logit() -> None:
    made, real = torch.tensor([0.5, -0.5]), torch.tensor([1.0, -1.0])
    wanted = np.mean([np.log1p(np.exp(0.5)) - 0.5, np.log1p(np.exp(-0.5)) - 0.5])
    assert float(refinement(made, real, True)) == pytest.approx(wanted, rel=1e-5)
    assert float(refinement(made, real, False)) == pytest.approx(0.25)


# --- both networks and all terms in numpy, from Sabokrou et al., CVPR 2018, and the official code


def padding(side: int) -> int:
    """Pixels before the first one in TensorFlow's SAME, for a kernel of 5 that takes every second pixel."""
    return max((-(-side // 2) - 1) * 2 + 5 - side, 0) // 2


def convolved(layers: Layers, name: str, x: Array) -> Array:
    """``(n, C, H, H)`` -> ``(n, out, H / 2, H / 2)``, pixel by pixel."""
    kernel, side = layers[f"{name}.w"], x.shape[-1]
    out = np.zeros((len(x), len(kernel), -(-side // 2), -(-side // 2))) + layers[f"{name}.biases"][:, None, None]
    for y, x_, ky, kx in np.ndindex(*out.shape[2:], 5, 5):
        j, i = 2 * y + ky - padding(side), 2 * x_ + kx - padding(side)
        if 0 <= j < side and 0 <= i < side:
            out[:, :, y, x_] += x[:, :, j, i] @ kernel[:, :, ky, kx].T
    return out


def deconvolved(layers: Layers, name: str, x: Array, side: int) -> Array:
    """The transpose: each pixel adds its kernel to the picture of ``side``."""
    kernel = layers[f"{name}.w"]
    out = np.zeros((len(x), kernel.shape[1], side, side)) + layers[f"{name}.biases"][:, None, None]
    for y, x_, ky, kx in np.ndindex(*x.shape[2:], 5, 5):
        j, i = 2 * y + ky - padding(side), 2 * x_ + kx - padding(side)
        if 0 <= j < side and 0 <= i < side:
            out[:, :, j, i] += x[:, :, y, x_] @ kernel[:, :, ky, kx]
    return out


def normed(layers: Layers, name: str, x: Array, train: bool) -> Array:
    """Batch norm of one bag's patches, by their own statistics in training and by the moving ones otherwise."""
    mean, variance = (
        (x.mean((0, 2, 3)), x.var((0, 2, 3)))
        if train
        else (layers[f"{name}.moving_mean"], layers[f"{name}.moving_variance"])
    )
    scaled = (x - mean[:, None, None]) / np.sqrt(variance[:, None, None] + 1e-5)
    return scaled * layers[f"{name}.gamma"][:, None, None] + layers[f"{name}.beta"][:, None, None]


def leaky(x: Array) -> Array:
    return np.where(x > 0, x, 0.2 * x)


def rebuilt(layers: Layers, x: Array, train: bool = False) -> Array:
    """R: three convolutions, three transposed ones, no pooling, tanh."""
    sides = [x.shape[-1]]
    for layer, norm in (("encoder_h0_conv", "bn4"), ("encoder_h1_conv", "bn5"), ("encoder_h2_conv", "bn6")):
        x = leaky(normed(layers, f"generator.g_{norm}", convolved(layers, f"generator.g_{layer}", x), train))
        sides.append(x.shape[-1])
    for layer, norm, side in (("decoder_h1", "bn2", sides[2]), ("decoder_h0", "bn3", sides[1])):
        x = relu(normed(layers, f"generator.g_{norm}", deconvolved(layers, f"generator.g_{layer}", x, side), train))
    return np.tanh(deconvolved(layers, "generator.g_decoder_h00", x, sides[0]))


def real(layers: Layers, x: Array, train: bool = False) -> Array:
    """D: the share in (0, 1) to which patches ``(n, 1, H, H)`` are real; rows, then columns, then channels."""
    x = leaky(convolved(layers, "discriminator.d_h0_conv", x))
    for k in (1, 2, 3):
        x = leaky(normed(layers, f"discriminator.d_bn{k}", convolved(layers, f"discriminator.d_h{k}_conv", x), train))
    return sigmoid(layers.linear("discriminator.d_h3_lin", x.transpose(0, 2, 3, 1).reshape(len(x), -1))[:, 0])


SIDE = 18  # D's last map is 2 x 2, so that the order of its pixels counts


@pytest.fixture
def patches() -> Array:
    return np.random.default_rng(0).uniform(-1, 1, (3, 4, 1, SIDE, SIDE))


@pytest.fixture
def scrambled(patches: Array) -> ALOCC:
    """A small network all of whose numbers count."""
    made: ALOCC = drawn(model(ALOCCConfig(channels=2, patches=4), SIDE), size=0.3)
    rng = np.random.default_rng(1)
    for name, buffer in made.named_buffers():
        buffer.copy_(
            torch.from_numpy(rng.uniform(0.5, 2, buffer.shape) if "mean" not in name else rng.normal(size=buffer.shape))
        )
    return made


def bags_of(patches: Array) -> dict[str, View]:
    features = torch.from_numpy(patches.reshape(*patches.shape[:2], -1))
    mask = torch.ones(features.shape[:2], dtype=torch.bool)
    return {
        "cells": View(features, torch.zeros(*mask.shape, 6), -torch.ones(mask.shape), mask, ((1, 2, 2),) * len(mask))
    }


@pytest.mark.equation("alocc", "R", "D", "score")
@pytest.mark.parametrize("compat", [False, True])
@pytest.mark.parametrize("score", ["both", "refined", "original", "reconstruction"])
def test_scores_are_those_of_both_networks(score: str, compat: bool, patches: Array, scrambled: ALOCC) -> None:
    """``D(R(x))`` is the paper's, ``D(x)`` the official code's, by the statistics of the patches of the video."""
    scrambled.config = replace(scrambled.config, score=score, compat=compat)
    layers, x = Layers(scrambled), patches[0]
    made = rebuilt(layers, x, compat)
    faithful = layers["usual"] / (layers["usual"] + ((made - x) ** 2).mean((1, 2, 3)))
    after, before = real(layers, made, compat), real(layers, x, compat)
    wanted = {"both": after * faithful, "refined": after, "original": before, "reconstruction": faithful}[score]
    with torch.no_grad():
        found = scrambled(bags_of(patches)).scores[0]
    np.testing.assert_allclose(found, 1 - wanted, rtol=1e-6)


@pytest.mark.equation("alocc", "D descends", "R descends", "usual")
@pytest.mark.parametrize("compat", [False, True])
def test_both_players_descend_the_papers_terms(compat: bool, patches: Array, scrambled: ALOCC) -> None:
    """Bag by bag; the anomalous bag, the second one, counts for nothing. The official code takes tanh for a logit."""
    scrambled.config = replace(scrambled.config, noise=0.3, refinement=0.4, compat=compat)
    scrambled.train()
    layers, bags = Layers(scrambled), bags_of(patches)
    output = scrambled(bags)
    torch.manual_seed(5)
    terms = scrambled.loss(output, bags, torch.tensor([0.0, 1.0, 0.0]))
    torch.manual_seed(5)
    noise = 0.3 * torch.randn(8, 1, SIDE, SIDE, dtype=torch.float64).numpy()
    errors: list[float] = []
    wanted: dict[str, list[float]] = {"real": [], "fake": [], "adversarial": [], "refinement": []}
    for number, bag in enumerate((0, 2)):
        x = output.extra["sample"][bag].numpy().reshape(4, 1, SIDE, SIDE)
        made = rebuilt(layers, x + noise[4 * number : 4 * number + 4], train=True)
        fake = real(layers, made, train=True)
        wanted["real"].append(-np.log(real(layers, x, train=True)).mean())
        wanted["fake"].append(-np.log(1 - fake).mean())
        wanted["adversarial"].append(-np.log(fake).mean())
        errors.append(((x - made) ** 2).mean())
        wanted["refinement"].append(0.4 * ((np.log(1 + np.exp(made)) - x * made).mean() if compat else errors[-1]))
    for name, values in wanted.items():
        assert terms[name].item() == pytest.approx(np.mean(values), rel=1e-6)
    assert float(scrambled.usual) == pytest.approx(0.9 * layers["usual"] + 0.1 * np.mean(errors))
