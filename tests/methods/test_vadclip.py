from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from oracle import Array, Layers, bce, best_mean, drawn, quick, sigmoid, softmax, unit
from torch import Tensor

from wherewhen.backbones.toywords import ToyWords, ToyWordsConfig
from wherewhen.core.contracts import Classes, Output, View
from wherewhen.core.errors import ConfigError
from wherewhen.methods import vadclip
from wherewhen.methods.vadclip import PUBLISHED, PUBLISHED_XD, VadCLIP, VadCLIPConfig

CellBags = Callable[..., dict[str, View]]

UCF = tuple(f"class{k}" for k in range(13))


class Tower:
    """Reads everything as zeros; as wide as CLIP's."""

    width, length = 512, 77

    def between(self, texts: Sequence[Any], learnt: Tensor, prefix: int = 10, suffix: int = 10) -> Tensor:
        return torch.zeros(len(texts), 512) + 0 * learnt.sum()


class Reader:
    limit = None

    def encode(self, texts: Sequence[str]) -> Any:
        return np.zeros((len(texts), 512), np.float32)

    def tokens(self, texts: Sequence[str]) -> list[int]:
        return [1] * len(texts)

    def tower(self) -> Tower:
        return Tower()


def test_everything_is_as_in_the_official_code(golden: Callable[[str], Any], cell_bags: CellBags) -> None:
    said = golden("head_vadclip_ucf")
    model = VadCLIP(PUBLISHED, {"cells": 512}, Classes(UCF, Reader())).eval()
    texts = (np.random.default_rng(13).standard_normal((14, 512)) * 0.5).astype(np.float32)
    usual = {f"usual.{k}": v for k, v in model.usual.state_dict().items()}
    weights = vadclip.official({**said.tensors, "clipmodel.visual.proj": torch.zeros(1)})
    model.load_state_dict({**weights, **usual, "prompts.texts": torch.from_numpy(texts)}, strict=True)
    views = cell_bags(said.blocks())
    values, held = views["cells"].features, (views["cells"].features != 0).any(-1)
    every = torch.ones_like(held)
    with torch.no_grad():
        attended = model.context.attended(values, every)
        said.close("after_temporal", attended)
        said.close("adj_similarity_video0", vadclip.similarity(attended, held, 0.7)[0])
        said.close("adj_distance", vadclip.proximity(256, values))
        said.close("visual_features", model.context(values, every, held))
        logits, like = model.pieces(values, held, model.prompts())
        output = model(views)
        said.close("text_features", output.extra["texts"][0])
        terms = model.loss(output, views, torch.tensor([0.0, 0, 3, 5]))
        total = sum(terms.values())
    said.close("logits1", logits[..., None])
    said.close("logits2", like)
    said.close("prob1", torch.sigmoid(logits)[..., None])
    said.close("prob2", 1 - like.softmax(-1)[..., 0])
    np.testing.assert_allclose(output.scores[held], torch.sigmoid(logits)[held], rtol=1e-5)
    said.close("loss1_CLAS2", terms["anomaly"])
    said.close("loss2_CLASM", terms["classes"])
    said.close("loss3_text", terms["separation"])
    said.close("loss_total", total)


@pytest.mark.parametrize(("name", "published"), [("ucf", PUBLISHED), ("xd", PUBLISHED_XD)])
def test_losses_are_those_of_the_official_code(
    golden: Callable[[str], Any], name: str, published: VadCLIPConfig
) -> None:
    said = golden("losses_pure_functions")
    start = f"vadclip_{name}__"
    given = {k.removeprefix(f"{start}in_"): torch.from_numpy(v) for k, v in said.outputs.items() if f"{start}in" in k}
    values = {k.removeprefix(start): v for k, v in said.spec["values"].items()}
    columns = [row.nonzero()[:, 0].tolist() for row in given["labels"]]
    mixed = sorted({"+".join(f"c{k}" for k in row) for row in columns if len(row) > 1})
    assert bool(mixed) == (name == "xd")
    count = given["labels"].shape[1]
    classes = Classes(tuple(f"c{k}" for k in range(1, count)), mixed=tuple(mixed))
    model = VadCLIP(published, {"cells": 2}, classes)
    held = torch.arange(given["logits1"].shape[1]) < given["lengths"][:, None]
    bags = len(held)
    extra = {
        "plain": torch.sigmoid(given["logits1"][..., 0]), "alike": given["logits2"], "held": held,
        "texts": given["text_features"].expand(bags, *given["text_features"].shape),
    }  # fmt: skip
    labels = torch.tensor(
        [row[0] if len(row) == 1 else count + mixed.index("+".join(f"c{k}" for k in row)) for row in columns]
    ).float()
    terms = model.loss(Output(extra["plain"], extra), {}, labels)
    factor = 1 if name == "ucf" else 1e-4
    assert float(terms["anomaly"]) == pytest.approx(values["CLAS2"], rel=2e-5)
    assert float(terms["separation"]) == pytest.approx(values["loss3"] * factor, rel=2e-5)
    assert float(terms["classes"]) == pytest.approx(values["CLASM"], rel=2e-5)


