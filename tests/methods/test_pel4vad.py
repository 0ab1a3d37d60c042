from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from oracle import Array, Layers, bce, best_mean, drawn, gelu, sigmoid, softmax, unit
from safetensors.torch import save_file

from wherewhen.core.contracts import View
from wherewhen.core.errors import ConfigError
from wherewhen.methods import pel4vad
from wherewhen.methods.pel4vad import PEL4VAD, PUBLISHED, PUBLISHED_XD, PEL4VADConfig

CellBags = Callable[..., dict[str, View]]

LENGTHS = (200, 150, 32, 77)


@pytest.mark.parametrize(("name", "published"), [("ucf", PUBLISHED), ("xd", PUBLISHED_XD)])
def test_everything_is_as_in_the_official_code(
    golden: Callable[[str], Any], name: str, published: PEL4VADConfig, cell_bags: CellBags
) -> None:
    said = golden(f"head_pel4vad_{name}")
    config = replace(published, prompts="texts.npy", smoothness=8e-5, sparsity=8e-5)
    model = PEL4VAD(config, {"cells": 1024})
    model.load_state_dict(pel4vad.official(said.tensors, config), strict=True)
    views = cell_bags(said.blocks())
    said.close("loc_adj_row0", model.context.proximity(torch.arange(200.0)))
    with torch.no_grad():
        said.close("self_attn", model.eval().context(views["cells"].features, views["cells"].mask))
        output = model(views)
        values = views["cells"].features
        values = model.wide(model.norm(values + model.context(values, views["cells"].mask)))
    said.close("x_v", torch.nn.functional.gelu(values).transpose(1, 2))
    said.close("logits", output.extra["plain"])
    tokens = torch.from_numpy((np.random.default_rng(13).standard_normal((4, 2, 512)) * 0.5).astype(np.float32))
    labels = torch.tensor([0.0, 0, 3, 5])
    found, classes = pel4vad.grounds(output.extra["foreground"], output.extra["background"], labels)
    theirs = [0, 1, 2, 4, 3, 5]  # in the official code a background follows its foreground
    order = [theirs.index(k) for k in range(6)]
    said.close("cas_video_feat", found[order])
    assert classes[order].tolist() == said.outputs["cas_labels"].tolist()
    asked = torch.cat([tokens[:2, 0], tokens[2:, 1], tokens[2:, 0]])
    term = pel4vad.prompting(found, asked, classes, model.scale)
    said.close("loss_KLV", term)
    model.texts = torch.zeros(6, 512)
    terms = model.loss(output, views, labels)
    said.close("loss_CLAS2", terms["anomaly"])
    said.close("loss_total", terms["anomaly"] + term)
    said.close("smooth_lambda8e-5", terms["smoothness"])
    said.close("sparsity_lambda8e-5", terms["sparsity"])


@pytest.mark.parametrize("way", ["slide", "fixed"])
@pytest.mark.parametrize("size", [3, 7, 8])
def test_scores_are_smoothed_as_in_the_official_code(golden: Callable[[str], Any], way: Any, size: int) -> None:
    said = golden("head_pel4vad_ucf")
    scores = torch.from_numpy(said.outputs["logits"])[1:2, :150, 0]
    config = replace(PUBLISHED, smooth=way, kappa=size)
    found = pel4vad.smooth(scores, torch.ones_like(scores, dtype=torch.bool), config)
    said.close(f"{way}_smooth_{size}", found[0])


def test_losses_are_those_of_the_official_code(golden: Callable[[str], Any]) -> None:
    said = golden("losses_pure_functions")
    given = {k.removeprefix("pel__in_"): torch.from_numpy(v) for k, v in said.outputs.items() if "pel__in" in k}
    values = {k.removeprefix("pel__"): v for k, v in said.spec["values"].items()}
    model = PEL4VAD(replace(PUBLISHED, smoothness=8e-5, sparsity=8e-5), {"cells": 2})
    held = torch.arange(200) < given["lengths"][:, None]
    output = pel4vad.Output(given["scores"][..., 0], {"plain": given["scores"], "held": held[..., None]})
    terms = model.loss(output, {}, given["labels"].float())
    assert float(terms["anomaly"]) == pytest.approx(values["CLAS2"], rel=2e-5)
    rows = given["smooth_rows"]
    output = pel4vad.Output(output.scores, {k: v[rows] for k, v in output.extra.items()})
    terms = model.loss(output, {}, given["labels"][rows].float())
    assert float(terms["smoothness"]) == pytest.approx(values["Smooth"], rel=2e-5)
    assert float(terms["sparsity"]) == pytest.approx(values["Sparsity"], rel=2e-5)
    every = pel4vad.unevenness(output.extra["plain"], output.extra["held"]).mean() * 8e-5  # no change is left out
    assert float(every + terms["sparsity"]) == pytest.approx(values["Smooth_Sparsity"], rel=2e-5)


