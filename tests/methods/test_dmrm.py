from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import Layers, drawn, relu, sigmoid

from wherewhen.core.contracts import Output, View
from wherewhen.core.errors import ConfigError
from wherewhen.methods import dmrm
from wherewhen.methods.dmrm import DMRM, PUBLISHED, DMRMConfig, hinge


def judged(config: DMRMConfig, scores: torch.Tensor, labels: torch.Tensor) -> dict[str, float]:
    """Terms for scores ``(B, T, P)``, without that of the weights."""
    torch.manual_seed(0)
    extra = {"scores": scores, "held": torch.ones_like(scores).bool()}
    with torch.no_grad():
        terms = DMRM(config, {"cells": 4}).loss(Output(scores, extra), {}, labels)
    return {name: float(value) for name, value in terms.items() if name != "penalty"}


def test_the_network_is_the_published_one(golden: Callable[[str], Any]) -> None:
    found = golden("head_sultani_mlp_4096")
    model = DMRM(replace(PUBLISHED, pairs="matched"), {"cells": 4096}).eval()
    model.load_state_dict(dmrm.official(found.tensors))
    x = torch.from_numpy(found.input())
    unit = (x / x.double().norm(dim=-1, keepdim=True)).float()
    with torch.no_grad():
        scores = model.head(x)
        found.close("fc1_relu", torch.relu(model.layers[0](x)))
        found.close("scores", scores[..., None])
        found.close("scores_l2normalised", model.head(unit)[..., None])
        found.close("scores_T200", model.head(torch.from_numpy(found.input(4, 200, 4096)))[..., None])
        grid = scores[..., None]
        extra = {"scores": grid, "held": torch.ones_like(grid).bool()}
        terms = model.loss(Output(scores, extra), {}, torch.tensor([0.0, 0, 1, 1]))
    found.close("regularised_on_scores", torch.stack(list(terms.values())).sum())
    found.close("objective_on_scores", terms["ranking"] + terms["sparsity"] + terms["smoothness"])


@pytest.mark.parametrize("name", ["sultani_torch_4", "sultani_torch_60"])
def test_matched_pairs_are_those_of_the_torch_port(name: str, golden: Callable[[str], Any]) -> None:
    found = golden("losses_pure_functions")
    scores, labels = (torch.from_numpy(found.outputs[f"{name}__in_{part}"]) for part in ("scores", "labels"))
    terms = judged(replace(PUBLISHED, pairs="matched"), scores, labels)
    assert sum(terms.values()) == pytest.approx(found.spec["values"][f"{name}__loss"], rel=2e-5)


def test_all_pairs_are_those_of_the_authors(golden: Callable[[str], Any]) -> None:
    found = golden("losses_pure_functions")
    scores = torch.from_numpy(found.outputs["sultani_theano_60__in_scores_abnormal_first"])[..., None]
    labels = torch.tensor([1.0] * 30 + [0.0] * 30)
    wanted = found.spec["values"]["sultani_theano_60__loss"]
    assert sum(judged(PUBLISHED, scores, labels).values()) == pytest.approx(wanted, rel=2e-5)
    ours = judged(replace(PUBLISHED, compat=False), scores, labels)
    assert 30 * sum(ours.values()) == pytest.approx(wanted, rel=2e-5)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000))
