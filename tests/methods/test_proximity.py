from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import Array, Layers, drawn, relu, sigmoid, softmax

from wherewhen.core.contracts import Output, View
from wherewhen.core.errors import ConfigError
from wherewhen.methods.proximity import (
    Proximity,
    ProximityConfig,
    best_window,
    edge_mean,
    peak_weights,
    top_mean,
)

Shape = tuple[int, int, int]


def view(shapes: list[Shape], dims: int = 3, seed: int = 0) -> dict[str, View]:
    counts = [t * h * w for t, h, w in shapes]
    mask = torch.arange(max(counts)) < torch.tensor(counts)[:, None]
    features = torch.randn(len(shapes), max(counts), dims, generator=torch.Generator().manual_seed(seed))
    features = features * mask[..., None]
    return {"cells": View(features, torch.zeros(*mask.shape, 6), -torch.ones(mask.shape), mask, tuple(shapes))}


def model(config: ProximityConfig, dims: int = 3) -> Proximity:
    torch.manual_seed(0)
    return Proximity(config, {"cells": dims})


@given(st.integers(0, 10_000), st.integers(1, 9), st.integers(1, 9))
def test_the_best_window_has_the_highest_mean(seed: int, count: int, length: int) -> None:
    frame = np.random.default_rng(seed).random(9).astype(np.float32)
    length = min(length, count)
    means = [frame[s : s + length].mean(dtype=np.float64) for s in range(count - length + 1)]
    first = int(np.argmax(means))
    found = best_window(torch.from_numpy(frame)[None], torch.tensor([count]), torch.tensor([length]))[0]
    assert found.nonzero()[:, 0].tolist() == list(range(first, first + length))


@pytest.mark.equation("proximity", "patches")
@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(1, 5))
def test_the_mean_of_a_map_repeats_its_edges(seed: int, h: int, w: int) -> None:
    size = (4, 5)
    grid = np.random.default_rng(seed).random(size).astype(np.float32)
    padded = np.pad(grid[:h, :w], 1, mode="edge")
    wanted = [[padded[y : y + 3, x : x + 3].mean() for x in range(w)] for y in range(h)]
    found = edge_mean(torch.from_numpy(grid).reshape(1, 1, -1), torch.tensor([[h, w]]), size).reshape(size)[:h, :w]
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_a_gaussian_falls_from_the_peak_in_shares_of_the_picture() -> None:
    grid = torch.zeros(1, 1, 12)
    grid[0, 0, 5] = 1  # row 1, column 1 of 3 x 4
    found = peak_weights(grid, torch.tensor([[3, 4]]), (3, 4), 0.2).reshape(3, 4)
    for y in range(3):
        for x in range(4):
            away = ((y - 1) / 3) ** 2 + ((x - 1) / 4) ** 2
            assert float(found[y, x]) == pytest.approx(np.exp(-away / (2 * 0.2**2)), abs=1e-6)


def plain(maps: np.ndarray, shape: Shape, label: float, config: ProximityConfig) -> dict[str, float]:
    """The terms of one bag, read off its map ``(t, h, w)`` step by step."""
    t, h, w = shape
    best = np.sort(maps.reshape(t, -1), 1)[:, ::-1]
    frame = best[:, : min(config.frame_top, h * w)].mean(1)
    length = t if config.window is None else min(t, max(2, int(config.window * t) + 1))
    first = int(np.argmax([frame[s : s + length].mean() for s in range(t - length + 1)]))
    window = maps[first : first + length]
    tops = []
    for one in [window.mean(0)] if config.extraction == "spatial" else list(window):
        y0, x0 = np.unravel_index(one.argmax(), one.shape)
        y, x = np.mgrid[:h, :w]
        away = ((y - y0) / h) ** 2 + ((x - x0) / w) ** 2
        rank = one * np.exp(-away / (2 * config.sigma**2)) if config.proximity else one
        chosen = np.argsort(-rank.ravel(), kind="stable")[: max(1, round(config.top * h * w))]
        tops.append(one.ravel()[chosen].mean())
    bag = np.mean(tops)
    change = float((np.diff(frame) ** 2).sum())
    return {"bag": -np.log(bag if label else 1 - bag), "sparsity": maps.mean() if label else 0.0, "smoothness": change}


