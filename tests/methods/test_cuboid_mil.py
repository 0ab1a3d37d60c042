from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import Layers, drawn, relu, sigmoid

from wherewhen import cli
from wherewhen.core.contracts import Output, View
from wherewhen.core.errors import ConfigError
from wherewhen.core.values import Grid, Instances
from wherewhen.inference import score_maps
from wherewhen.inference.model import Model
from wherewhen.instances.cells import Cells
from wherewhen.methods.cuboid_mil import SYSTEM_A, CuboidMIL, CuboidMILConfig, ranking, top_mean
from wherewhen.video.writer import Writer

GOLDEN = Path(os.environ.get("WHEREWHEN_SHARED", Path(__file__).parents[2] / "../shared")) / "golden"

Shape = tuple[int, int, int] | None


def view(features: torch.Tensor, shapes: tuple[Shape, ...], lengths: list[int] | None = None) -> dict[str, View]:
    b, n = features.shape[:2]
    mask = torch.arange(n) < torch.tensor(lengths or [n] * b)[:, None]
    return {"cells": View(features, torch.zeros(b, n, 6), -torch.ones(b, n), mask, shapes)}


def model(config: CuboidMILConfig, size: int = 3) -> CuboidMIL:
    torch.manual_seed(0)
    return CuboidMIL(config, {"cells": size})


def judged(config: CuboidMILConfig, scores: torch.Tensor, labels: list[float], shape: Shape) -> dict[str, float]:
    bags = view(torch.zeros(*scores.shape, 3), (shape,) * len(scores))
    terms = model(config).loss(Output(scores), bags, torch.tensor(labels))
    return {name: float(value) for name, value in terms.items()}


unit = st.floats(0, 1, width=32)


@given(st.lists(unit, min_size=1, max_size=6), st.lists(unit, min_size=1, max_size=6), st.floats(0, 2))
def test_ranking_equals_its_sum_over_pairs(anomalous: list[float], normal: list[float], margin: float) -> None:
    a, n = torch.tensor(anomalous), torch.tensor(normal)
    pairs = [max(0.0, margin - x + y) for x in anomalous for y in normal]
    assert float(ranking(a, n, margin)) == pytest.approx(np.mean(pairs), abs=1e-5)
    matched = [max(0.0, margin - x + y) for x, y in zip(anomalous, normal, strict=False)]
    assert float(ranking(a, n, margin, "matched")) == pytest.approx(np.mean(matched), abs=1e-5)


@pytest.mark.parametrize("pairs", ["all", "matched"])
def test_one_label_alone_is_ranked_against_what_the_other_ought_to_score(pairs: str) -> None:
    some, none = torch.tensor([0.2, 0.6]), torch.empty(0)
    assert float(ranking(none, some, 1, pairs)) == pytest.approx(0.4)
    assert float(ranking(some, none, 1, pairs)) == pytest.approx(0.6)


@given(st.lists(unit, min_size=1, max_size=30), st.floats(0, 0.99))
def test_top_mean(values: list[float], share: float) -> None:
    best = sorted(values, reverse=True)[: max(1, round(share * len(values)))]
    assert float(top_mean(torch.tensor([values]), share)) == pytest.approx(np.mean(best), abs=1e-6)


@pytest.mark.equation("cuboid_mil", "S", "L")
@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.sampled_from(["video", "clip"]), st.sampled_from([0.0, 0.3]))
def test_loss_equals_a_plain_reading(seed: int, bag: str, top: float) -> None:
    rng = np.random.default_rng(seed)
    shape, labels = (3, 2, 2), [1.0, 0.0, 1.0, 0.0, 0.0]
    scores = rng.random((5, 12)).astype(np.float32)
    smooth = 0.2 if bag == "video" else 0.0
    config = CuboidMILConfig(bag=bag, top=top, sparsity=0.3, smoothness=smooth)  # type: ignore[arg-type]

    def bags(row: np.ndarray) -> list[float]:
        parts = [row] if bag == "video" else list(row.reshape(3, 4))
        return [np.sort(p)[::-1][: max(1, round(top * len(p)))].mean() for p in parts]

    a = [s for row, label in zip(scores, labels, strict=True) if label for s in bags(row)]
    n = [s for row, label in zip(scores, labels, strict=True) if not label for s in bags(row)]
    expected = {
        "ranking": np.mean([max(0, 1 - x + y) for x in a for y in n]),
        "sparsity": 0.3 * np.mean([scores[0].sum(), scores[2].sum()]),
    }
    if smooth:
        changes = [(np.diff(scores[k].reshape(3, 4), axis=0) ** 2).sum() for k in (0, 2)]
        expected["smoothness"] = smooth * np.mean(changes)
    assert judged(config, torch.from_numpy(scores), labels, shape) == pytest.approx(expected, abs=1e-5)