def test_loss_equals_a_plain_reading(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores, labels = rng.random((5, 6, 4)).astype(np.float32), [1.0, 0.0, 1.0, 0.0, 0.0]
    config = DMRMConfig(sparsity=0.3, smoothness=0.2)
    pairs = [max(0.0, 1 - scores[a].max() + scores[n].max()) for a in (0, 2) for n in (1, 3, 4)]
    expected = {
        "ranking": np.mean(pairs),
        "sparsity": 0.3 * np.mean([scores[k].sum() / 4 for k in (0, 2)]),
        "smoothness": 0.2 * np.mean([(np.diff(scores[k], axis=0) ** 2).sum() / 4 for k in (0, 2)]),
    }
    assert judged(config, torch.from_numpy(scores), torch.tensor(labels)) == pytest.approx(expected, abs=1e-5)


@pytest.mark.equation("dmrm", "s_btp", "S_b", "L")
@pytest.mark.parametrize(("compat", "pairs"), [(False, "all"), (True, "all"), (True, "matched")])
def test_head_and_penalty_are_sultanis_in_numpy(
    compat: bool, pairs: Any, cell_bags: Callable[..., dict[str, View]]
) -> None:
    """Section 3.2 and equations 6 and 7: 512 ReLU, 32 linear, 1 sigmoid (4 and 3 here); sums and norms as the codes."""
    config = DMRMConfig(width=4, middle=3, sparsity=0.3, smoothness=0.2, penalty=0.1, compat=compat, pairs=pairs)
    model, rng = drawn(DMRM(config, {"cells": 5})), np.random.default_rng(0)
    rows, labels = rng.normal(size=(4, 6, 2, 5)), [1.0, 0.0, 1.0, 0.0]
    rows[0, 2, 1] = 0
    held = rows.any(-1)
    views, layers = cell_bags(rows.reshape(4, 12, 5), (6, 1, 2)), Layers(model)
    with torch.no_grad():
        output = model(views)
        terms = {name: float(value) for name, value in model.loss(output, views, torch.tensor(labels)).items()}
    hidden = layers.linear("layers.1", relu(layers.linear("layers.0", rows)))
    scores = sigmoid(layers.linear("layers.2", hidden))[..., 0] * held
    jumps = np.diff(scores, axis=1) ** 2 * held[:, 1:] * held[:, :-1]
    np.testing.assert_allclose(output.scores.reshape(4, 6, 2), scores)
    both = [(0, 1), (2, 3)] if pairs == "matched" else [(a, n) for a in (0, 2) for n in (1, 3)]
    times = 2 if compat and pairs == "all" else 1  # the authors sum over anomalous bags, the torch port doesn't
    sizes = [[(layers[f"layers.{k}.{part}"] ** 2).sum() for part in ("weight", "bias")] for k in range(3)]
    assert terms == pytest.approx(
        {
            "ranking": times * np.mean([max(0, 1 - scores[a].max() + scores[n].max()) for a, n in both]),
            "sparsity": times * 0.3 * np.mean([scores[a].sum() / 2 for a in (0, 2)]),
            "smoothness": times * 0.2 * np.mean([jumps[a].sum() / 2 for a in (0, 2)]),
            "penalty": 0.1 * sum(np.sqrt(w + b) if pairs == "matched" else w for w, b in sizes),
        }
    )


@pytest.mark.parametrize("pairs", ["all", "matched"])
def test_one_label_alone_is_ranked_against_what_the_other_ought_to_score(pairs: str) -> None:
    some, none = torch.tensor([0.2, 0.6]), torch.empty(0)
    assert float(hinge(none, some, pairs)) == pytest.approx(0.4)
    assert float(hinge(some, none, pairs)) == pytest.approx(0.6)


def test_training_sees_segments_and_test_all_steps() -> None:
    torch.manual_seed(0)
    features = torch.randn(1, 7 * 2, 3)
    method = DMRM(DMRMConfig(segments=3, dropout=0.0), {"cells": 3})
    mask = torch.ones(1, 14).bool()
    bags = {"cells": View(features, torch.zeros(1, 14, 6), -torch.ones(1, 14), mask, ((7, 1, 2),))}
    spans = [[0, 1, 2], [3, 4], [5, 6]]
    means = torch.stack([features.reshape(7, 2, 3)[span].mean(0) for span in spans])
    torch.testing.assert_close(method.train()(bags).extra["scores"][0], method.head(means))
    torch.testing.assert_close(method.eval()(bags).scores[0], method.head(features[0]))


@pytest.mark.parametrize("wrong", [{"width": 0}, {"middle": 0}, {"dropout": 1.0}, {"sparsity": -1.0}, {"segments": 0}])
def test_senseless_settings_are_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        DMRMConfig(**wrong)