@pytest.mark.equation("pel4vad", "A_ij", "v", "s", "scores", "S", "foreground", "background", "L")
@pytest.mark.parametrize(
    "settings",
    [{}, {"layer_norm": True, "power_norm": False, "window": 3, "taps": 2, "smooth": "fixed"}, {"compat": True}],
)
def test_network_and_loss_are_the_papers_in_numpy(
    settings: dict[str, Any], tmp_path: Path, cell_bags: CellBags
) -> None:
    """Pu et al.: both attentions, power norm, causal classifier, smoothing; cross-entropy, prompts, changes, sums."""
    np.save(tmp_path / "texts.npy", np.random.default_rng(1).normal(size=(3, 4)))
    given = {"width": 4, "window": 5, "taps": 3, "kappa": 3, "top": 5, "smoothness": 0.3, "sparsity": 0.2}
    config = PEL4VADConfig(**{**given, **settings}, prompting=0.7, dropout=0.0, prompts=str(tmp_path / "texts.npy"))
    model, rng = drawn(PEL4VAD(config, {"cells": 5})), np.random.default_rng(0)
    rows, labels = rng.normal(size=(3, 8, 2, 5)), [0, 2, 1]
    rows[0, 3, 1] = rows[1, 6, 0] = 0
    views = cell_bags(rows.reshape(3, 16, 5), (8, 1, 2))
    with torch.no_grad():
        output = model(views)
        terms = {name: float(value) for name, value in model.loss(output, views, torch.tensor(labels)).items()}
    layers, losses = Layers(model), {"anomaly": [], "smoothness": [], "sparsity": []}  # type: ignore[var-annotated]
    grounds: dict[str, list[Array]] = {"foreground": [], "background": []}
    for bag, label in enumerate(labels):
        held = rows[bag].any(-1)
        there = held | config.compat  # the official code uses empty steps too, and zeros after the end
        lanes = [lane_of(layers, config, rows[bag, :, k], there[:, k]) for k in (0, 1)]
        v, s = (np.stack(parts, 1) for parts in zip(*lanes, strict=True))
        for lane, t in zip(*np.nonzero(held.T), strict=True):
            start = t if config.smooth == "slide" else t // 3 * 3
            near = [s[k, lane] for k in range(start, min(start + 3, 8)) if there[k, lane]]
            mean = sum(near) / (3 if config.compat else len(near))
            assert float(output.scores[bag].reshape(8, 2)[t, lane]) == pytest.approx(mean)
        losses["anomaly"].append(bce(best_mean(s[held], 5) if label else s[held].max(), label > 0))
        jumps = np.diff(s, axis=0) ** 2 * held[1:] * held[:-1]
        losses["smoothness"].append(0.3 * jumps[: -1 if config.compat else None].sum())
        losses["sparsity"].append(0.2 * s[held].sum())
        for name, sharp in (("foreground", np.exp(10 * s) - 1), ("background", np.exp(10 * (1 - s)) - 1)):
            grounds[name].append((sharp * there / sharp[there].sum() * v.transpose(2, 0, 1)).sum((1, 2)))
    videos, classes = np.array([*grounds["foreground"], *grounds["background"][1:]]), np.array([*labels, 0, 0])
    texts = np.load(tmp_path / "texts.npy")[classes]
    alike = softmax(np.exp(layers["scale"]) * unit(videos) @ unit(texts).T)
    targets = softmax(10.0 * (classes[:, None] == classes))
    assert terms == pytest.approx(
        {name: np.mean(values) for name, values in losses.items()}
        | {"prompting": 0.7 * (targets * np.log(targets / alike)).sum(1).mean()},
        rel=1e-6,
    )


