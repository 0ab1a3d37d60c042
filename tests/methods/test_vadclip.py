from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from wherewhen.backbones.toywords import ToyWords, ToyWordsConfig
from wherewhen.core.contracts import Classes, Output, View
from wherewhen.core.errors import ConfigError
from wherewhen.methods import vadclip
from wherewhen.methods._layers import quick
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


def test_attention_sees_its_window_and_what_is_there() -> None:
    """Against attention written out step by step."""
    torch.manual_seed(0)
    block = vadclip.Block(4, 3)
    values, there = torch.randn(2, 8, 4), torch.rand(2, 8) > 0.3
    with torch.no_grad():
        found = block(values, there)
        query, key, value = block.look(block.before(values)).chunk(3, -1)
        for lane in range(2):
            for step in range(8):
                first = step // 3 * 3
                seen = [j for j in range(first, min(first + 3, 8)) if there[lane, j] or j == step]
                weights = torch.stack([query[lane, step] @ key[lane, j] / 2 for j in seen]).softmax(0)
                heard = sum(w * value[lane, j] for w, j in zip(weights, seen, strict=True))
                one = values[lane, step] + block.found(heard)
                one = one + block.narrow(quick(block.wide(block.between(one))))
                torch.testing.assert_close(found[lane, step], one, rtol=1e-5, atol=1e-6)


def test_likeness_counts_what_is_far_as_nothing() -> None:
    torch.manual_seed(0)
    values, held = torch.randn(1, 7, 3), torch.tensor([[True, True, False, True, True, True, False]])
    found = vadclip.similarity(values, held, 0.7)[0]
    for i in range(7):
        raised = [
            math.exp(c if (c := float(F.cosine_similarity(values[0, i], values[0, j], dim=0))) > 0.7 else 0)
            if held[0, j] else 0.0
            for j in range(7)
        ]  # fmt: skip
        for j in range(7):
            wanted = raised[j] / sum(raised) if held[0, i] else 0.0
            assert float(found[i, j]) == pytest.approx(wanted, abs=1e-6)


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
