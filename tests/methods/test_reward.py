from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import Array, Layers, drawn, relu, sigmoid
from sklearn.neighbors import NearestNeighbors

from wherewhen.core.contracts import StagedMethod, View
from wherewhen.core.errors import ConfigError
from wherewhen.methods.reward import Reward, RewardConfig, accumulated, first_pass, scaled, second_pass


def bags(features: torch.Tensor) -> dict[str, View]:
    """Bags ``(B, T, P, D)`` as a view."""
    b, t, p, d = features.shape
    mask = torch.ones(b, t * p, dtype=torch.bool)
    rows = features.reshape(b, t * p, d)
    return {"cells": View(rows, torch.zeros(b, t * p, 6), -torch.ones(b, t * p), mask, ((t, 1, p),) * b)}


def training_set() -> list[tuple[dict[str, View], torch.Tensor]]:
    """Two normal bags of noise and an anomalous one that lies far off at one place for a while."""
    torch.manual_seed(0)
    odd = torch.randn(1, 12, 3, 4)
    odd[0, 4:7, 1] += 8
    return [
        (bags(torch.randn(1, 12, 3, 4)), torch.tensor([0.0])),
        (bags(odd), torch.tensor([1.0])),
        (bags(torch.randn(1, 9, 3, 4)), torch.tensor([0.0])),
    ]


@pytest.mark.equation("reward", "S_t")
@settings(deadline=None, max_examples=50)
@given(st.integers(0, 10_000))
def test_accumulated_is_the_recursion(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values, held = rng.random((2, 7, 3)).astype(np.float32), rng.random((2, 7, 3)) < 0.8
    found, mean = accumulated(torch.from_numpy(values), torch.from_numpy(held))
    for bag in range(2):
        level = values[bag][held[bag]].mean() if held[bag].any() else 0.0
        assert mean[bag].item() == pytest.approx(level, abs=1e-6)
        for cell in range(3):
            total = 0.0
            for step in range(7):
                if held[bag, step, cell]:
                    total = max(0.0, total + values[bag, step, cell] - level)
                assert found[bag, step, cell].item() == pytest.approx(total, abs=1e-5)


def test_scaled_runs_from_0_to_1_in_each_bag() -> None:
    values, held = torch.rand(3, 5, 2) * 9 - 4, torch.rand(3, 5, 2) < 0.7
    held[2] = False
    found = scaled(values, held)
    for bag in (0, 1):
        own = values[bag][held[bag]]
        torch.testing.assert_close(found[bag][held[bag]], (own - own.min()) / (own.max() - own.min()))
    assert (found[~held] == 0).all()


def test_seeds_are_where_distance_keeps_up() -> None:
    far = torch.zeros(1, 10, 2)
    far[0, 3:7, 1] = 1
    far[0, 8, 0] = 1  # too short
    seeds = first_pass(far, torch.ones_like(far).bool(), 0.8)
    assert seeds[0, 6, 1] and not seeds[0, :5].any() and not seeds[0, :, 0].any()


@pytest.mark.equation("reward", "p_i")
def test_the_second_pass_leaves_out_the_ends_of_long_bags() -> None:
    scores = torch.zeros(2, 20, 1)
    for span in (slice(2), slice(6, 9), slice(18, 20)):
        scores[:, span] = 1
    steps = torch.arange(20) < torch.tensor([[20], [10]])
    held = steps[..., None]
    found = second_pass(scores, held, steps)[..., 0]
    assert found[0, 6:9].all() and not found[0, :4].any() and not found[0, 16:].any()
    assert found[1, 1] and not found[1, 10:].any()


@pytest.mark.equation("reward", "d_i")
def test_distances_are_to_the_nearest_normal_instances() -> None:
    model = Reward(RewardConfig(neighbors=5, bank=64), {"cells": 4})
    found = training_set()
    model.study(0, found)
    normal = torch.cat([views["cells"].features[0] for views, label in found if not label])
    assert int(model.known) == len(normal) == 63
    rows = torch.randn(30, 4)
    near = NearestNeighbors(n_neighbors=5).fit(normal.numpy()).kneighbors(rows.numpy())[0]
    np.testing.assert_allclose(model.distances(rows).numpy(), near.mean(1), rtol=1e-4)


def test_the_bank_has_the_size_of_its_setting() -> None:
    small = Reward(RewardConfig(bank=16), {"cells": 4})
    assert isinstance(small, StagedMethod)
    small.study(0, training_set())
    again = Reward(RewardConfig(bank=16), {"cells": 4})
    again.load_state_dict(small.state_dict())
    torch.testing.assert_close(again.distances(torch.ones(3, 4)), small.distances(torch.ones(3, 4)))


@pytest.mark.parametrize("compat", [False, True])
def test_each_stage_trains_its_own_network(compat: bool) -> None:
    """But for the final head's last layer, which the published code leaves as it starts."""
    found = training_set()
    views, labels = (
        bags(torch.cat([views["cells"].features[:, :27] for views, _ in found]).reshape(3, 9, 3, 4)),
        (torch.cat([label for _, label in found])),
    )
    model = Reward(RewardConfig(compat=compat), {"cells": 4}).train()
    left = set(model.final[-1].parameters()) if compat else set()
    for stage, learns, rests in ((0, model.scout, model.final), (1, model.final, model.scout)):
        model.study(stage, found)
        model.zero_grad()
        torch.stack(list(model.loss(model(views), views, labels).values())).sum().backward()  # type: ignore[no-untyped-call]
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in set(learns.parameters()) - left)
        assert all(p.grad is None for p in left)
        assert all(p.grad is None for p in rests.parameters())


