from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from oracle import Array, Layers, bce, best_mean, drawn, quick, sigmoid, softmax, unit
from torch import Tensor

from wherewhen.backbones.clip import Clip
from wherewhen.backbones.toywords import ToyWords, ToyWordsConfig
from wherewhen.core import extents as ext
from wherewhen.core import prompts
from wherewhen.core.contracts import Classes, View
from wherewhen.core.errors import ConfigError
from wherewhen.inference.model_config import ModelConfig
from wherewhen.methods import stprompt
from wherewhen.methods._grid import lanes
from wherewhen.methods.stprompt import STPrompt, STPromptConfig


def view(rows: Any, grid: tuple[int, int] = (2, 3)) -> View:
    """Bags ``(B, T, P, D)`` on a grid."""
    rows = torch.as_tensor(np.asarray(rows, np.float32))
    batch, steps, cells, dims = rows.shape
    mask = torch.ones(batch, steps * cells, dtype=torch.bool)
    places = torch.zeros(batch, steps * cells, 6)
    return View(rows.reshape(batch, -1, dims), places, -torch.ones(mask.shape), mask, ((steps, *grid),) * batch)


def both(seed: int = 0, steps: int = 5, dims: int = 4) -> dict[str, View]:
    rng = np.random.default_rng(seed)
    return {"cells": view(rng.normal(size=(2, steps, 6, dims))), "moving": view(rng.random((2, steps, 6, 1)))}


def test_the_patches_that_move_most_speak_for_the_picture() -> None:
    """SA2 patch by patch."""
    views, config = both(), STPromptConfig(patches=2)
    whole = lanes(views["cells"])
    motion = lanes(views["moving"]).features[..., 0]
    weights = stprompt.chosen(motion, whole.held, config)
    found = stprompt.pictures(whole, weights)
    for b, t in np.ndindex(2, 5):
        row = motion[b, t].double().numpy()
        best = np.argsort(-row)[:2]
        raised = np.exp(row[best] / row.std())
        wanted = whole.features[b, t].mean(0).double().numpy()
        for patch, weight in zip(best, raised / raised.sum(), strict=True):
            wanted = wanted + weight * whole.features[b, t, patch].double().numpy()
        np.testing.assert_allclose(found[b, t], wanted, rtol=1e-4, atol=1e-6)
        assert set(np.flatnonzero(weights[b, t])) == set(best)


def test_other_ways_to_choose_patches() -> None:
    views = both()
    whole, motion = lanes(views["cells"]), lanes(views["moving"]).features[..., 0]
    every = stprompt.chosen(motion, whole.held, STPromptConfig(choose="all"))
    assert (every > 0).all() and every.sum(-1).allclose(torch.ones(2, 5))
    drawn = stprompt.chosen(motion, whole.held, STPromptConfig(choose="random", patches=2))
    assert ((drawn > 0).sum(-1) == 2).all() and torch.equal(drawn[0] > 0, drawn[1] > 0)
    again = stprompt.chosen(motion, whole.held, STPromptConfig(choose="random", patches=2))
    assert torch.equal(drawn, again) and len({tuple(row.nonzero().flatten().tolist()) for row in drawn[0]}) > 1
    none = stprompt.chosen(motion, torch.zeros_like(whole.held), STPromptConfig())
    assert (none == 0).all()


def test_without_sa2_motion_changes_no_score_in_time() -> None:
    model = STPrompt(STPromptConfig(choose="none"), {"cells": 4, "moving": 1}).eval()
    views = both()
    with torch.no_grad():
        before = model(views).extra["frames"]
        after = model({**views, "moving": both(1)["moving"]}).extra["frames"]
    torch.testing.assert_close(before, after)


def test_neighbors_count_by_their_distance_alone() -> None:
    torch.manual_seed(0)
    values, held = torch.randn(1, 6, 2), torch.tensor([[True, False, True, True, True, False]])
    found = stprompt.by_distance(values, held, torch.tensor(2.0))
    for i in range(6):
        weights = [math.exp(-abs(i - j) / 2) if held[0, j] else 0.0 for j in range(6)]
        wanted = sum(w * values[0, j] for j, w in enumerate(weights)) / sum(weights)
        torch.testing.assert_close(found[0, i], wanted)


def test_long_videos_are_seen_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    model = STPrompt(STPromptConfig(), {"cells": 4, "moving": 1}).eval()
    views = both(steps=40)
    with torch.no_grad():
        at_once = model(views).scores
        monkeypatch.setattr("wherewhen.methods._sequences.ROOM", 7 * 40)
        torch.testing.assert_close(model(views).scores, at_once)


