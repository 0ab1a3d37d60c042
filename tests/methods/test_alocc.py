from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

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


@pytest.mark.parametrize("score", ["both", "refined", "original", "reconstruction"])
def test_scores_are_what_their_name_says(score: str) -> None:
    made, bags = model(ALOCCConfig(channels=4, score=score)).eval(), view(1)  # type: ignore[arg-type]
    made.usual.fill_(0.3)
    patches = bags["cells"].features[0].reshape(-1, 1, 9, 9)
    with torch.no_grad():
        built = made.generator(patches)
        faithful = 0.3 / (0.3 + (built - patches).square().mean((1, 2, 3)))
        after, before = torch.sigmoid(made.discriminator(built)), torch.sigmoid(made.discriminator(patches))
        wanted = {"both": after * faithful, "refined": after, "original": before, "reconstruction": faithful}
        torch.testing.assert_close(made(bags).scores[0], 1 - wanted[score], rtol=1e-5, atol=1e-6)


def test_the_official_refinement_takes_tanh_for_a_logit() -> None:
    made, real = torch.tensor([0.5, -0.5]), torch.tensor([1.0, -1.0])
    wanted = np.mean([np.log1p(np.exp(0.5)) - 0.5, np.log1p(np.exp(-0.5)) - 0.5])
    assert float(refinement(made, real, True)) == pytest.approx(wanted, rel=1e-5)
    assert float(refinement(made, real, False)) == pytest.approx(0.25)