def test_pseudo_labels_find_what_is_far_for_a_while() -> None:
    found = training_set()
    views, label = found[1]
    model = Reward(RewardConfig(neighbors=3), {"cells": 4}).train()
    model.study(0, found)
    output = model(views)
    seeds = model._seeds_of(output.extra["features"], output.extra["held"], label > 0.5)[0]
    assert seeds[6, 1] and not seeds[:4].any() and not seeds[:, [0, 2]].any()
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for stage in (0, 1):
        model.study(stage, found)
        for _ in range(8):
            for one, truth in found:
                optimizer.zero_grad()
                torch.stack(list(model.loss(model(one), one, truth).values())).sum().backward()  # type: ignore[no-untyped-call]
                optimizer.step()
    scores = model.eval()(views).scores.reshape(12, 3)
    assert scores[4:7, 1].mean() > scores[:, [0, 2]].mean() + 0.2


@pytest.mark.parametrize("wrong", [{"width": 0}, {"bank": 0}, {"neighbors": 0}, {"seed": 1.0}, {"segments": -1}])
def test_senseless_settings_are_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        RewardConfig(**wrong)


# --- both stages in numpy, from the authors' code


def summed_up(values: Array, held: Array) -> tuple[Array, float]:
    """CUSUM of scaled values ``(T, P)``, cell by cell, and the mean of the video that it is above."""
    low, high = values[held].min(), values[held].max()
    values = (values - low) / (high - low)
    mean, sums = float(values[held].mean()), np.zeros_like(values)
    for cell in range(values.shape[1]):
        total = 0.0
        for t in range(len(values)):
            total = max(0.0, total + values[t, cell] - mean) if held[t, cell] else total
            sums[t, cell] = total
    return sums, mean


@pytest.mark.equation("reward", "d_i", "S_t", "seed", "p_i", "label", "L_0", "L_1")
@pytest.mark.parametrize("balance", [False, True])
def test_both_stages_learn_the_pseudo_labels_in_numpy(balance: bool) -> None:
    """Nearest normal neighbors, CUSUM, seeds, scout; its scores, CUSUM again, without the ends; cross-entropies."""
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(3, 16, 2, 4))
    rows[1, 4:8, 1] += 2.5
    rows[1, 6, 0] = rows[0, 2, 1] = 0
    labels = torch.tensor([0.0, 1.0, 0.0])
    model = drawn(Reward(RewardConfig(neighbors=4, seed=0.4, balance=balance, width=5, last=3), {"cells": 4})).train()
    views = bags(torch.from_numpy(rows))
    model.study(0, [(bags(torch.from_numpy(row[None])), label[None]) for row, label in zip(rows, labels, strict=True)])
    with torch.no_grad():
        terms = model.loss(model(views), views, labels)
    layers, held = Layers(model), rows.any(-1)

    def scored(name: str) -> Array:
        x = rows
        for number in (0, 2, 4, 6):
            x = layers.linear(f"{name}.{number}", relu(x) if number else x)
        return sigmoid(x[..., 0])

    bank = np.concatenate([rows[k][held[k]] for k in (0, 2)])
    far = np.array([[np.sort(np.linalg.norm(bank - x, axis=1))[:4].mean() for x in step] for step in rows[1]])
    sums, _ = summed_up(far, held[1])
    seeds = held[1] & (sums > 0.4 * sums[held[1]].max())
    inner = held[1] & (np.arange(16) >= 16 // 5)[:, None] & (np.arange(16) < 16 - 16 // 5)[:, None]
    sums, mean = summed_up(scored("scout")[1], inner)
    marked = inner & (sums > mean)
    assert 0 < seeds.sum() < 20 and 0 < marked.sum() < 19
    for name, network, chosen in (("seeds", "scout", seeds), ("labels", "final", marked)):
        scores = scored(network)
        up, down = -np.log(scores[1][chosen]), -np.log(1 - scores[[0, 2]][held[[0, 2]]])
        wanted = (up.mean() + down.mean()) / 2 if balance else np.r_[up, down].mean()
        assert float(terms[name]) == pytest.approx(wanted, rel=1e-6)