@pytest.mark.equation("cuboid_mil", "s_i")
@pytest.mark.parametrize("settings", [{}, {"middle": 2, "prior": None}])
def test_a_score_is_that_of_the_head_in_numpy(settings: dict[str, Any]) -> None:
    """Sultani's layers, ReLU after the first; with ``prior`` the norm of the features is added to the logit."""
    method = drawn(model(CuboidMILConfig(hidden=4, **settings)))
    layers, rows = Layers(method), np.random.default_rng(0).normal(size=(2, 6, 3))
    x = relu(layers.linear("head.0", rows))
    for number in [3, 5] if method.config.middle else [3]:
        x = layers.linear(f"head.{number}", x)
    logits = x[..., 0]
    if method.config.prior:
        logits += layers["steep"] * (np.sqrt((rows**2).mean(-1)) / 2.0 - 1)
    with torch.no_grad():
        scores = method(view(torch.from_numpy(rows), ((1, 2, 3),) * 2)).scores
    np.testing.assert_allclose(scores, sigmoid(logits), rtol=1e-6)


def test_training_bags_are_averaged_into_segments() -> None:
    features = torch.randn(1, 7 * 2, 3)
    method = model(CuboidMILConfig(segments=3, prior=None)).train()
    output = method(view(features, ((7, 1, 2),)))
    groups = [[0, 1, 2], [3, 4], [5, 6]]
    means = torch.stack([features.reshape(7, 2, 3)[g].mean(0) for g in groups]).reshape(1, 6, 3)
    expected = torch.sigmoid(method.head(means)).squeeze(-1)
    torch.testing.assert_close(output.extra["pooled"], expected)
    owner = [k for k, group in enumerate(groups) for _ in group]
    torch.testing.assert_close(output.scores.reshape(7, 2), expected.reshape(3, 2)[owner])
    assert "pooled" not in method.eval()(view(features, ((7, 1, 2),))).extra


def test_segments_of_padded_bags_of_other_grids_are_their_own() -> None:
    method = model(CuboidMILConfig(segments=2)).train()
    features = torch.randn(2, 24, 3)
    both = view(features, ((4, 2, 3), (5, 1, 2)), [24, 10])
    alone = view(features[1:, :10], ((5, 1, 2),))
    torch.testing.assert_close(method(both).scores[1, :10], method(alone).scores[0])
    terms = method.loss(method(both), both, torch.tensor([1.0, 0.0]))
    first = method(both).extra["pooled"]
    expected = 1 - top_mean(first[:1, :12], 0.01) + top_mean(first[1:, :4], 0.01)
    torch.testing.assert_close(terms["ranking"], expected.clamp(min=0)[0])


def test_empty_instances_score_0() -> None:
    features = torch.randn(2, 6, 3)
    features[0, [1, 4]] = 0
    scores = model(CuboidMILConfig())(view(features, ((1, 2, 3), (1, 2, 3)))).scores
    assert (scores[0, [1, 4]] == 0).all()
    assert (scores.flatten() > 0).sum() == 10


def test_bags_without_anything_still_train() -> None:
    method = model(CuboidMILConfig()).train()
    bags = view(torch.zeros(2, 6, 3), ((1, 2, 3), (1, 2, 3)))
    loss = method.loss(method(bags), bags, torch.tensor([1.0, 0.0]))["ranking"]
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == 1


