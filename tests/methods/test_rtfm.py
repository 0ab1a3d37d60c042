from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from oracle import Array, Layers, bce, drawn, relu, sigmoid

from wherewhen.core.contracts import Output, View
from wherewhen.core.errors import ConfigError
from wherewhen.methods import rtfm
from wherewhen.methods._sequences import picks
from wherewhen.methods.rtfm import PUBLISHED, RTFM, RTFMConfig, magnitudes

CellBags = Callable[..., dict[str, View]]
CheckCells = Callable[[torch.nn.Module], None]

FIXTURES = {"head_rtfm_2048": 2048, "head_rtfm_1024": 1024}


def official(golden: Any, dims: int) -> RTFM:
    model = RTFM(PUBLISHED, {"cells": dims})
    model.load_state_dict(rtfm.official(golden.tensors))
    return model.eval()


def crops(model: RTFM, x: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Features ``(bags, crops, T, D)`` and scores ``(bags, crops, T)`` of inputs of that shape."""
    rows = torch.from_numpy(x).flatten(0, 1)
    with torch.no_grad():
        features, scores = model.network(rows, torch.ones(rows.shape[:2], dtype=torch.bool))
    return features.reshape(x.shape), scores.reshape(x.shape[:3])


@pytest.mark.parametrize("name", FIXTURES)
@pytest.mark.parametrize("shape", ["train_shape", "test_T200", "test_1crop_T32", "test_T32"])
def test_the_network_is_the_published_one(name: str, shape: str, golden: Callable[[str], Any]) -> None:
    found = golden(name)
    features, scores = crops(official(found, FIXTURES[name]), found.input(*found.spec["input"][shape]))
    mean, lengths = scores.mean(1), features.norm(dim=-1).mean(1)
    found.close(f"{shape}__scores", mean[..., None])
    found.close(f"{shape}__feat_magnitudes", lengths)
    if shape != "train_shape":
        return
    found.close("aggregate_first_video_10_crops", features[0])
    weights = picks(lengths, torch.ones_like(lengths).bool(), torch.full((4,), 3))
    bag = (weights * mean).sum(1, keepdim=True)
    found.close("train_shape__score_normal", bag[:2])
    found.close("train_shape__score_abnormal", bag[2:])


@torch.no_grad()
def test_crops_are_joined_as_in_the_official_code(golden: Callable[[str], Any], cell_bags: CellBags) -> None:
    """Scores and lengths are means over ten crops; three steps are chosen for all crops, whose lengths stay apart."""
    found = golden("head_rtfm_1024")
    x = found.input(*found.spec["input"]["train_shape"])
    model = RTFM(replace(PUBLISHED, joint=True), {"cells": 1024})
    model.load_state_dict(rtfm.official(found.tensors))
    views = cell_bags(x.transpose(0, 2, 1, 3).reshape(4, 320, 1024), (32, 1, 10))
    output = model.eval()(views)
    scores = output.scores.reshape(4, 32, 10)
    assert (scores == scores[..., :1]).all()
    found.close("train_shape__scores", scores[..., :1])
    found.close("train_shape__score_normal", output.extra["bag"][:2, None])
    found.close("train_shape__score_abnormal", output.extra["bag"][2:, None])
    features, _ = crops(model, x)
    best = features.norm(dim=-1).mean(1).topk(3).indices
    long = torch.stack([features[k][:, best[k]].mean(1).norm(dim=-1) for k in range(4)])  # of each bag and crop
    torch.testing.assert_close(output.extra["feature"].norm(dim=-1), long, rtol=1e-4, atol=1e-5)
    terms = model.loss(output, views, torch.tensor([0.0, 0, 1, 1]))
    pairs = [(abs(100 - float(long[2 + k, c])) + float(long[k, c])) ** 2 for k in range(2) for c in range(10)]
    assert float(terms["magnitude"]) == pytest.approx(1e-4 * float(np.mean(pairs)), rel=1e-4)
    each = output.extra["scores"][2:, :, 0]
    assert float(terms["sparsity"]) == pytest.approx(8e-3 * float(each.square().sum().sqrt()), rel=1e-4)


def test_the_loss_is_the_published_one(golden: Callable[[str], Any]) -> None:
    found = golden("losses_pure_functions")
    values, data = found.spec["values"], {k: torch.from_numpy(v) for k, v in found.outputs.items() if "rtfm__in" in k}
    normal, anomalous = (data[f"rtfm__in_feat_{kind}"].mean(1).norm(dim=-1) for kind in ("normal", "abnormal"))
    scores = torch.cat([data["rtfm__in_score_normal"], data["rtfm__in_score_abnormal"]]).squeeze(1)
    joined = data["rtfm__in_abnormal_snippet_scores_joined"].reshape(4, 32, 1)
    grid = torch.cat([torch.rand(4, 32, 1), joined])
    extra = {"scores": grid, "held": torch.ones_like(grid).bool(), "bag": scores, "feature": torch.zeros(8, 128)}
    labels = torch.tensor([0.0] * 4 + [1.0] * 4)
    terms = RTFM(PUBLISHED, {"cells": 128}).loss(Output(grid, extra), {}, labels)
    pairs = 1e-4 * magnitudes(anomalous, normal, 100, matched=True)
    assert float(terms["bag"] + pairs) == pytest.approx(values["rtfm__rtfm_loss"], rel=2e-5)
    assert float(terms["sparsity"]) == pytest.approx(values["rtfm__sparsity_8e-3"], rel=2e-5)
    assert float(terms["smoothness"]) == pytest.approx(values["rtfm__smooth_8e-4"], rel=2e-5)


def test_one_cell_is_the_published_method_and_cells_share_its_weights(check_cells_alone: CheckCells) -> None:
    torch.manual_seed(0)
    check_cells_alone(RTFM(RTFMConfig(), {"cells": 5}).eval())


def in_context(layers: Layers, x: Array) -> tuple[Array, Array]:
    """Features ``(T, D)`` and scores ``(T,)`` of one lane: pyramid of dilations, non-local block, head."""
    parts = [
        layers.batch_norm(f"context.near_norm.{k}", relu(layers.conv(f"context.near.{k}", x, dilation)))
        for k, dilation in enumerate((1, 2, 4))
    ]
    low = relu(layers.conv("context.squeeze", x))
    query, key, value = (layers.conv(f"context.{name}", low) for name in ("query", "key", "value"))
    far = np.array([sum((q @ key[j]) * value[j] for j in range(len(x))) / len(x) for q in query])
    parts.append(low + layers.batch_norm("context.found_norm", layers.conv("context.found", far)))
    joined = layers.batch_norm("context.join_norm", relu(layers.conv("context.join", np.concatenate(parts, 1))))
    rows = features = joined + x
    for number in (0, 1):
        rows = relu(layers.linear(f"head.{number}", rows))
    return features, sigmoid(layers.linear("head.2", rows)[:, 0])


@pytest.mark.equation("rtfm", "f", "s", "K", "S", "F", "L")
@torch.no_grad()
def test_network_and_loss_are_the_papers_in_numpy(cell_bags: CellBags) -> None:
    """Tian et al., section 3.2 and equations 3 to 7, on a grid: a lane that holds nothing, and an empty cell."""
    config, rng = RTFMConfig(top=0.2, margin=70.0, width=4), np.random.default_rng(1)
    model = drawn(RTFM(config, {"cells": 5}), size=0.3)
    for name, buffer in model.named_buffers():
        buffer.copy_(torch.from_numpy(rng.uniform(0.5, 2, len(buffer)) - ("mean" in name)))
    rows = rng.normal(size=(5, 6, 4, 5))
    rows[:, :, 3] = rows[2, 1, 0] = 0
    views, labels = cell_bags(rows.reshape(5, 24, 5), (6, 2, 2)), [1.0, 0.0, 1.0, 0.0, 0.0]
    output = model(views)
    terms = {name: float(value) for name, value in model.loss(output, views, torch.tensor(labels).double()).items()}
    layers, length, bag, roots, jumps = Layers(model), [], [], [], 0.0
    for number, label in enumerate(labels):
        features, scores = np.zeros((6, 4, 5)), np.zeros((6, 4))
        for cell in range(3):
            features[:, cell], scores[:, cell] = in_context(layers, rows[number, :, cell])
        held = rows[number].any(-1)
        np.testing.assert_allclose(output.scores[number].reshape(6, 4), scores * held, rtol=1e-7)
        order = np.argsort(-np.linalg.norm(features[held], axis=1))[: max(3, int(0.2 * held.sum()))]
        length.append(np.linalg.norm(features[held][order].mean(0)) * np.sqrt(2048 / 5))
        bag.append(bce(scores[held][order].mean(), label))
        if label:
            roots.append(np.sqrt((scores[held] ** 2).sum() / 3))
            jumps += (np.diff(scores, axis=0) ** 2 * held[1:] * held[:-1]).sum() / 3
    pairs = [(abs(70 - length[a]) + length[n]) ** 2 for a in (0, 2) for n in (1, 3, 4)]
    wanted = {"bag": np.mean(bag), "magnitude": 1e-5 * np.mean(pairs), "sparsity": 8e-3 * np.mean(roots)}
    assert terms == pytest.approx({**wanted, "smoothness": 8e-4 * jumps}, rel=1e-7)


@pytest.mark.equation("rtfm", "F", "L")
@torch.no_grad()
def test_the_loss_as_published_in_numpy(cell_bags: CellBags) -> None:
    """As the authors' code counts it on whole pictures: bags by their order, one root, changes across their ends."""
    config, rng = RTFMConfig(top=0.0, margin=70.0, width=4, magnitude=1e-4, compat=True), np.random.default_rng(2)
    model, rows, labels = drawn(RTFM(config, {"cells": 5}), size=0.3), rng.normal(size=(5, 6, 5)), [0, 1, 1, 0, 0]
    views = cell_bags(rows)
    terms = model.loss(model(views), views, torch.tensor(labels).double())
    lanes = [in_context(Layers(model), row) for row in rows]
    best = [np.argsort(-np.linalg.norm(features, axis=1))[:3] for features, _ in lanes]
    length = [np.linalg.norm(lane[0][k].mean(0)) for lane, k in zip(lanes, best, strict=True)]
    joined = np.concatenate([lanes[1][1], lanes[2][1]])
    wanted = {
        "bag": np.mean([bce(lane[1][k].mean(), y) for lane, k, y in zip(lanes, best, labels, strict=True)]),
        "magnitude": 1e-4 * np.mean([(abs(70 - length[a]) + length[n]) ** 2 for a, n in ((1, 0), (2, 3))]),
        "sparsity": 8e-3 * np.sqrt((joined**2).sum()),
        "smoothness": 8e-4 * (np.diff(joined) ** 2).sum(),
    }
    assert {name: float(value) for name, value in terms.items()} == pytest.approx(wanted, rel=1e-7)


@pytest.mark.parametrize("wrong", [{"width": 0}, {"top": 1.0}, {"dropout": -0.1}, {"margin": float("nan")}])
def test_senseless_settings_are_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        RTFMConfig(**wrong)


def test_lanes_of_equal_length_together_give_what_padded_ones_do(
    cell_bags: CellBags, monkeypatch: pytest.MonkeyPatch
) -> None:
    bags = cell_bags(torch.randn(4, 36, 5), (9, 2, 2))
    lengths = torch.tensor([2, 9, 5, 2])
    mask = torch.arange(36) < 4 * lengths[:, None]
    shapes = tuple((steps, 2, 2) for steps in lengths.tolist())
    whole = bags["cells"]
    bags = {"cells": View(whole.features * mask[..., None], whole.extents, whole.track, mask, shapes)}
    labels, results = torch.tensor([1.0, 0.0, 1.0, 0.0]), []
    for parts in (3, 1):
        torch.manual_seed(0)
        method, calls = RTFM(RTFMConfig(), {"cells": 5}).train(), []
        network = method.network
        monkeypatch.setattr(method, "network", lambda *rows, run=network, calls=calls: calls.append(1) or run(*rows))
        if parts == 1:
            monkeypatch.setattr(method, "_by_length", method.network)
        output = method(bags)
        assert len(calls) == parts
        loss = torch.stack(list(method.loss(output, bags, labels).values())).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        results.append([output.scores, loss, *(parameter.grad for parameter in method.parameters())])
    for grouped, padded in zip(*results, strict=True):
        torch.testing.assert_close(grouped, padded, rtol=1e-4, atol=1e-6)
