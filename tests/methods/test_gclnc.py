from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from oracle import Array, Layers, drawn, relu, sigmoid

from wherewhen.core.contracts import StagedMethod, View
from wherewhen.core.errors import ConfigError
from wherewhen.methods import gclnc
from wherewhen.methods._grid import lanes
from wherewhen.methods.gclnc import GCLNC, PUBLISHED, Cleaner, GCLNCConfig, balanced, certain, similarity, stretched

DIMS = {"head_gcn_zhong_1024": 1024, "head_gcn_zhong_4096": 4096}


def view(bags: int = 4, shape: tuple[int, int, int] = (5, 2, 3), dims: int = 6) -> dict[str, View]:
    n = int(np.prod(shape))
    features = torch.randn(bags, n, dims, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(bags, n, dtype=torch.bool)
    return {"cells": View(features, torch.zeros(bags, n, 6), -torch.ones(bags, n), mask, (shape,) * bags)}


def model(config: GCLNCConfig | None = None, dims: int = 6) -> GCLNC:
    torch.manual_seed(0)
    return GCLNC(config or GCLNCConfig(), {"cells": dims})


def near(steps: int) -> torch.Tensor:
    step = torch.arange(steps)
    return torch.exp(-(step[:, None] - step).abs().double())


@pytest.mark.parametrize("name", DIMS)
def test_the_cleaner_is_the_published_one(name: str, golden: Callable[[str], Any]) -> None:
    found = golden(name)
    cleaner = Cleaner(DIMS[name], 512, 128, 32)
    cleaner.load_state_dict(found.tensors)
    with torch.no_grad():
        for steps in (32, 200):
            x, held = torch.from_numpy(found.input(4, steps, DIMS[name])), torch.ones(4, steps, dtype=torch.bool)
            said = cleaner(x, held, near(steps).float())
            if f"T{steps}__output" in found.spec["outputs"]:
                found.close(f"T{steps}__output", said[..., None])
            if steps == 32:
                found.close("T32__adjacency", balanced(near(32)).float())
                nodes = F.relu(cleaner.fc2(F.relu(cleaner.fc1(x))))
                found.close("T32__feature_graph_video0_before_normalisation", similarity(nodes, held)[0])
                wanted = torch.from_numpy(np.random.default_rng(12).random((4, 32)).astype(np.float32))
                found.close("loss_sigmoid_cross_entropy", gclnc._entropy(said, wanted).mean())
                found.close("loss_sigmoid_mae", (torch.sigmoid(said) - wanted).abs().mean())


def test_a_published_cleaner_loads_into_the_method(golden: Callable[[str], Any]) -> None:
    made = model(PUBLISHED, 1024)
    made.cleaner.load_state_dict(golden("head_gcn_zhong_1024").tensors)
    assert made.stages == 5


def test_nodes_that_hold_nothing_are_no_neighbors() -> None:
    cleaner = Cleaner(6, 16, 8, 4)
    x, held = torch.randn(1, 6, 6), torch.tensor([[True, True, True, True, False, False]])
    with torch.no_grad():
        whole = cleaner(x, held, near(6).float())[0, :4]
        alone = cleaner(x[:, :4], held[:, :4], near(4).float())[0]
    torch.testing.assert_close(whole, alone)


@pytest.mark.parametrize("graph", ["lane", "video"])
def test_a_graph_joins_what_it_says(graph: str) -> None:
    made = model(GCLNCConfig(graph=graph)).train()  # type: ignore[arg-type]
    bags = view(1)
    seen = lanes(bags["cells"])
    with torch.no_grad():
        before = made._clean(seen)
        seen.features[0, 2, 0] += 5
        changed = (made._clean(seen) - before).abs()[0] > 0
    assert changed[:, 0].any()
    assert bool(changed[:, 1:].any()) == (graph == "video")


def test_tubes_are_joined_by_how_near_they_are_in_time() -> None:
    """Off a grid the cleaner's graph is that of all tubes of a bag, and a bag alone is as in a batch."""
    made = model().train()
    made.study(1, iter(()))
    bags = view(3)["cells"]
    spans = torch.rand(3, bags.mask.shape[1], 1) * 9
    bags.extents[..., :2] = torch.cat([spans, spans + 1], -1)
    bags.track[:] = torch.arange(bags.mask.shape[1])
    bags.shapes = (None,) * 3
    seen, times = lanes(bags), bags.extents[..., :2].mean(-1)
    with torch.no_grad():
        found = made._clean(seen, times=times)
        for number in range(3):
            held = seen.held[number, 0]
            near = torch.exp(-(times[number][held][:, None] - times[number][held]).abs())
            alone = made.cleaner(seen.features[number, 0][held][None], held[held][None], near)
            torch.testing.assert_close(found[number, 0][held], alone[0], rtol=1e-4, atol=1e-5)
    assert torch.isfinite(made({"cells": bags}).extra["cleaned"]).all()


def test_the_two_take_turns() -> None:
    made, bags, labels = model().train(), view(), torch.tensor([1.0, 0.0, 1.0, 0.0])
    assert isinstance(made, StagedMethod)
    for stage in range(made.stages):
        made.study(stage, iter(()))
        made.zero_grad(set_to_none=True)
        torch.stack(list(made.loss(made(bags), bags, labels).values())).sum().backward()  # type: ignore[no-untyped-call]
        moved = {name.split(".")[0] for name, p in made.named_parameters() if p.grad is not None and p.grad.any()}
        assert moved == ({"cleaner"} if stage % 2 else {"enter", "leave"})


def test_the_classifier_learns_cleaned_labels_after_its_first_turn() -> None:
    made, bags, labels = model(GCLNCConfig(dropout=0.0)).train(), view(), torch.tensor([1.0, 0.0, 1.0, 0.0])
    made.requires_grad_(False).study(2, iter(()))
    output = made(bags)
    target = labels[:, None, None] * stretched(torch.sigmoid(output.extra["cleaned"]), output.extra["held"])
    wanted = F.binary_cross_entropy_with_logits(output.extra["classified"], target)
    assert float(made.loss(output, bags, labels)["classifier"]) == pytest.approx(float(wanted), rel=1e-5)
    made.study(0, iter(()))
    output = made(bags)
    wanted = F.binary_cross_entropy_with_logits(
        output.extra["classified"], labels[:, None, None].expand_as(output.extra["classified"])
    )
    assert float(made.loss(output, bags, labels)["classifier"]) == pytest.approx(float(wanted), rel=1e-5)


def test_certain_takes_both_ends() -> None:
    scores = torch.tensor([[[0.1, 0.9, 0.5, 0.4, 0.0, 0.6]]])
    held = torch.tensor([[[True, True, True, True, False, True]]])
    assert certain(scores, held, 0.4).tolist() == [[[True, True, False, False, False, False]]]
    assert certain(scores, held, 1.0).tolist() == held.tolist()


def test_stretched_looks_at_held_scores_only() -> None:
    scores = torch.tensor([[[0.2, 0.4, 0.6, 0.0]]])
    held = torch.tensor([[[True, True, True, False]]])
    np.testing.assert_allclose(stretched(scores, held)[0, 0], [0, 0.5, 1, 0], atol=1e-6)


@pytest.mark.parametrize("wrong", [{"certain": 0.0}, {"dropout": 1.0}, {"momentum": 1.0}, {"width": 0}])
def test_senseless_settings_are_named(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        GCLNCConfig(**wrong)  # type: ignore[arg-type]


# --- cleaner and losses in numpy, from Zhong et al., CVPR 2019, and its official code


def cleaned(weights: Layers, x: Array, places: Array) -> Array:
    """The cleaner's logits ``(N,)`` of nodes ``(N, D)``, the graphs of which are written out pair by pair."""
    nodes = relu(weights.linear("fc2", relu(weights.linear("fc1", x))))
    pairs = range(len(x))
    near = np.array([[np.exp(-np.abs(places[i] - places[j]).sum()) for j in pairs] for i in pairs])
    alike = np.array(
        [[np.exp(nodes[i] @ nodes[j] - max(nodes[i] @ nodes[k] for k in pairs)) for j in pairs] for i in pairs]
    )
    sides = []
    for graph, first, second in ((near, "gc1", "gc2"), (alike, "gc3", "gc4")):
        root = np.diag(graph.sum(1) ** -0.5)
        graph = root @ graph @ root
        sides.append(graph @ relu(graph @ nodes @ weights[f"{first}.weight"]) @ weights[f"{second}.weight"])
    return np.mean(sides, 0)[:, 0]


@pytest.mark.equation(
    "gclnc", "A1_ij", "A2_ij", "layer", "cleaner", "certain", "loss of the cleaner", "loss of the classifier"
)
@pytest.mark.parametrize("graph", ["lane", "video"])
@pytest.mark.parametrize("stage", [0, 1, 2])
def test_stages_are_those_of_the_paper_in_numpy(stage: int, graph: str) -> None:
    """Both graphs, the certain cells, and what each network learns; labels of cells are from 0 to 1."""
    shape, labels = (5, 1, 2), [1.0, 0.0, 1.0]
    config = GCLNCConfig(width=4, middle=3, graph_width=2, hidden=3, dropout=0.0, certain=0.4, steady=0.5, graph=graph)  # type: ignore[arg-type]
    made = drawn(model(config)).train()
    bags = view(3, shape)
    bags["cells"].features = bags["cells"].features.double()
    bags["cells"].features[0, [3, 4]] = 0
    made.study(stage, iter(()))
    before = Layers(made.cleaner)
    drawn(made.cleaner, seed=1)  # it moves on, and the past follows by a tenth
    layers, cleaner = Layers(made.train()), Layers(made.cleaner)
    with torch.no_grad():
        terms = made.loss(made(bags), bags, torch.tensor(labels))
    past = Layers(made.cleaner)
    past.numbers = {name: 0.9 * before[name] + 0.1 * cleaner[name] for name in before.numbers}
    wanted: dict[str, list[float]] = {"classifier": [], "cleaner": [], "steady": []}
    for bag, label in enumerate(labels):
        rows = bags["cells"].features[bag].numpy()
        held = np.flatnonzero(rows.any(1))
        own = sigmoid(layers.linear("leave", relu(layers.linear("enter", rows)))[:, 0])
        said, earlier = np.zeros(10), np.zeros(10)
        for nodes in [held[held % 2 == 0], held[held % 2 == 1]] if graph == "lane" else [held]:
            places = np.stack([nodes // 2, nodes % 2], 1)
            said[nodes] = sigmoid(cleaned(cleaner, rows[nodes], places))
            earlier[nodes] = sigmoid(cleaned(past, rows[nodes], places))

        def stretched(scores: Array, held: Array = held, label: float = label) -> Array:
            return label * (scores - scores[held].min()) / (scores[held].max() - scores[held].min())

        def entropy(scores: Array, targets: Array, cells: Array) -> float:
            share, target = scores[cells], targets[cells]
            return float(-(target * np.log(share) + (1 - target) * np.log(1 - share)).mean())

        order, count = held[np.argsort(own[held])], int(np.ceil(0.2 * len(held)))
        certain = np.r_[order[:count], order[-count:]] if label else held
        wanted["cleaner"].append(entropy(said, stretched(own), certain))
        wanted["classifier"].append(entropy(own, stretched(said) if stage else np.full(10, label), held))
        if label:
            wanted["steady"].append(0.5 * np.abs(said - earlier)[held].mean())
    for name, values in wanted.items():
        learns = (name != "classifier") == (stage == 1)
        assert float(terms[name]) == pytest.approx(np.mean(values) if learns else 0, rel=1e-6)