def test_training_starts_from_what_is_unusual() -> None:
    features = torch.randn(1, 500, 8) * torch.linspace(0.2, 4, 500)[None, :, None]
    scores = model(CuboidMILConfig(prior=2.0), 8).eval()(view(features, ((500, 1, 1),))).scores[0]
    lengths = features[0].square().mean(1).sqrt()
    assert np.corrcoef(scores.detach().argsort().argsort(), lengths.argsort().argsort())[0, 1] > 0.95
    assert scores[(lengths - 2).abs() < 0.1].mean().item() == pytest.approx(0.5, abs=0.15)


@pytest.mark.parametrize("labels", [[1.0, 1.0], [0.0, 0.0], [1.0, 0.0]])
def test_every_batch_moves_every_parameter(labels: list[float]) -> None:
    method = model(CuboidMILConfig(middle=4)).train()
    bags = view(torch.randn(2, 6, 3), ((1, 2, 3), (1, 2, 3)))
    method.loss(method(bags), bags, torch.tensor(labels))["ranking"].backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in method.parameters())


@pytest.mark.parametrize(
    "wrong", [{"hidden": 0}, {"middle": 0}, {"dropout": 1.0}, {"top": -0.1}, {"segments": 0}, {"prior": 0.0},
              {"margin": -1.0}, {"sparsity": float("nan")}]
)  # fmt: skip
def test_senseless_settings_are_named(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        CuboidMILConfig(**wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="smoothness compares the clips of a video"):
        CuboidMILConfig(bag="clip", smoothness=8e-5)


def official() -> CuboidMIL:
    """The published head with the weights of the reference: its layers by their official names."""
    spec = json.loads((GOLDEN / "head_sultani_mlp_4096" / "spec.json").read_text())
    method = CuboidMIL(SYSTEM_A, {"cells": 4096}).eval()
    ours = {"fc1": "head.0", "fc2": "head.3", "fc3": "head.5"}
    state = {}
    for index, (name, shape, _, rule) in enumerate(spec["parameters"]):
        draw = np.random.default_rng([20261120, index]).standard_normal(shape) * {"w": 0.05, "b": 0.01}[rule]
        layer, part = name.split(".")
        state[f"{ours[layer]}.{part}"] = torch.from_numpy(draw.astype(np.float32))
    method.load_state_dict(state)
    return method


golden = pytest.mark.skipif(not GOLDEN.exists(), reason=f"no reference numbers at {GOLDEN}; set WHEREWHEN_SHARED")


@golden
def test_the_published_head_gives_the_official_scores() -> None:
    want = np.load(GOLDEN / "head_sultani_mlp_4096" / "out.npz")
    method = official()
    for steps, name in ((32, "scores"), (200, "scores_T200"), (32, "scores_l2normalised")):
        rows = (np.random.default_rng(7).standard_normal((4, steps, 4096)) * 0.5).astype(np.float32)
        if name == "scores_l2normalised":
            rows = (rows / np.linalg.norm(rows.astype(np.float64), axis=-1, keepdims=True)).astype(np.float32)
        with torch.no_grad():
            found = method(view(torch.from_numpy(rows), ((steps, 1, 1),) * 4)).scores
        np.testing.assert_allclose(found.numpy(), want[name][..., 0], rtol=2e-5)


@golden
def test_the_published_objective() -> None:
    want = np.load(GOLDEN / "head_sultani_mlp_4096" / "out.npz")
    config = CuboidMILConfig(top=0, pairs="matched", sparsity=8e-5, smoothness=8e-5)
    terms = judged(config, torch.from_numpy(want["scores"][..., 0]), [0, 0, 1, 1], (32, 1, 1))
    swapped = judged(config, torch.from_numpy(want["scores"][..., 0]), [1, 1, 0, 0], (32, 1, 1))
    assert float(want["objective_on_scores"]) == pytest.approx(sum(terms.values()), rel=2e-5)
    assert sum(swapped.values()) != pytest.approx(sum(terms.values()), rel=1e-3)


@golden
@pytest.mark.parametrize("count", [4, 60])
def test_losses_of_the_torch_port(count: int) -> None:
    arrays = np.load(GOLDEN / "losses_pure_functions" / "out.npz")
    group = f"sultani_torch_{count}__"
    config = CuboidMILConfig(top=0, pairs="matched", sparsity=8e-5, smoothness=8e-5)
    scores = torch.from_numpy(arrays[group + "in_scores"][..., 0])
    terms = judged(config, scores, arrays[group + "in_labels"].tolist(), (32, 1, 1))
    assert sum(terms.values()) == pytest.approx(float(arrays[group + "loss"]), rel=2e-5)


@golden
def test_losses_of_the_original_sum_over_anomalous_bags() -> None:
    arrays = np.load(GOLDEN / "losses_pure_functions" / "out.npz")
    config = CuboidMILConfig(top=0, pairs="all", sparsity=8e-5, smoothness=8e-5)
    scores = torch.from_numpy(arrays["sultani_theano_60__in_scores_abnormal_first"].astype(np.float32))
    terms = judged(config, scores, [1.0] * 30 + [0.0] * 30, (32, 1, 1))
    assert 30 * sum(terms.values()) == pytest.approx(float(arrays["sultani_theano_60__loss"]), rel=2e-5)


@pytest.mark.parametrize("bag", ["video", "clip"])
@pytest.mark.parametrize("pairs", ["all", "matched"])
@pytest.mark.parametrize("labels", [[1, 0, 1, 0, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0]])
def test_loss_of_padded_bags_of_other_grids_equals_bag_by_bag(bag: str, pairs: str, labels: list[int]) -> None:
    shapes: tuple[Shape, ...] = ((3, 2, 2), (5, 1, 2), None, (1, 3, 3), (4, 2, 1))
    smooth = 0.2 if bag == "video" else 0.0
    options: Any = {"bag": bag, "pairs": pairs, "top": 0.3, "sparsity": 0.3, "smoothness": smooth}
    counts, config = [12, 10, 7, 9, 8], CuboidMILConfig(**options)
    bags = view(torch.randn(5, 13, 3), shapes, counts)
    scores = (torch.rand(5, 13) * bags["cells"].mask).requires_grad_()
    rows = [s[:n].reshape(shape[0] if shape else 1, -1) for s, n, shape in zip(scores, counts, shapes, strict=True)]
    tops = [top_mean(row.reshape(1, -1) if bag == "video" else row, 0.3) for row in rows]
    a, n = (
        torch.cat([torch.empty(0), *(t for t, mark in zip(tops, labels, strict=True) if mark == m)]) for m in (1, 0)
    )
    suspects = [row for row, label in zip(rows, labels, strict=True) if label]
    nothing = torch.zeros(())
    expected = {
        "ranking": ranking(a, n, 1.0, pairs),
        "sparsity": 0.3 * torch.stack([row.sum() for row in suspects] or [nothing]).mean(),
    }
    if smooth:
        changes = [row.diff(dim=0).square().sum() for row in suspects] or [nothing]
        expected["smoothness"] = smooth * torch.stack(changes).mean()
    found = model(config).loss(Output(scores), bags, torch.tensor(labels).float())
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-6, atol=1e-6)
    its, mine = (torch.autograd.grad(sum(each.values()), scores)[0] for each in (expected, found))
    torch.testing.assert_close(mine, its, rtol=1e-5, atol=1e-6)


