from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from oracle import Array, Layers, bce, best_mean, drawn, gelu, relu, sigmoid, softmax, unit
from torch import Tensor

from wherewhen.core.contracts import View
from wherewhen.core.errors import ConfigError
from wherewhen.methods import urdmu
from wherewhen.methods.urdmu import PUBLISHED, URDMU, URDMUConfig

CellBags = Callable[..., dict[str, View]]

EXACT = URDMUConfig(width=512, segments=200, top=16, dropout=0.0, compat=True)


@pytest.fixture
def official(golden: Callable[[str], Any]) -> tuple[Any, URDMU]:
    said = golden("head_urdmu_1024")
    model = URDMU(EXACT, {"cells": 1024})
    model.load_state_dict(urdmu.official(said.tensors), strict=True)
    return said, model.eval()


@pytest.mark.parametrize("steps", [200, 32])
def test_scores_are_those_of_the_official_code(official: tuple[Any, URDMU], steps: int, cell_bags: CellBags) -> None:
    said, model = official
    view = cell_bags(said.input(4, steps, 1024))["cells"]
    with torch.no_grad():
        output = model({"cells": view})
        values = model.embed(view.features.transpose(1, 2)).relu().transpose(1, 2)
        if steps == 200:
            said.close("test_T200__embedding", values)
        for block in model.blocks:
            values = block(values, view.mask)
    said.close(f"test_T{steps}__frame", output.scores)
    if steps == 200:
        said.close("test_T200__selfatt", values)
        said.close("test_T200__Amemory_att", output.extra["suspect"])
        said.close("test_T200__Nmemory_att", output.extra["usual"])
        said.close("test_T200__Amemory_aug", urdmu.read(model.anomalous, values)[1])


def test_ten_crops_are_averaged(official: tuple[Any, URDMU], cell_bags: CellBags) -> None:
    said, model = official
    crops = said.input(2, 10, 32, 1024)
    with torch.no_grad():
        scores = model(cell_bags(crops.reshape(20, 32, 1024))).scores
    said.close("test_4d_2x10x32__frame", scores.reshape(2, 10, 32).mean(1))