@pytest.mark.equation("proximity", "w", "t*", "P", "p*", "r_p", "K", "b", "loss")
@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 10_000),
    st.sampled_from([1 / 16, 0.4, None]),
    st.sampled_from(["spatial", "spacetime"]),
    st.booleans(),
)
def test_the_loss_equals_a_plain_reading(seed: int, window: float | None, extraction: str, proximity: bool) -> None:
    rng = np.random.default_rng(seed)
    shapes, labels = [(9, 3, 4), (5, 3, 4), (7, 3, 4), (2, 3, 4)], [1.0, 0.0, 1.0, 0.0]
    config = ProximityConfig(window=window, extraction=extraction, proximity=proximity, top=0.3)  # type: ignore[arg-type]
    maps, steps = np.zeros((4, 9, 12), np.float32), np.zeros((4, 9), bool)
    for row, (t, h, w) in enumerate(shapes):
        maps[row, :t], steps[row, :t] = rng.uniform(0.05, 0.95, (t, h * w)), True
    output = Output(torch.zeros(4, 108), {"maps": torch.from_numpy(maps), "steps": torch.from_numpy(steps)})
    found = model(config).loss(output, view(shapes), torch.tensor(labels))
    each = [plain(maps[k, : s[0]].reshape(s), s, labels[k], config) for k, s in enumerate(shapes)]
    wanted = {name: np.mean([one[name] for one in each]) for name in ("bag", "smoothness")}
    assert float(found["bag"]) == pytest.approx(wanted["bag"], rel=1e-4)
    assert float(found["smoothness"]) == pytest.approx(8e-4 * wanted["smoothness"], rel=1e-4)
    assert float(found["sparsity"]) == pytest.approx(8e-3 * np.mean([one["sparsity"] for one in each[::2]]), rel=1e-4)


def test_top_mean_takes_what_ranks_highest() -> None:
    values, rank = torch.tensor([[[0.1, 0.9, 0.5]]]), torch.tensor([[[3.0, 1.0, 2.0]]])
    assert float(top_mean(values, torch.tensor([[2]]), rank)) == pytest.approx(0.3)


def attended(layers: Layers, name: str, rows: Array, held: Array, places: Array, heads: int) -> Array:
    """Rows ``(L, C)`` plus what each hears from the held ones, less from farther ones, head by head."""
    query, key, value = np.split(layers.linear(f"{name}.qkv", layers.norm(f"{name}.norm", rows)), 3, 1)
    size, heard = rows.shape[1] // heads, np.zeros_like(rows)
    for head, fall in enumerate(layers[f"{name}.fall"]):
        part = slice(head * size, (head + 1) * size)
        for i in range(len(rows)):
            away = np.log(1 + np.linalg.norm(places[held] - places[i], axis=1))
            shares = softmax(key[held, part] @ query[i, part] / np.sqrt(size) - fall * away)
            heard[i, part] = shares @ value[held, part]
    return rows + layers.linear(f"{name}.out", heard)


def mixed(layers: Layers, mixing: str, x: Array, held: Array, size: tuple[int, int]) -> Array:
    """Cells ``(P, C)`` of one frame in the context of their neighbors, or of all cells."""
    places = np.array(list(np.ndindex(size)))
    if mixing == "attention":
        return attended(layers, "mix", x, held, places, 2)
    if mixing == "none":
        return x
    out = np.zeros_like(x) + layers["mix.bias"]
    for p, q in np.ndindex(len(x), len(x)):
        dy, dx = places[q] - places[p]
        if max(abs(dy), abs(dx)) <= 1:
            out[p] += layers["mix.weight"][:, :, dy + 1, dx + 1] @ x[q]
    return x + relu(out)