def lane_by_lane(model: VadCLIP, rows: Array, held: Array) -> tuple[Array, Array]:
    """Logits ``(T,)`` and similarity to texts ``(T, 1 + C)`` of one lane ``(T, D)``, a step at a time."""
    layers, config, length = Layers(model), model.config, len(rows)
    present = held
    if config.compat:  # padding counts as steps
        more = config.length - length
        rows, held = np.pad(rows, ((0, more), (0, 0))), np.pad(held, (0, more))
        present = np.ones_like(held)
    steps, size = rows.shape
    x = ((rows - layers["usual.center"]) / layers["usual.spread"]).clip(-10, 10) * held[:, None]
    features, x = x, x + layers["context.places"][:steps]
    for block in (f"context.blocks.{k}" for k in range(config.layers)):
        query, key, value = np.split(layers.linear(f"{block}.look", layers.norm(f"{block}.before", x)), 3, 1)
        heard = []
        for i in range(steps):
            near = [j for j in range(steps) if i // config.window == j // config.window and (present[j] or i == j)]
            heard.append(softmax(key[near] @ query[i] / np.sqrt(size)) @ value[near])
        x = x + layers.linear(f"{block}.found", np.array(heard))
        x = x + layers.linear(
            f"{block}.narrow", quick(layers.linear(f"{block}.wide", layers.norm(f"{block}.between", x)))
        )
    x = x * present[:, None]
    similar, near = np.zeros((steps, steps)), np.zeros((steps, steps))
    for i, j in np.ndindex(steps, steps):
        cosine = x[i] @ x[j] / np.linalg.norm(x[i]) / np.linalg.norm(x[j]) if held[i] and held[j] else 0
        similar[i, j] = np.exp(cosine if cosine > config.alike else 0) * held[i] * held[j]
        near[i, j] = np.exp(-abs(i - j) / np.e)
    similar /= similar.sum(1, keepdims=True) + ~held[:, None]
    paths = []
    for name, graph in (("like", similar), ("near", near)):
        path = x
        for layer in (f"context.{name}.0", f"context.{name}.1"):
            own = layers.conv(f"{layer}.own", path) if f"{layer}.own.weight" in layers.numbers else path
            path = quick(graph @ path @ layers[f"{layer}.weight"] + own) * present[:, None]
        paths.append(path)
    context = layers.linear("context.join", np.concatenate(paths, 1)) + config.skip * features

    def refined(name: str, rows: Array) -> Array:
        return rows + layers.linear(f"{name}.narrow", quick(layers.linear(f"{name}.wide", rows)))

    logits = layers.linear("classifier", refined("judge", context))[:, 0]
    context = context * layers["usual.spread"] + layers["usual.center"]
    texts = layers["prompts.texts"]
    if config.visual:
        texts = texts + unit((logits * present) @ context)
    like = unit(context) @ unit(refined("refine", texts)).T / config.temperature
    return logits[:length], like[:length]


@pytest.mark.equation(
    "vadclip",
    "attention",
    "similarity_ij",
    "proximity_ij",
    "graph",
    "s",
    "prompted",
    "similarity to a class",
    "S",
    "S_c",
    "L",
)
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"compat": True, "length": 14},
        {"skip": False, "visual": False, "alike": 0.2, "layers": 1, "window": 3, "separation": 0.5},
    ],
)
def test_the_method_is_sections_3_3_to_3_5_of_the_paper(settings: dict[str, Any], cell_bags: CellBags) -> None:
    """Wu et al., AAAI 2024: attention in windows, both graphs, both branches, the visual prompt and the whole loss."""
    config = VadCLIPConfig(**{"window": 4, "width": 3, "top": 5, "classes": 0.7, **settings})
    model = drawn(VadCLIP(config, {"cells": 4}, Classes(("fight", "fall"))), size=0.3)
    rng = np.random.default_rng(0)
    model.usual.center.copy_(torch.from_numpy(rng.normal(size=4)))
    model.usual.spread.copy_(torch.from_numpy(rng.uniform(0.5, 2, 4)))
    rows = rng.normal(size=(3, 11, 2, 4))
    rows[0, [2, 5, 6], 0] = 0
    labels = [0.0, 1.0, 2.0]
    views = cell_bags(rows.reshape(3, 22, 4), (11, 1, 2))
    with torch.no_grad():
        output = model(views)
        terms = model.loss(output, views, torch.tensor(labels))
    texts = unit(Layers(model)["prompts.texts"])
    losses: dict[str, list[float]] = {"anomaly": [], "classes": []}
    for bag, label in enumerate(labels):
        held = rows[bag].any(-1)
        logits, like = np.zeros((11, 2)), np.zeros((11, 2, 3))
        for lane in (0, 1):
            logits[:, lane], like[:, lane] = lane_by_lane(model, rows[bag, :, lane], held[:, lane])
        np.testing.assert_allclose(output.scores[bag].reshape(11, 2), sigmoid(logits) * held, atol=1e-9)
        found = output.extra["alike"][bag].reshape(11, 2, 3).numpy()
        np.testing.assert_allclose(found[held], like[held], atol=1e-7)
        losses["anomaly"].append(bce(best_mean(sigmoid(logits)[held], 5), label > 0))
        shares = softmax(np.array([best_mean(like[..., c][held], 5) for c in range(3)]))
        losses["classes"].append(-0.7 * np.log(shares[int(label)]))
    for name, values in losses.items():
        assert float(terms[name]) == pytest.approx(np.mean(values), abs=1e-8)
    assert float(terms["separation"]) == pytest.approx(
        config.separation * np.mean([abs(texts[0] @ t) for t in texts[1:]])
    )