def seeded(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    """The noise of the fixture for the normal bags, which come first; what others draw is never used."""

    def noise(like: Tensor) -> Tensor:
        drawn = np.random.default_rng(11).standard_normal((rows, *like.shape[1:])).astype(np.float32)
        return torch.cat([torch.from_numpy(drawn), torch.full_like(like[rows:], 1e3)])

    monkeypatch.setattr(torch, "randn_like", noise)


def test_training_is_that_of_the_official_code(
    official: tuple[Any, URDMU], monkeypatch: pytest.MonkeyPatch, cell_bags: CellBags
) -> None:
    said, model = official
    seeded(monkeypatch, 2)
    views, labels = cell_bags(said.input(4, 200, 1024)), torch.tensor([0.0, 0, 1, 1])
    with torch.no_grad():
        output = model.train()(views)
        terms = model.loss(output, views, labels)
    extra = output.extra
    said.close("train_T200__frame", torch.cat([extra["noisy"][:2], extra["plain"][2:]]))
    said.close("train_T200__A_att", extra["suspect"][2:])
    said.close("train_T200__N_att", extra["usual"][:2])
    said.close("train_T200__A_Natt", extra["suspect"][:2])
    said.close("train_T200__N_Aatt", extra["usual"][2:])
    said.close("train_T200__triplet_margin", terms["triplet"] / 0.1)
    said.close("train_T200__kl_loss", terms["divergence"] / 1e-3)
    said.close("train_T200__distance", terms["apart"] / 1e-4)
    said.close("train_T200__LOSS_att_loss", terms["anomaly"])
    said.close("train_T200__LOSS_total", sum(terms.values()))


def test_training_with_ten_crops(
    official: tuple[Any, URDMU], monkeypatch: pytest.MonkeyPatch, cell_bags: CellBags
) -> None:
    """Crops are lanes; the official code averages their scores and knowledge before its loss."""
    said, model = official
    seeded(monkeypatch, 20)
    with torch.no_grad():
        extra = model.train()(cell_bags(said.input(4, 10, 32, 1024).reshape(40, 32, 1024))).extra

    def mean(name: str) -> Tensor:
        return extra[name].reshape(4, 10, 32).mean(1)

    said.close("train_T32x10__frame", torch.cat([mean("noisy")[:2], mean("plain")[2:]]))
    for name, rows, key in (
        ("A_att", slice(2, 4), "suspect"),
        ("N_att", slice(2), "usual"),
        ("A_Natt", slice(2), "suspect"),
        ("N_Aatt", slice(2, 4), "usual"),
    ):
        said.close(f"train_T32x10__{name}", mean(key)[rows])
    said.close("train_T32x10__kl_loss", extra["divergence"][:20].mean())


def test_losses_are_those_of_the_official_code(golden: Callable[[str], Any]) -> None:
    said = golden("losses_pure_functions")
    given = {k.removeprefix("urdmu__in_"): torch.from_numpy(v) for k, v in said.outputs.items() if "urdmu__in" in k}
    model, labels = URDMU(EXACT, {"cells": 2}), given["labels"]
    frame = given["frame"]
    held = torch.ones_like(frame, dtype=torch.bool)
    terms = {
        "anomaly": F.binary_cross_entropy(model._top(frame, held), labels),
        "memories": model.config.memories
        * model._memories(
            {
                "suspect": torch.cat([given["A_Natt"], given["A_att"]]),
                "usual": torch.cat([given["N_att"], given["N_Aatt"]]),
            },
            held,
            labels > 0.5,
        ),
    }
    cost = sum(terms.values()) + 0.1 * given["triplet_margin"] + 1e-3 * given["kl_loss"] + 1e-4 * given["distance"]
    values = said.spec["values"]
    assert float(terms["anomaly"]) == pytest.approx(values["urdmu__att_loss"], rel=2e-5)
    four = sum(values[f"urdmu__{name}"] for name in ("N_Aatt", "A_loss", "N_loss", "A_Nloss"))
    assert float(terms["memories"]) == pytest.approx(0.1 * four, rel=2e-5)
    assert float(cost) == pytest.approx(values["urdmu__cost"], rel=2e-5)


def test_near_steps_weigh_most() -> None:
    rng = np.random.default_rng(0)
    values, held = rng.normal(size=(2, 7, 3)), rng.random((2, 7)) > 0.3
    found = urdmu.nearby(torch.from_numpy(values), torch.from_numpy(held))
    for lane in range(2):
        for i in range(7):
            weights = [math.exp(-abs(i - j) / math.e) * held[lane, j] for j in range(7)]
            wanted = sum(w * values[lane, j] for j, w in enumerate(weights)) / sum(weights)
            np.testing.assert_allclose(found[lane, i], wanted)


def test_long_videos_are_seen_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    values, held = torch.randn(2, 50, 3), torch.rand(2, 50) > 0.3
    with torch.no_grad():
        at_once = urdmu.nearby(values, held)
        monkeypatch.setattr("wherewhen.methods._sequences.ROOM", 7 * 50)
        torch.testing.assert_close(urdmu.nearby(values, held), at_once)


def test_divergence_is_that_of_two_bells() -> None:
    """Against the closed form of torch.distributions, where a lane lacks a step."""
    torch.manual_seed(0)
    mean, log_variance, held = torch.randn(2, 3, 4), torch.randn(2, 3, 4), torch.ones(2, 3, dtype=torch.bool)
    held[1, 2] = False
    model = URDMU(URDMUConfig(width=4), {"cells": 2})
    found = model._divergence(lambda x: x, held, mean, log_variance)
    bells = torch.distributions.Normal(mean, (log_variance / 2).exp())
    each = torch.distributions.kl_divergence(bells, torch.distributions.Normal(0.0, 1.0)).sum(-1)
    torch.testing.assert_close(found, torch.stack([each[0].mean(), each[1, :2].mean()]))


def test_an_empty_bag_scores_nothing_and_teaches_nothing(cell_bags: CellBags) -> None:
    model = URDMU(URDMUConfig(width=8), {"cells": 3})
    views = cell_bags(np.zeros((2, 5, 3), np.float32))
    output = model.train()(views)
    assert (output.scores == 0).all()
    assert all(torch.isfinite(v) for v in model.loss(output, views, torch.tensor([0.0, 1.0])).values())


@pytest.mark.parametrize("wrong", [{"width": 6}, {"dropout": 1.0}, {"top": 0}, {"apart": float("nan")}])
def test_senseless_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        URDMUConfig(**wrong)


def test_published_settings_hold_on() -> None:
    assert URDMU(PUBLISHED, {"cells": 1024}).embed.weight.shape == (512, 1024, 3)


def test_memories_that_are_wrong_beyond_doubt_still_learn() -> None:
    """Sums of exactly 0 and 1, as long training gives them, once had gradients that are no numbers."""
    model = URDMU(URDMUConfig(width=4), {"cells": 2})
    sure = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    extra = {"suspect": sure.clone().requires_grad_(), "usual": (1 - sure).requires_grad_()}
    loss = model._memories(extra, torch.ones(2, 2, dtype=torch.bool), torch.tensor([True, False]))
    assert loss.item() == 400, "-log of a share is at most 100"
    loss.backward()
    for values in extra.values():
        assert values.grad is not None and torch.isfinite(values.grad).all() and values.grad.any()


# --- network and all terms in numpy, from Zhou et al., AAAI 2023


def read(memory: Array, rows: Array) -> tuple[Array, Array]:
    """Equations 4 and 5: how well the best slots fit each row, and the sum of slots."""
    fits = sigmoid(rows @ memory.T / np.sqrt(memory.shape[1]))
    return np.array([best_mean(row, 16) for row in fits]), fits @ memory


def remembered(model: URDMU, x: Array, held: Array, noise: Array) -> dict[str, Array]:
    """All that one lane ``(T, D)`` gives."""
    layers, heads = Layers(model), model.config.heads
    f = relu(layers.conv("embed", x))
    steps, size = f.shape[0], f.shape[1] // heads
    near = np.array([[np.exp(-abs(i - j) / np.e) * held[j] for j in range(steps)] for i in range(steps)])
    near = near / near.sum(1) if model.config.compat else near / near.sum(1, keepdims=True)
    for block in ("blocks.0", "blocks.1"):
        query, key, value, temporal = np.split(layers.linear(f"{block}.qkvt", layers.norm(f"{block}.before", f)), 4, 1)
        parts = []
        for part in (slice(h * size, (h + 1) * size) for h in range(heads)):
            shares = softmax(np.where(held, query[:, part] @ key[:, part].T / np.sqrt(size), -np.inf))
            parts += [shares @ value[:, part], near @ temporal[:, part]]
        f = f + layers.linear(f"{block}.out", np.concatenate(parts, 1))
        f = f + layers.linear(
            f"{block}.narrow", gelu(layers.linear(f"{block}.wide", layers.norm(f"{block}.between", f)))
        )
    (suspect, strange), (usual, normal) = (read(layers[name], f) for name in ("anomalous", "normal"))
    mean, log_variance = layers.linear("mean", normal), layers.linear("log_variance", normal)
    strange, noisy = layers.linear("mean", strange), mean + noise * np.exp(log_variance / 2)

    def score(latent: Array) -> Array:
        return sigmoid(layers.linear("head.2", relu(layers.linear("head.0", np.concatenate([f, latent], 1))))[:, 0])

    apart = (mean**2 + np.exp(log_variance) - log_variance - 1).sum(1) / 2
    return {"f": f, "suspect": suspect, "usual": usual, "strange": strange, "noisy": noisy, "divergence": apart,
            "plain_score": score(mean + strange), "noisy_score": score(noisy + strange)}  # fmt: skip


@pytest.mark.equation("urdmu", "block", "read(M, f)", "(suspect, a_A)", "(usual, a_N)", "s", "top(v)", "L")
@torch.no_grad()
@pytest.mark.parametrize("compat", [False, True])
def test_network_and_loss_are_the_papers_in_numpy(compat: bool, cell_bags: CellBags) -> None:
    """Every term with every pair of a normal and an anomalous bag; or, as in the official code, by their order."""
    sizes = {"width": 4, "heads": 2, "slots": 18, "top": 4, "dropout": 0.0, "segments": None}
    config = URDMUConfig(**sizes, distance=9.0, divergence=0.3, apart=0.2, compat=compat)  # type: ignore[arg-type]
    model, rng = drawn(URDMU(config, {"cells": 3})).train(), np.random.default_rng(0)
    rows, labels = rng.normal(size=(4, 7, 2, 3)), np.array([1, 0, 1, 0])
    rows[0, 2, 1] *= compat
    rows[1, 5, 0] *= compat  # empty cells; the official code has none
    views = cell_bags(rows.reshape(4, 14, 3), (7, 1, 2))
    torch.manual_seed(3)
    output = model(views)
    terms = model.loss(output, views, torch.from_numpy(labels))
    torch.manual_seed(3)
    noise = torch.randn(8, 7, 4, dtype=torch.float64).numpy().reshape(4, 2, 7, 4)
    wanted: dict[str, list[float]] = {"anomaly": [], "divergence": [], "anomalous": [], "normal": []}
    points: dict[str, dict[int, Array]] = {name: {} for name in ("n", "p", "a", "latent n", "latent a")}
    for bag, label in enumerate(labels):
        held = rows[bag].any(-1).T
        lanes = [remembered(model, rows[bag, :, lane], held[lane], noise[bag, lane]) for lane in (0, 1)]
        every = {
            name: np.concatenate([lane[name][there] for lane, there in zip(lanes, held, strict=True)])
            for name in lanes[0]
        }
        np.testing.assert_allclose(output.extra["plain"][bag].reshape(7, 2).T[held], every["plain_score"], rtol=1e-7)
        wanted["anomaly"].append(bce(best_mean(every["plain_score" if label else "noisy_score"], 4), label))
        count = len(every["usual"]) // 4 + 1
        best, worst = (np.argsort(-every[name])[:count] for name in ("usual", "suspect"))
        if label:
            points["p"][bag], points["a"][bag] = (unit(every["f"][best].mean(0)), unit(every["f"][worst].mean(0)))
            points["latent a"][bag] = every["strange"][worst].mean(0)
            doubts = (best_mean(every["suspect"], 4), best_mean(1 - every["usual"], 4))
            wanted["anomalous"].append(-np.log(doubts).sum())
        else:
            points["n"][bag], points["latent n"][bag] = unit(every["f"][best].mean(0)), every["noisy"][best].mean(0)
            wanted["normal"].append(-np.log(every["usual"]).mean() - np.log(1 - every["suspect"]).mean())
            wanted["divergence"].append(every["divergence"].mean() * (7 / 4 if compat else 1))  # steps for channels
    size = np.linalg.norm
    pairs = [(1, 0), (3, 2)] if compat else [(n, a) for n in (1, 3) for a in (0, 2)]
    triplet = [
        max(0, size(points["n"][n] - points["p"][a]) - size(points["n"][n] - points["a"][a]) + 1) for n, a in pairs
    ]
    apart = [max(0, 9 - size(points["latent a"][a]) + size(points["latent n"][n])) for n, a in pairs]
    assert {name: float(value) for name, value in terms.items()} == pytest.approx(
        {
            "anomaly": np.mean(wanted["anomaly"]),
            "memories": 0.1 * (np.mean(wanted["anomalous"]) + np.mean(wanted["normal"])),
            "triplet": 0.1 * np.mean(triplet),
            "divergence": 0.3 * np.mean(wanted["divergence"]),
            "apart": 0.2 * np.mean(apart),
        },
        rel=1e-5,
    )