@pytest.mark.equation("proximity", "attention", "mixing", "S", "a_t", "patches")
@pytest.mark.parametrize("mixing", ["conv", "attention", "none"])
def test_maps_are_those_of_attention_across_frames_in_numpy(mixing: str) -> None:
    """Embedding, attention of each cell through time, mixing inside a frame, head and prior; then the authors' maps."""
    t, size, dims = 5, (2, 3), 3
    config = ProximityConfig(width=4, heads=2, layers=2, hidden=5, mixing=mixing, frame_top=2, patches="relative")  # type: ignore[arg-type]
    made = drawn(model(config, dims))
    layers, bags = Layers(made), view([(t, *size)], dims)
    bags["cells"].features = bags["cells"].features.double()
    bags["cells"].features[0, [4, 13, 14]] = 0
    with torch.no_grad():
        output = made(bags)
    features = bags["cells"].features[0].numpy().reshape(t, 6, dims)
    held = features.any(-1)
    x = layers.linear("embed", features) * held[..., None]
    for layer in ("frames.0", "frames.1"):
        for cell in range(6):
            x[:, cell] = attended(layers, layer, x[:, cell], held[:, cell], np.arange(t)[:, None], 2)
        x *= held[..., None]
    x = np.stack([mixed(layers, mixing, x[k], held[k], size) for k in range(t)])
    logits = layers.linear("head.2", relu(layers.linear("head.0", x)))[..., 0]
    logits += layers["steep"] * (np.sqrt((features**2).mean(-1)) / 2.0 - 1)
    maps = sigmoid(logits) * held
    np.testing.assert_allclose(output.extra["maps"][0], maps, rtol=1e-5, atol=1e-7)
    for k, frame in enumerate(maps.reshape(t, *size)):
        around = np.pad(frame, 1, mode="edge")
        mean = np.array([[around[y : y + 3, x_ : x_ + 3].mean() for x_ in range(3)] for y in range(2)])
        shown = (mean - mean.min()) / (mean.max() - mean.min()) * np.sort(frame.ravel())[-2:].mean()
        np.testing.assert_allclose(output.scores[0].reshape(t, 6)[k], shown.ravel() * held[k], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("mixing", ["none", "conv", "attention"])
def test_grids_of_several_sizes_share_a_batch(mixing: str) -> None:
    made = model(ProximityConfig(mixing=mixing, patches="relative")).eval()  # type: ignore[arg-type]
    shapes = [(4, 7, 7), (6, 2, 3), (1, 14, 9)]
    bags = view(shapes)
    with torch.no_grad():
        together = made(bags).scores
        for row, shape in enumerate(shapes):
            n = int(np.prod(shape))
            alone = {"cells": view([shape])["cells"]}
            alone["cells"].features = bags["cells"].features[row : row + 1, :n]
            torch.testing.assert_close(made(alone).scores[0], together[row, :n], rtol=1e-5, atol=1e-6)


def test_only_attention_across_frames_looks_at_other_times() -> None:
    assert model(ProximityConfig()).reach is None
    assert model(ProximityConfig(layers=0)).reach == 0


def test_a_lane_attends_to_its_own_times_alone() -> None:
    made = model(ProximityConfig(mixing="none")).eval()
    bags, lane = view([(5, 2, 2)]), view([(5, 1, 1)])
    bags["cells"].features[0, 7] = 0
    lane["cells"].features = bags["cells"].features[:, 3::4]
    with torch.no_grad():
        found = made(bags).scores
        torch.testing.assert_close(found[:, 3::4], made(lane).scores, rtol=1e-5, atol=1e-6)
        assert found[0, 7] == 0
        short = view([(4, 1, 1)])
        short["cells"].features = lane["cells"].features[:, [0, 2, 3, 4]]
        seen = model(ProximityConfig(mixing="none", distance=False)).eval()
        torch.testing.assert_close(seen(lane).scores[:, [0, 2, 3, 4]], seen(short).scores, rtol=1e-5, atol=1e-6)


def test_relative_maps_reach_the_frame_score_at_their_peak() -> None:
    bags = view([(3, 4, 4)])
    made = model(ProximityConfig(patches="relative", frame_top=1)).eval()
    plain_scores = model(ProximityConfig(patches="scores")).eval()(bags).scores.reshape(3, 16)
    shown = made(bags).scores.reshape(3, 16)
    torch.testing.assert_close(shown.amax(1), plain_scores.amax(1), rtol=1e-5, atol=1e-6)
    assert (shown.amin(1) == 0).all()


@pytest.mark.parametrize(
    "wrong", [{"sigma": 0.0}, {"top": 0.0}, {"window": 1.5}, {"dropout": 0.4}, {"heads": 0}, {"prior": 0.0}]
)
def test_senseless_settings_are_named(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        ProximityConfig(**wrong)  # type: ignore[arg-type]


def test_width_must_suit_the_heads() -> None:
    with pytest.raises(ConfigError, match="multiple of heads"):
        model(ProximityConfig(width=10))