def test_long_videos_are_seen_in_pieces(monkeypatch: pytest.MonkeyPatch, cell_bags: CellBags) -> None:
    """Each piece as if it stood alone; and in groups of pieces that fit into memory."""
    torch.manual_seed(0)
    model = VadCLIP(VadCLIPConfig(length=8), {"cells": 5}).eval()
    rows = torch.randn(1, 20, 5)
    with torch.no_grad():
        at_once = model(cell_bags(rows)).scores
        alone = [model(cell_bags(rows[:, k : k + 8])).scores for k in (0, 8, 16)]
        torch.testing.assert_close(torch.cat(alone, 1), at_once)
        monkeypatch.setattr(vadclip, "ROOM", 64)
        torch.testing.assert_close(model(cell_bags(rows)).scores, at_once)


def test_labels_are_classes_and_another_is_refused(cell_bags: CellBags) -> None:
    model = VadCLIP(VadCLIPConfig(), {"cells": 4}, Classes(("fight", "fall")))
    views = cell_bags(np.random.default_rng(0).normal(size=(3, 5, 4)).astype(np.float32))
    output = model(views)
    best = vadclip.best_means(output.extra["alike"], output.extra["held"], 16)
    wanted = -torch.stack([best[k].log_softmax(0)[k] for k in range(3)]).mean()
    torch.testing.assert_close(model.loss(output, views, torch.tensor([0.0, 1, 2]))["classes"], wanted)
    with pytest.raises(ConfigError, match="2 classes, but a label is 3"):
        model.loss(output, views, torch.tensor([0.0, 1, 3]))


def test_prompts_are_learnt_through_a_frozen_tower_and_kept_without_it(tmp_path: Path, cell_bags: CellBags) -> None:
    reader = ToyWords(ToyWordsConfig())
    torch.manual_seed(0)
    model = VadCLIP(VadCLIPConfig(), {"cells": 9}, Classes(("running", "fall"), reader)).train()
    views = cell_bags(np.random.default_rng(0).random((4, 6, 9)).astype(np.float32))
    labels = torch.tensor([0.0, 1, 2, 0])
    before = model.prompts.texts.clone()
    torch.testing.assert_close(before[1:].argmax(1), torch.tensor([0, 5 - 1]))  # red, and turquoise
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(3):
        optimizer.zero_grad()
        sum(model.loss(model(views), views, labels).values()).backward()
        assert model.prompts.context.grad is not None and model.prompts.context.grad[1:21].abs().sum() > 0
        optimizer.step()
    model.eval()
    assert not torch.equal(model.prompts.texts, before)
    kept = VadCLIP(VadCLIPConfig(), {"cells": 9}, Classes(("running", "fall")))
    kept.load_state_dict(model.state_dict(), strict=True)
    with torch.no_grad():
        torch.testing.assert_close(kept.eval()(views).scores, model(views).scores, rtol=0, atol=0)


def test_texts_as_long_as_features() -> None:
    with pytest.raises(ConfigError, match="texts are 9 numbers long and features 7"):
        VadCLIP(VadCLIPConfig(), {"cells": 7}, Classes(("running",), ToyWords(ToyWordsConfig())))


def test_an_empty_bag_scores_nothing_and_teaches_no_score(cell_bags: CellBags) -> None:
    model = VadCLIP(VadCLIPConfig(), {"cells": 3})
    views = cell_bags(np.zeros((2, 5, 3), np.float32))
    for mode in (True, False):
        output = model.train(mode)(views)
        assert (output.scores == 0).all()
        terms = model.loss(output, views, torch.tensor([0.0, 1.0]))
        assert all(torch.isfinite(v) for v in terms.values()) and terms["anomaly"].detach() == 0


@pytest.mark.parametrize(
    "wrong", [{"top": 0}, {"alike": 1.0}, {"temperature": 0.0}, {"normal": " "}, {"separation": float("nan")}]
)
def test_senseless_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        replace(VadCLIPConfig(), **wrong)
