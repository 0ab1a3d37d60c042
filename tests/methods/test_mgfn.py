from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import Array, Layers, bce, drawn, gelu, sigmoid, softmax

from wherewhen.core.contracts import View
from wherewhen.core.errors import ConfigError
from wherewhen.methods import mgfn
from wherewhen.methods.mgfn import MGFN, PUBLISHED, Glance, MGFNConfig, contrast

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


def networked(layers: Layers, x: Array) -> tuple[Array, Array]:
    """Features ``(T, C)`` and scores ``(T,)`` of one lane, with two channels a head."""
    deep = layers.conv("enter", x) + 0.1 * layers.conv("amplify", np.linalg.norm(x, axis=1, keepdims=True))
    for level, depth in enumerate((1, 2, 1)):
        if level:
            deep = layers.conv(f"widen.{level - 1}.1", layers.norm(f"widen.{level - 1}.0.norm", deep))
        for block in (f"levels.{level}.{k}" for k in range(depth)):
            deep = deep + layers.conv(f"{block}.shift", deep)
            deep = deep + (focused if level else glanced)(layers, f"{block}.look", deep)
            wide = gelu(layers.conv(f"{block}.think.1", layers.norm(f"{block}.think.0.norm", deep)))
            deep = deep + layers.conv(f"{block}.think.3", wide)
    features = layers.norm("last", deep)
    return features, sigmoid(layers.linear("score", features)[:, 0])


def glanced(layers: Layers, name: str, x: Array) -> Array:
    """Attention of every step to all, head by head."""
    query, key, value = np.split(layers.conv(f"{name}.ask", layers.norm(f"{name}.norm.norm", x)), 3, 1)
    heads = [softmax(query[:, h : h + 2] @ key[:, h : h + 2].T / np.sqrt(2)) @ value[:, h : h + 2] for h in (0, 2)]
    return layers.conv(f"{name}.give", np.concatenate(heads, 1))


def focused(layers: Layers, name: str, x: Array) -> Array:
    """Each channel is correlated with the kernel of its head, channel c with that of head c mod 2."""
    values = layers.conv(f"{name}.take", layers.batch_norm(f"{name}.norm", x))
    kernels, offsets = layers[f"{name}.near.weight"], layers[f"{name}.near.bias"]
    mixed = [np.correlate(np.pad(values[:, c], 2), kernels[c % 2, 0], "valid") + offsets[c % 2] for c in range(4)]
    return layers.conv(f"{name}.give", np.transpose(mixed))


@pytest.mark.equation("mgfn", "f", "s", "K", "S", "M", "L")
@torch.no_grad()
@pytest.mark.parametrize("choose", ["input", "score", "output"])
def test_network_and_loss_are_the_papers_in_numpy(
    choose: str, cell_bags: CellBags, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chen et al.: amplified magnitudes, glance, focus, feed forward; scores, contrast (equation 9), sparse, smooth."""
    monkeypatch.setattr(mgfn, "HEAD", 2)
    config, rng = MGFNConfig(choose=choose, top=0.2, margin=40, width=4, depths=(1, 2, 1)), np.random.default_rng(1)  # type: ignore[arg-type]
    model = drawn(MGFN(config, {"cells": 5}))
    for name, buffer in model.named_buffers():
        buffer.copy_(torch.from_numpy(rng.uniform(0.5, 2, len(buffer)) - ("mean" in name)))
    rows, labels = rng.normal(size=(4, 6, 4, 5)), [1.0, 0.0, 1.0, 0.0]
    rows[2, 1, 0] = 0
    views = cell_bags(rows.reshape(4, 24, 5), (6, 2, 2))
    output = model(views)
    terms = {name: float(value) for name, value in model.loss(output, views, torch.tensor(labels).double()).items()}
    layers, bag, long, roots, jumps = Layers(model), [], [], [], 0.0
    for number, label in enumerate(labels):
        lanes = [networked(layers, rows[number, :, cell]) for cell in range(4)]
        features, scores = (np.stack(parts, 1) for parts in zip(*lanes, strict=True))
        held = rows[number].any(-1)
        np.testing.assert_allclose(output.scores[number].reshape(6, 4), scores * held, rtol=1e-7)
        worth = {"input": (rows[number] ** 2).sum(-1), "score": scores, "output": (features**2).sum(-1)}[choose]
        best = np.argsort(-np.where(held, worth, -np.inf).ravel())[:4]
        bag.append(bce(scores.ravel()[best].mean(), label))
        long.append(np.abs(features.reshape(24, 4)[best]).sum(1).mean() * np.sqrt(1024 / 4))
        roots += [np.sqrt((scores[held] ** 2).sum() / 4)] * int(label)
        jumps += (np.diff(scores, axis=0) ** 2 * held[1:] * held[:-1]).sum() / 4
    apart = np.mean([max(0, 40 - abs(long[a] - long[n])) ** 2 for a in (0, 2) for n in (1, 3)])
    within = (long[0] - long[2]) ** 2 + (long[1] - long[3]) ** 2
    wanted = {"bag": np.mean(bag), "contrast": 1e-4 * (within + 1e-3 * apart), "sparsity": 8e-3 * np.mean(roots)}
    assert terms == pytest.approx({**wanted, "smoothness": 8e-4 * jumps}, rel=1e-7)


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


@torch.no_grad()
def test_crops_are_joined_before_the_choice(cell_bags: CellBags) -> None:
    """As the authors' code: means over crops choose three steps; lengths are paired crop by crop, halves by crops."""
    torch.manual_seed(3)
    config = MGFNConfig(margin=40, compat=True, choose="output", top=0.0, joint=True)
    model = MGFN(config, {"cells": 5}).eval()
    torch.nn.init.uniform_(model.last.weight, 0.5, 2)
    views, labels = cell_bags(torch.randn(4, 6 * 10, 5), (6, 1, 10)), torch.tensor([1.0, 0, 1, 0])
    output = model(views)
    bags, long = [], []
    for row in range(4):
        features, scores = model.network(
            views["cells"].features[row].reshape(6, 10, 5).transpose(0, 1), torch.ones(10, 6)
        )
        best = features.norm(dim=-1).mean(0).topk(3).indices
        bags.append(float(scores.mean(0)[best].mean()))
        long.append([float(features[crop, best].abs().sum(-1).mean()) * (1024 / 32) ** 0.5 for crop in range(10)])
    np.testing.assert_allclose(output.extra["bag"], bags, rtol=1e-4)
    terms = model.loss(output, views, labels)
    high, low = ([long[row][crop] for crop in range(10) for row in rows] for rows in ((0, 2), (1, 3)))
    within = sum(np.mean([(kind[k] - kind[k + 10]) ** 2 for k in range(10)]) for kind in (high, low))
    apart = np.mean([max(0, 40 - abs(a - n)) ** 2 for a, n in zip(high, low, strict=True)])
    assert float(terms["contrast"]) == pytest.approx(1e-4 * (within + 1e-3 * apart), rel=1e-3)


@pytest.mark.parametrize("wrong", [{"width": 0}, {"depths": (1, 0, 1)}, {"top": 1.0}, {"amplify": -1.0}])
def test_senseless_settings_are_named(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        MGFNConfig(**wrong)  # type: ignore[arg-type]