# --- system A, as its page tells it

PAGE = Path(__file__).parents[2] / "docs" / "methods" / "cuboid_mil.md"


def published_words() -> list[str]:
    """The settings of the page's command."""
    told = PAGE.read_text(encoding="utf-8").split("wherewhen train clips ", 1)[1].split("\n\n", 1)[0]
    return shlex.split(told.replace("\\\n", " "))


def filmed(path: Path, place: int, frames: int) -> Path:
    """A gray wall along which a bright square goes, ten pictures a second."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with Writer(path, 10) as writer:
        for index in range(frames):
            picture = np.full((48, 64, 3), 90, np.uint8)
            picture[place : place + 12, 2 * index : 2 * index + 12] = 230
            writer.write(picture)
    return path


def test_system_a_trains_and_detects_end_to_end(tmp_path: Path) -> None:
    for place, label in ((4, "normal"), (30, "anomalous")):
        filmed(tmp_path / "clips" / label / "one.mp4", place, 16)
    here = ["--i3d.weights", "random", "--engine", "torch", "--precision", "fp32", "--training.steps", "3"]
    words = ["train", tmp_path / "clips", "--output", tmp_path / "run", "--device", "cpu", "--quiet"]
    assert cli.main([*map(str, words), *published_words(), *here]) == 0

    found = Model.load(tmp_path / "run", device="cpu")
    config = found.config
    assert config.settings["cuboid_mil"] == SYSTEM_A
    assert (config.backbone, config.settings["i3d"].layer, config.settings["i3d"].frames) == ("i3d", "mixed_4e", 16)
    assert found.dims == {"cells": 528}
    assert (config.training.optimizer, config.training.learning_rate, config.training.weight_decay) == (
        "adagrad", 0.01, 0.002,
    )  # fmt: skip

    video = filmed(tmp_path / "new.mp4", 30, 20)  # more than a clip: the second one reaches back
    clips: list[Instances] = []

    class Watched(Cells):
        def __call__(self, grids: Iterable[Grid]) -> Iterator[Instances]:
            for rows in super().__call__(grids):
                clips.append(rows)
                yield rows

    found.builders = {"cells": Watched(config.settings["cells"])}
    heat = found.detect(video).prediction.heat
    assert [rows.shape for rows in clips] == [(1, 7, 7)] * 2
    for rows in clips:
        assert rows.features.shape == (49, 528)
        np.testing.assert_allclose(np.linalg.norm(rows.features, axis=1), 1, rtol=1e-5)
        sides = rows.extents[:, 4:] - rows.extents[:, 2:4]
        np.testing.assert_allclose(sides, 1 / 7, rtol=1e-6)

    assert heat is not None and heat.values.ndim == 3
    answered = found.answered(("cells", found.normalizers["cells"](rows)) for rows in clips)
    raw = np.concatenate([part.values for part in score_maps.heat((one, values[:, 0]) for one, values in answered)])
    assert raw.shape == (2, 7, 7) and np.isfinite(raw).all()
    scores = np.stack([found.scores(found.normalized({"cells": rows})).reshape(7, 7) for rows in clips])
    np.testing.assert_allclose(raw, scores, rtol=1e-5, atol=1e-6)
    assert ((heat.values >= 0) & (heat.values <= 1)).all()


@pytest.mark.parametrize("prior", [2.0, None])
def test_few_held_instances_are_selected_first_with_the_same_result(
    prior: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(3, 24, 3, generator=generator)
    features[torch.rand(3, 24, generator=generator) < 0.7] = 0
    bags = view(features, ((12, 1, 2), (4, 2, 2), (5, 1, 2)), [24, 16, 10])
    results = []
    for is_sparse in (True, False):
        method = model(CuboidMILConfig(prior=prior)).train()
        assert method._sparse(bags["cells"].mask & bags["cells"].features.any(-1))
        if not is_sparse:
            monkeypatch.setattr(CuboidMIL, "_sparse", lambda *_: False)
        output = method(bags)
        loss = torch.stack(list(method.loss(output, bags, torch.tensor([1.0, 0.0, 1.0])).values())).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        results.append([output.scores, *(parameter.grad for parameter in method.parameters())])
    for sparse, dense in zip(*results, strict=True):
        torch.testing.assert_close(sparse, dense, rtol=1e-5, atol=1e-7)


def test_dropout_of_whole_bags_has_all_instances() -> None:
    bags = view(torch.zeros(2, 6, 3), ((1, 2, 3), (1, 2, 3)))
    held = bags["cells"].features.any(-1)
    assert model(CuboidMILConfig()).train()._sparse(held)
    assert not model(CuboidMILConfig(dropout=0.5)).train()._sparse(held)
    assert not model(CuboidMILConfig()).eval()._sparse(held)