def lane_of(layers: Layers, config: PEL4VADConfig, x: Array, held: Array) -> tuple[Array, Array]:
    """Features ``(T, C)`` and scores ``(T,)`` of one lane."""
    query, key, value = (layers.linear(f"context.{name}", x) for name in ("query", "key", "value"))
    share, steps = sigmoid(layers["context.mix"]), range(len(x))
    heard = np.zeros_like(value)
    for i in steps:
        for weight, reach in ((share, len(x)), (1 - share, config.window // 2)):
            near = [j for j in steps if held[j] and abs(i - j) <= reach]
            away = np.array([float(i - j) for j in near])
            maps = key[near] @ query[i] / np.sqrt(query.shape[1])
            if near:
                maps += np.exp(-np.abs(layers["context.gamma"] * away**2 - layers["context.bias"]))
                heard[i] += weight * softmax(maps) @ value[near]
    if config.power_norm:
        heard = np.sign(heard) * np.sqrt(np.abs(heard))
        heard = unit(heard.T).T if config.compat else unit(heard)
    v = x + layers.linear("context.out", heard)
    v = gelu(layers.linear("wide", layers.norm("norm", v) if config.layer_norm else v))
    hidden = gelu(layers.linear("narrow", v)) * held[:, None]
    kernel, offset = layers["classifier.weight"][0], layers["classifier.bias"][0]
    past = np.pad(hidden, ((config.taps - 1, 0), (0, 0)))
    return v, sigmoid([(kernel * past[t : t + config.taps].T).sum() + offset for t in steps])


@pytest.mark.parametrize("way", ["slide", "fixed"])
def test_smoothing_sees_only_what_is_there(way: Any) -> None:
    rng = np.random.default_rng(0)
    scores, there = rng.random((3, 11)), rng.random((3, 11)) > 0.3
    found = pel4vad.smooth(torch.tensor(scores), torch.tensor(there), PEL4VADConfig(smooth=way, kappa=4))
    for lane, row in enumerate(scores):
        for step in np.flatnonzero(there[lane]):
            start = step if way == "slide" else step // 4 * 4
            part = [row[j] for j in range(start, min(start + 4, 11)) if there[lane, j]]
            assert float(found[lane, step]) == pytest.approx(np.mean(part))


def test_long_videos_are_seen_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    context = pel4vad.Context(8, PEL4VADConfig())
    values, there = torch.randn(2, 50, 8), torch.rand(2, 50) > 0.3
    with torch.no_grad():
        at_once = context(values, there)
        monkeypatch.setattr("wherewhen.methods._sequences.ROOM", 7 * 100)
        torch.testing.assert_close(context(values, there), at_once)


def test_roots_have_gradients_at_zero() -> None:
    values = torch.tensor([-4.0, 0.0, 9.0], requires_grad=True)
    assert pel4vad.root(values).tolist() == [-2, 0, 3]
    pel4vad.root(values).sum().backward()
    assert values.grad is not None and values.grad.tolist() == pytest.approx([1 / 4, 0, 1 / 6])


@pytest.mark.parametrize("suffix", [".npy", ".safetensors"])
def test_texts_pull_videos_to_them(tmp_path: Path, suffix: str, toy_bag: Callable[..., Any]) -> None:
    """After some steps an anomalous bag's foreground is more like the anomaly's text than its background is."""
    from wherewhen.inference.packing import view

    rows, path = np.random.default_rng(0).normal(size=(2, 16)).astype(np.float32), tmp_path / f"texts{suffix}"
    if suffix == ".npy":
        np.save(path, rows)
    else:
        save_file({"texts": torch.from_numpy(rows)}, path)
    torch.manual_seed(0)
    model = PEL4VAD(PEL4VADConfig(width=16, prompts=str(path)), {"cells": 6}).train()
    bags = [toy_bag(n, n % 2, 6) for n in range(8)]
    views, labels = {"cells": view([b.views["cells"] for b in bags])}, torch.tensor([0.0, 1.0] * 4)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    first = None
    for _ in range(40):
        terms = model.loss(model(views), views, labels)
        first = first or float(terms["prompting"].detach())
        optimizer.zero_grad()
        sum(terms.values()).backward()
        optimizer.step()
    assert float(terms["prompting"].detach()) < 0.8 * first
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
    with torch.no_grad():
        extra = model.eval()(views).extra
    near, far = (extra[k][labels > 0.5] @ torch.from_numpy(rows[1] - rows[0]) for k in ("foreground", "background"))
    assert (near > far).float().mean() >= 0.75


@pytest.mark.parametrize("shape", [(1, 8), (2, 7), (8,)])
def test_texts_of_another_shape_are_refused(tmp_path: Path, shape: tuple[int, ...], cell_bags: CellBags) -> None:
    np.save(tmp_path / "texts.npy", np.ones(shape, np.float32))
    model = PEL4VAD(PEL4VADConfig(width=8, prompts=str(tmp_path / "texts.npy")), {"cells": 3})
    views = cell_bags(np.ones((2, 4, 3), np.float32))
    with pytest.raises(ConfigError, match="prompts"):
        model.loss(model(views), views, torch.tensor([0.0, 1.0]))


def test_a_class_without_a_text_is_refused(tmp_path: Path, cell_bags: CellBags) -> None:
    np.save(tmp_path / "texts.npy", np.ones((2, 8), np.float32))
    model = PEL4VAD(PEL4VADConfig(width=8, prompts=str(tmp_path / "texts.npy")), {"cells": 3})
    views = cell_bags(np.ones((2, 4, 3), np.float32))
    with pytest.raises(ConfigError, match="a label is 2"):
        model.loss(model(views), views, torch.tensor([0.0, 2.0]))


def test_detection_needs_no_texts_but_training_does(cell_bags: CellBags) -> None:
    model = PEL4VAD(PEL4VADConfig(width=8, prompts="nowhere.npy"), {"cells": 3})
    views = cell_bags(np.ones((2, 4, 3), np.float32))
    output = model.eval()(views)
    with pytest.raises(ConfigError, match=r"nowhere\.npy"):
        model.loss(output, views, torch.tensor([0.0, 1.0]))


def test_an_empty_bag_scores_nothing_and_teaches_nothing(cell_bags: CellBags) -> None:
    model = PEL4VAD(PEL4VADConfig(width=8), {"cells": 3})
    views = cell_bags(np.zeros((2, 5, 3), np.float32))
    for mode in (True, False):
        output = model.train(mode)(views)
        assert (output.scores == 0).all()
        assert all(torch.isfinite(v) for v in model.loss(output, views, torch.tensor([0.0, 1.0])).values())


@pytest.mark.parametrize("wrong", [{"kappa": 0}, {"dropout": 1.0}, {"temperature": 0.0}, {"gamma": float("nan")}])
def test_senseless_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        PEL4VADConfig(**wrong)