def test_a_place_is_where_it_moves_where_nobody_reads() -> None:
    model = STPrompt(STPromptConfig(patches=3), {"cells": 4, "moving": 1}).eval()
    views = both()
    with torch.no_grad():
        output = model(views)
    scores = output.scores.reshape(2, 5, 6)
    torch.testing.assert_close(scores.amax(-1), output.extra["frames"])
    assert ((scores > 0) == (output.extra["patches"] > 0)).all()
    motion = lanes(views["moving"]).features[..., 0]
    assert torch.equal(scores.argmax(-1), motion.argmax(-1))


class Colors(ToyWords):
    def __init__(self) -> None:
        super().__init__(ToyWordsConfig())


def painted() -> dict[str, View]:
    """A gray picture with a red patch, number 4, and a blue one, number 1, that moves."""
    rows = np.zeros((1, 3, 6, 9), np.float32)
    rows[..., 7] = 1
    rows[:, :, 4] = np.eye(9)[0]
    rows[:, :, 1] = np.eye(9)[5]
    moves = np.zeros((1, 3, 6, 1), np.float32)
    moves[:, :, 1] = 0.5
    return {"cells": view(rows), "moving": view(moves)}


def test_a_place_is_what_words_say_where_the_backbone_reads(tmp_path: Any) -> None:
    dims = {"cells": 9, "moving": 1}
    red = STPrompt(STPromptConfig(), dims, Classes(("running",), Colors())).eval()
    with torch.no_grad():
        output = red(painted())
    scores = output.scores.reshape(3, 6)
    torch.testing.assert_close(scores[:, 4], output.extra["frames"][0])
    assert (scores[:, [0, 2, 3, 5]] < 1e-6).all()  # what is blue could be either
    by_motion = STPrompt(STPromptConfig(place="motion"), dims, Classes(("running",), Colors())).eval()
    with torch.no_grad():
        assert (by_motion(painted()).scores.reshape(3, 6).argmax(-1) == 1).all()
    path = tmp_path / "mine.yaml"
    path.write_text("version: 1\nnormal: [the road, someone running]\nclasses: {wrong_way: [going the wrong way]}\n")
    blue = STPrompt(STPromptConfig(prompts=str(path)), dims, Classes(("running",), Colors())).eval()
    with torch.no_grad():
        before = blue(painted()).scores
    assert (before.reshape(3, 6).argmax(-1) == 1).all()
    path.unlink()  # a model from disk needs neither the file nor a tower
    kept = STPrompt(STPromptConfig(), dims, Classes(("running",)))
    kept.load_state_dict(blue.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(kept.eval()(painted()).scores, before, rtol=0, atol=0)


def test_grids_that_differ_are_refused() -> None:
    views = {**both(), "moving": view(np.ones((2, 5, 4, 1)), (2, 2))}
    with pytest.raises(ConfigError, match="not one grid"):
        STPrompt(STPromptConfig(), {"cells": 4, "moving": 1})(views)


def test_classes_are_those_of_the_picture() -> None:
    model = STPrompt(STPromptConfig(), {"cells": 4, "moving": 1}, Classes(("a", "b"))).eval()
    with torch.no_grad():
        output = model(both())
    share: Tensor = output.extra["alike"].softmax(-1)[..., 1:]
    wanted = share[:, :, None].expand(2, 5, 6, 2).reshape(2, 30, 2)
    torch.testing.assert_close(output.extra["classes"], wanted)


@pytest.mark.parametrize("wrong", [{"patches": 0}, {"sigma": 0.0}, {"scale": float("inf")}, {"normal": ""}])
def test_senseless_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        replace(STPromptConfig(), **wrong)


def test_what_is_usual_is_learnt_from_normal_videos_alone() -> None:
    """And what the adapter sees lies in its deviations, while texts are compared with features as they are."""
    model = STPrompt(STPromptConfig(choose="none", adapter="none"), {"cells": 4, "moving": 1}).eval()
    views = both()
    bags = [({k: one_of(v, b) for k, v in views.items()}, torch.tensor([float(b)])) for b in (0, 1)]
    model.study(0, bags)
    rows = lanes(bags[0][0]["cells"]).features[0].mean(1).double()
    torch.testing.assert_close(model.usual.center.double(), rows.mean(0), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model.usual.spread.double(), rows.std(0, correction=0), rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        output = model(views)
        pictures = lanes(views["cells"]).features.mean(2)
        wanted = torch.cosine_similarity(pictures[:, :, None], model.prompts()[None, None], dim=-1) / 0.07
    torch.testing.assert_close(output.extra["alike"], wanted, rtol=1e-3, atol=1e-3)


def one_of(view: View, bag: int) -> View:
    rows = slice(bag, bag + 1)
    return View(view.features[rows], view.extents[rows], view.track[rows], view.mask[rows], view.shapes[rows])


def test_a_place_is_what_words_say_of_the_patches_that_move() -> None:
    """One step of four patches: two are red, of which one moves; a gray one moves most."""
    classes = Classes(("running",), Colors())
    rows, motion = np.eye(9)[[0, 0, 7, 7]][None, None], [[[[0.0], [2.0], [3.0], [0.0]]]]
    views = {"cells": view(rows, (2, 2)), "moving": view(motion, (2, 2))}
    shown = {}
    places: tuple[Any, ...] = ("words", "both", "motion")
    for place in places:
        model = STPrompt(STPromptConfig(place=place, patches=2), {"cells": 9, "moving": 1}, classes)
        shown[place] = (model.eval()(views).scores[0] > 1e-6).tolist()
    assert shown == {
        "words": [True, True, False, False],
        "both": [False, True, False, False],
        "motion": [False, True, True, False],
    }


def test_what_is_not_asked_for_may_be_far_more_likely() -> None:
    found = stprompt.stretched(torch.tensor([-300.0, 0.0, -301.0]), torch.tensor([True, False, True]))
    assert found.tolist() == [1.0, 0.0, 0.0]


def test_a_place_shows_however_unlikely_all_are() -> None:
    """Against the stretch of the shares themselves, where they can be told apart as plain numbers."""
    rng = np.random.default_rng(0)
    logs = torch.tensor(np.log(rng.random((3, 5))))
    held = torch.ones(3, 5, dtype=torch.bool)
    held[0, 2] = False
    for row, seen, found in zip(logs.exp(), held, stprompt.stretched(logs, held), strict=True):
        low, high = row[seen].min(), row[seen].max()
        torch.testing.assert_close(found[seen], (row[seen] - low) / (high - low))
        assert (found[~seen] == 0).all()
    torch.testing.assert_close(stprompt.stretched(logs - 500, held), stprompt.stretched(logs, held))
    assert (stprompt.stretched(torch.full((1, 4), -7.0), torch.ones(1, 4).bool()) == 1).all()


def picture_by_picture(model: STPrompt, rows: Array, motion: Array, texts: Array) -> dict[str, Array]:
    """All that the temporal stream gives for one video, patches ``(T, P, D)`` and their motion ``(T, P)``."""
    layers, config = Layers(model), model.config
    held, x = rows.any(-1), np.zeros((len(rows), rows.shape[2]))
    strong = np.zeros_like(motion)
    for t in np.flatnonzero(held.any(1)):
        there = np.flatnonzero(held[t])
        best = there[np.argsort(-motion[t, there])][: config.patches]
        weights = softmax(motion[t, best] / motion[t, there].std())
        x[t] = rows[t, there].mean(0) + weights @ rows[t, best]
        strong[t, best] = motion[t, best]
    x = ((x - layers["usual.center"]) / layers["usual.spread"]).clip(-10, 10)
    steps = np.flatnonzero(held.any(1))
    for layer in ("adapter.0", "adapter.1"):
        normal, sigma = layers.norm(f"{layer}.before", x), np.exp(layers[f"{layer}.log_sigma"])
        x = x + [softmax(-np.abs(steps - i) / sigma) @ normal[steps] for i in range(len(x))]
        x = x + layers.linear(
            f"{layer}.narrow", quick(layers.linear(f"{layer}.wide", layers.norm(f"{layer}.between", x)))
        )
    judged = x + layers.linear("judge.narrow", quick(layers.linear("judge.wide", x)))
    back = x * layers["usual.spread"] + layers["usual.center"]
    return {
        "frames": sigmoid(layers.linear("classifier", judged)[:, 0]) * held.any(1),
        "alike": unit(back) @ unit(texts).T / 0.07,
        "strong": strong,
    }


def shares(rows: Array, texts: Array, normal: int) -> Array:
    """The share of non-normal texts at each held patch, scaled to [0, 1] in its picture; 0 elsewhere."""
    held, found = rows.any(-1), np.zeros(rows.shape[:2])
    for t in np.flatnonzero(held.any(1)):
        share = softmax(100 * unit(rows[t, held[t]]) @ unit(texts).T)[:, normal:].sum(1)
        found[t, held[t]] = (share - share.min()) / (share.max() - share.min())
    return found


@pytest.mark.equation("stprompt", "w", "x", "f", "s", "similarity", "p", "S", "S_c", "L")
@pytest.mark.parametrize("reads", [True, False])
def test_both_streams_are_the_equations_of_the_page_in_numpy(reads: bool) -> None:
    """Wu et al., 2024: SA2's whole sum, adapter by distance, both branches, loss; the place by texts or by motion."""
    config = STPromptConfig(patches=3, top=2, classes=0.7, separation=0.2, sigma=1.5, prompts=None)
    classes = Classes(("running", "fall"), Colors() if reads else None)
    model, rng = drawn(STPrompt(config, {"cells": 9, "moving": 1}, classes), size=0.3), np.random.default_rng(0)
    model.usual.center.copy_(torch.from_numpy(0.1 * rng.normal(size=9)))
    model.usual.spread.copy_(torch.from_numpy(rng.uniform(0.5, 2, 9)))
    rows, motion, labels = rng.random((3, 7, 6, 9)), rng.random((3, 7, 6)), [0, 2, 1]
    rows[0, 2, [1, 4]] = rows[1, 5] = 0
    views = {"cells": view(rows), "moving": view(motion[..., None])}
    for one, values in ((views["cells"], rows), (views["moving"], motion[..., None])):
        one.features = torch.from_numpy(values.reshape(3, 42, -1))
    with torch.no_grad():
        output = model(views)
        terms = {name: float(value) for name, value in model.loss(output, views, torch.tensor(labels)).items()}
    texts = Layers(model)["prompts.texts"]
    losses: dict[str, list[float]] = {"anomaly": [], "classes": []}
    for bag, label in enumerate(labels):
        wanted = picture_by_picture(model, rows[bag], motion[bag], texts)
        place = (
            shares(rows[bag], Layers(model)["words.texts"], 1)
            if reads
            else wanted["strong"] / wanted["strong"].max(1, keepdims=True).clip(1e-9)
        )
        np.testing.assert_allclose(output.scores[bag].reshape(7, 6), wanted["frames"][:, None] * place, atol=1e-6)
        steps = rows[bag].any((1, 2))
        losses["anomaly"].append(bce(best_mean(wanted["frames"][steps], 2), label > 0))
        best = np.array([best_mean(column[steps], 2) for column in wanted["alike"].T])
        losses["classes"].append(-0.7 * np.log(softmax(best)[label]))
    far = 0.2 * np.mean([abs(unit(texts[0]) @ unit(text)) for text in texts[1:]])
    assert terms == pytest.approx(
        {name: np.mean(values) for name, values in losses.items()} | {"separation": far}, rel=1e-6
    )


# --- settings of the paper


@pytest.mark.equation("stprompt", "w")
def test_a_share_of_motion_can_be_the_weight() -> None:
    views = both()
    whole, motion = lanes(views["cells"]), lanes(views["moving"]).features[..., 0]
    weights = stprompt.chosen(motion, whole.held, STPromptConfig(patches=2, weights="share"))
    for b, t in np.ndindex(2, 5):
        row, wanted = motion[b, t].double().numpy(), np.zeros(6)
        best = np.argsort(-row)[:2]
        wanted[best] = row[best] / row[best].sum()
        np.testing.assert_allclose(weights[b, t], wanted, rtol=1e-6)
    still = stprompt.chosen(torch.zeros_like(motion), whole.held, STPromptConfig(weights="share"))
    assert (still == 0).all(), "without motion nothing is added"


@pytest.mark.equation("stprompt", "x")
@pytest.mark.parametrize("choose", ["motion", "none"])
def test_the_vector_of_the_whole_picture_can_be_its_feature(choose: Any) -> None:
    views, rng = both(), np.random.default_rng(3)
    vectors = rng.normal(size=(2, 5, 1, 4)).astype(np.float32)
    views["whole"] = view(vectors, (1, 1))
    model = STPrompt(STPromptConfig(frame="embedding", patches=2, choose=choose), dict.fromkeys(STPrompt.views, 4))
    whole = lanes(views["cells"])
    weights = stprompt.chosen(lanes(views["moving"]).features[..., 0], whole.held, model.config)
    patches = np.einsum("btp,btpd->btd", weights, whole.features) if choose == "motion" else 0
    np.testing.assert_allclose(model.picture_features(whole, weights, views), vectors[:, :, 0] + patches, atol=1e-6)
    views["whole"] = view(vectors[:, :3], (1, 1))
    with pytest.raises(ConfigError, match=r"whole has 3 steps and cells 5; set cells.steps to 1"):
        model(views)


@pytest.mark.equation("stprompt", "p")
def test_a_place_can_be_what_words_say_of_the_windows_over_it() -> None:
    """Windows of a half of the sides with half a window between them, on 2 x 3 cells, window by window."""
    rng, places = np.random.default_rng(0), ext.windows([0.5])
    rows = rng.random((1, 3, len(places), 9)).astype(np.float32)
    rows[0, 1, 4] = 0
    views = {"cells": view(rng.random((1, 3, 6, 9))), "moving": view(rng.random((1, 3, 6, 1)))}
    views["windows"] = view(rows, (1, len(places)))
    views["cells"].extents = torch.from_numpy(ext.grid([0, 3, 0, 0, 1, 1], (3, 2, 3)))[None]
    views["windows"].extents[0, :, 2:] = torch.from_numpy(np.tile(places, (3, 1)))
    config = STPromptConfig(spatial="windows", prompts=None, scale=3.0)
    model = STPrompt(config, dict.fromkeys(STPrompt.views, 9), Classes(("running",), Colors())).eval()
    with torch.no_grad():
        output = model(views)
    texts = Layers(model)["words.texts"]
    for t in range(3):
        seen = np.where(rows[0, t].any(1, keepdims=True), rows[0, t], 1)
        share = softmax(3 * unit(seen) @ unit(texts).T)[:, 1:].sum(1)
        cells = np.zeros((2, 3))
        for y, x in np.ndindex(2, 3):
            sums = 0.0
            for (x0, y0, x1, y1), value, held in zip(places, share, rows[0, t].any(1), strict=True):
                wide = max(0, min(x1, (x + 1) / 3) - max(x0, x / 3)) * max(0, min(y1, (y + 1) / 2) - max(y0, y / 2))
                cells[y, x] += held * wide * value
                sums += held * wide
            cells[y, x] /= sums
        wanted = (cells - cells.min()) / (cells.max() - cells.min()) * float(output.extra["frames"][0, t])
        np.testing.assert_allclose(output.scores[0].reshape(3, 2, 3)[t], wanted, atol=1e-5)


def test_the_start_is_that_of_the_length_or_random() -> None:
    torch.manual_seed(0)
    dims = {"cells": 4, "moving": 1}
    by_length, by_chance = (STPrompt(STPromptConfig(start=start), dims) for start in ("length", "random"))  # type: ignore[arg-type]
    assert (by_length.judge.narrow.weight.std(1) < 1e-7).all() and (by_chance.judge.narrow.weight.std(1) > 0.01).all()


def test_windows_need_words() -> None:
    with pytest.raises(ConfigError, match="windows are compared with words, and place is motion"):
        STPromptConfig(place="motion", spatial="windows")


def test_views_are_those_that_settings_need() -> None:
    assert [*ModelConfig.of({"method": "stprompt"}).views] == ["cells", "moving"]
    settings = {"method": "stprompt", "backbone": "clip", "clip": {"layer": "patches_embedding"}}
    config = ModelConfig.of({**settings, "stprompt": {"frame": "embedding", "spatial": "windows"}})
    assert [*config.views] == ["cells", "moving", "whole", "windows"] and "windows" in config.plain()
    assert "windows" not in ModelConfig.of(settings).plain()
    for wrong in ({"clip": {"layer": "patches"}}, {"backbone": "motion"}):
        with pytest.raises(ConfigError, match=r"gives no embedding of the whole frame .* --stprompt.frame mean"):
            ModelConfig.of({**settings, "stprompt": {"frame": "embedding"}, **wrong})
    with pytest.raises(ConfigError, match=r"Use --stprompt.spatial patches"):
        ModelConfig.of({"method": "stprompt", "backbone": "motion", "stprompt": {"spatial": "windows"}})


def test_the_prompts_that_come_along_for_the_backbone_are_the_default(tmp_path: Path) -> None:
    dims, classes = {"cells": 9, "moving": 1}, Classes(("running",), Colors())
    found, named, names = (
        STPrompt(STPromptConfig(prompts=prompts), dims, classes).words for prompts in ("auto", "toy", None)
    )
    torch.testing.assert_close(found.texts, named.texts)
    assert int(found.normal) == len(prompts.read("toy").normal) and len(names.texts) == 2
    assert Clip.abilities.prompts == "default" and prompts.read("default").classes
