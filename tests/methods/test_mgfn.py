from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wherewhen.core.contracts import View
from wherewhen.core.errors import ConfigError
from wherewhen.methods.mgfn import MGFN, PUBLISHED, Focus, Glance, MGFNConfig, contrast

CellBags = Callable[..., dict[str, View]]
CheckCells = Callable[[torch.nn.Module], None]

lengths = st.lists(st.floats(0, 500), min_size=1, max_size=5)


@settings(deadline=None)
@given(lengths, lengths)
def test_contrast_equals_its_sum_over_pairs(anomalous: list[float], normal: list[float]) -> None:
    total = 0.0
    for kind in (anomalous, normal):
        pairs = [(p - q) ** 2 for i, p in enumerate(kind) for j, q in enumerate(kind) if i != j]
        total += float(np.mean(pairs)) if pairs else 0.0
    total += 0.5 * float(np.mean([max(0.0, 200 - abs(a - n)) ** 2 for a in anomalous for n in normal]))
    found = contrast(torch.tensor(anomalous), torch.tensor(normal), margin=200, apart=0.5)
    assert float(found) == pytest.approx(total, rel=1e-4, abs=1e-2)


@torch.no_grad()
def test_a_glance_is_attention_over_the_steps_that_are_there() -> None:
    torch.manual_seed(0)
    look, x = Glance(128), torch.randn(1, 128, 6)
    there = torch.tensor([1.0, 1, 1, 1, 0, 0])[None, None]
    queries, keys, values = look.ask(look.norm(x))[0].reshape(3, 2, 64, 6)
    rows = []
    for head in range(2):
        weights = ((queries[head].T @ keys[head]) / 8)[:, :4].softmax(1)
        rows.append((weights @ values[head][:, :4].T).T)
    wanted = look.give(torch.cat(rows)[None])
    torch.testing.assert_close(look(x, there), wanted, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_focus_shares_a_kernel_among_the_channels_of_a_head() -> None:
    torch.manual_seed(0)
    look, x = Focus(128), torch.randn(1, 128, 9)
    values = look.take(look.norm(x))[0]
    mixed = torch.zeros_like(values)
    for channel in range(128):
        kernel, bias = look.near.weight[channel % 2, 0].numpy(), float(look.near.bias[channel % 2])  # type: ignore[index]
        mixed[channel] = torch.from_numpy(np.correlate(np.pad(values[channel].numpy(), 2), kernel, "valid")) + bias
    torch.testing.assert_close(look(x, torch.ones(1, 1, 9)), look.give(mixed[None]), rtol=1e-4, atol=1e-5)


def test_the_published_network_has_the_authors_sizes() -> None:
    with torch.device("meta"):
        model = MGFN(PUBLISHED, {"cells": 2048})
    shapes = {name: tuple(p.shape) for name, p in model.named_parameters()}
    assert shapes["enter.weight"] == (64, 2048, 3) and shapes["amplify.weight"] == (64, 1, 3)
    assert [len(level) for level in model.levels] == [3, 3, 2]  # type: ignore[arg-type]
    assert shapes["levels.0.0.look.ask.weight"] == (192, 64, 1)
    assert shapes["levels.1.0.look.near.weight"] == (2, 1, 5) and shapes["levels.2.1.look.near.weight"] == (16, 1, 5)
    assert shapes["levels.2.0.think.1.weight"] == (4096, 1024, 1) and shapes["score.weight"] == (1, 1024)


def test_one_cell_is_the_published_method_and_cells_share_its_weights(check_cells_alone: CheckCells) -> None:
    torch.manual_seed(0)
    check_cells_alone(MGFN(MGFNConfig(), {"cells": 5}).eval())


@torch.no_grad()
@pytest.mark.parametrize("choose", ["input", "score", "output"])
def test_the_loss_equals_a_plain_reading(choose: str, cell_bags: CellBags) -> None:
    torch.manual_seed(1)
    model = MGFN(MGFNConfig(choose=choose, top=0.2, margin=40), {"cells": 5}).eval()  # type: ignore[arg-type]
    views, labels = cell_bags(torch.randn(4, 24, 5), (6, 2, 2)), torch.tensor([1.0, 0, 1, 0])
    torch.nn.init.uniform_(model.last.weight, 0.5, 2)  # lengths that differ
    output = model(views)
    bag, long = [], []
    for row in range(4):
        lanes = views["cells"].features[row].reshape(6, 4, 5).transpose(0, 1)
        features, scores = model.network(lanes, torch.ones(4, 6).bool())
        by = {"input": lanes.norm(dim=-1), "score": scores, "output": features.norm(dim=-1)}[choose]
        best = by.flatten().argsort(descending=True)[:4]
        bag.append(float(scores.flatten()[best].mean()))
        long.append(float(features.flatten(0, 1)[best].abs().sum(1).mean()) * (1024 / 32) ** 0.5)
    terms = model.loss(output, views, labels)
    nll = [-np.log(s if y else 1 - s) for s, y in zip(bag, labels.tolist(), strict=True)]
    assert float(terms["bag"]) == pytest.approx(np.mean(nll), abs=1e-5)
    apart = np.mean([max(0, 40 - abs(long[a] - long[n])) ** 2 for a in (0, 2) for n in (1, 3)])
    within = (long[0] - long[2]) ** 2 + (long[1] - long[3]) ** 2
    assert float(terms["contrast"]) == pytest.approx(1e-4 * (within + 1e-3 * apart), rel=1e-3)
    jumps = output.scores.reshape(4, 6, 4).diff(dim=1).square().sum()
    assert float(terms["smoothness"]) == pytest.approx(8e-4 * float(jumps) / 4, rel=1e-4)


@torch.no_grad()
def test_the_loss_as_published_compares_by_order(cell_bags: CellBags) -> None:
    torch.manual_seed(2)
    views, labels = cell_bags(torch.randn(8, 12, 5), (3, 2, 2)), torch.tensor([1.0, 0, 1, 0, 0, 1, 1, 0])
    model = MGFN(MGFNConfig(margin=40, compat=True), {"cells": 5}).eval()
    torch.nn.init.uniform_(model.last.weight, 0.5, 2)
    output = model(views)
    terms = model.loss(output, views, labels)
    long = (output.extra["length"] * (1024 / 32) ** 0.5).tolist()
    a, n = [long[k] for k in (0, 2, 5, 6)], [long[k] for k in (1, 3, 4, 7)]
    within = sum(np.mean([(x[0] - x[2]) ** 2, (x[1] - x[3]) ** 2]) for x in (a, n))
    apart = np.mean([max(0, 40 - abs(x - y)) ** 2 for x, y in zip(a, n, strict=True)])
    assert float(terms["contrast"]) == pytest.approx(1e-4 * (within + 1e-3 * apart), rel=1e-3)
    roots = [float(output.scores[k].square().sum() / 4) ** 0.5 for k in (1, 3, 4, 7)]
    assert float(terms["sparsity"]) == pytest.approx(8e-3 * np.mean(roots), rel=1e-4)
    alone = contrast(torch.tensor([3.0]), torch.tensor([1.0, 2.0, 5.0]), margin=4, apart=0.5, halves=True)
    assert float(alone) == (1 - 2) ** 2 + 0.5 * (4 - 2) ** 2


@pytest.mark.parametrize("wrong", [{"width": 0}, {"depths": (1, 0, 1)}, {"top": 1.0}, {"amplify": -1.0}])
def test_senseless_settings_are_named(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        MGFNConfig(**wrong)  # type: ignore[arg-type]
