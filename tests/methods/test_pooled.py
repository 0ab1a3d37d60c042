"""Statistics of windows: against a plain reading of the definition, and what the map of scores says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from oracle import Array, Layers, drawn, sigmoid

from wherewhen.backbones import _motion_groups
from wherewhen.core.contracts import View
from wherewhen.core.errors import ConfigError
from wherewhen.core.values import Instances
from wherewhen.methods._grid import lanes
from wherewhen.methods.pooled import GROUPS, PARTS, STILL, Pooled, PooledConfig


def bag(steps: int, cells: int, seconds: np.ndarray, seed: int = 0, dims: int = 3) -> View:
    """A bag of ``steps`` x ``cells`` whose steps end at ``seconds``."""
    values = np.random.default_rng(seed).random((steps * cells, dims)).astype(np.float32)
    times = np.stack([np.r_[0, seconds[:-1]], seconds], 1).repeat(cells, 0)
    extents = np.concatenate([times, np.tile([0, 0, 1, 1], (steps * cells, 1))], 1).astype(np.float32)
    mask = torch.ones(1, steps * cells, dtype=torch.bool)
    return View(
        torch.tensor(values)[None],
        torch.tensor(extents)[None],
        -torch.ones(1, steps * cells),
        mask,
        ((steps, 1, cells),),
    )


@given(st.lists(st.floats(0.1, 1.5), min_size=1, max_size=12), st.integers(1, 5), st.floats(0.2, 6))
def test_statistics_are_those_of_the_steps_whose_center_is_in_the_window(
    lengths: list[float], cells: int, window: float
) -> None:
    view = bag(len(lengths), cells, np.cumsum(lengths))
    values = Pooled(PooledConfig(window=window), {"cells": 3}).statistics(view, lanes(view))[0].numpy()
    rows = view.features[0].numpy().reshape(len(lengths), cells, 3).astype(float)
    steps = np.concatenate([rows.mean(1), (rows**4).mean(1) ** 0.25], 1)
    centers = view.extents[0, ::cells, :2].double().mean(1).numpy()
    assert values.shape == (len(lengths), PARTS * 3)
    for center, row in zip(centers, values, strict=True):
        part = steps[np.abs(centers - center) <= window / 2 + 1e-6]
        mean = part.mean(0)
        scaled = [half / (np.linalg.norm(half) + 1e-3) for half in (mean[:3], mean[3:])]
        expected = np.concatenate([mean, part.std(0), *scaled, part.std(0) / (mean + STILL)])
        np.testing.assert_allclose(row, expected, rtol=1e-3, atol=1e-3)


def windowed(rows: Array, centers: Array) -> Array:
    """Statistics ``(T, 8 D)`` of cells ``(T, P, D)`` in windows of 3 s, as the page writes them."""
    steps = np.concatenate([rows.mean(1), (rows**4).mean(1) ** 0.25], 1)
    size, result = rows.shape[2], []
    for center in centers:
        part = steps[np.abs(centers - center) <= 1.5 + 1e-6]
        mean, deviation = part.mean(0), part.std(0)
        lengths = np.repeat([np.linalg.norm(half) + 1e-3 for half in (mean[:size], mean[size:])], size)
        result.append(np.concatenate([mean, deviation, mean / lengths, deviation / (mean + STILL)]))
    return np.array(result)


@pytest.mark.equation("pooled", "m_t", "q_t", "M, Q", "V, W", "z_t", "l_th", "L", "s_ti")
def test_scores_and_loss_are_the_equations_of_the_page() -> None:
    model = Pooled(PooledConfig(heads=2, hidden=3), {"cells": 3})
    bags = [bag(7, 4, np.arange(1, 8) * 0.7, seed=k) for k in (0, 1)]
    model.study(0, [({"cells": one}, torch.tensor([k])) for k, one in enumerate(bags)])
    drawn(model, size=0.4).float()
    cells = [one.features[0].numpy().reshape(7, 4, 3).astype(float) for one in bags]
    centers = (np.arange(7) + 0.5) * 0.7
    rows = [windowed(one, centers) for one in cells]
    middle = np.mean([one.mean(0) for one in rows], 0)
    scale = np.sqrt(np.mean([(one**2).mean(0) for one in rows], 0) - middle**2) + 1e-3
    weights = Layers(model)
    for label, (one, row, values) in enumerate(zip(bags, rows, cells, strict=True)):
        with torch.no_grad():
            output = model({"cells": one})
            found = float(model.loss(output, {"cells": one}, torch.tensor([float(label)]))["bag"])
        z, losses, scores = ((row - middle) / scale).clip(-5, 5), [], []
        for head in range(2):
            hidden = np.maximum(z @ weights["first"][head] + weights["bias"][head, 0], 0)
            logits = hidden @ weights["last"][head, :, 0] + weights["shift"][head, 0, 0]
            scores.append(sigmoid(logits))
            p, y = sigmoid(np.sort(logits)[-2:].mean()), 0.95 if label else 0.05  # 2: a fifth of 7, rounded up
            losses.append(-y * np.log(p) - (1 - y) * np.log(1 - p))
        long = np.linalg.norm(values / middle[3:6], axis=2)
        wanted = np.mean(scores, 0)[:, None] * long / long.max(1, keepdims=True)
        np.testing.assert_allclose(output.scores[0].reshape(7, 4), wanted, rtol=2e-3)
        assert found == pytest.approx(np.mean(losses), rel=2e-3)


def test_the_highest_score_of_a_step_is_that_of_its_window() -> None:
    torch.manual_seed(0)
    model, view = Pooled(PooledConfig(), {"cells": 3}).eval(), bag(6, 4, np.arange(1, 7) / 2)
    output = model({"cells": view})
    scores = output.scores.reshape(6, 4)
    torch.testing.assert_close(scores.amax(1), torch.sigmoid(output.extra["heads"]).mean(-1)[0])
    longest = torch.linalg.vector_norm(view.features[0].reshape(6, 4, 3), dim=-1).argmax(1)
    assert scores.argmax(1).tolist() == longest.tolist(), "where features are longest"


def test_the_amount_of_motion_is_seen_beside_its_composition() -> None:
    view = bag(5, 4, np.arange(1, 6) / 2)
    model = Pooled(PooledConfig(), {"cells": 3})
    once = model.statistics(view, lanes(view))
    view.features *= 2
    twice = model.statistics(view, lanes(view))
    torch.testing.assert_close(twice[..., :12], 2 * once[..., :12], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(twice[..., 12:], once[..., 12:], rtol=2e-2, atol=2e-3)


def test_it_ranks_videos_whose_motion_has_another_composition() -> None:
    """Equal amounts, other shares of features: what single cells can't be ranked by."""
    torch.manual_seed(0)
    views, labels = [], []
    for number in range(24):
        view = bag(8, 6, np.arange(1, 9) / 2, seed=number)
        view.features[..., number % 2] *= 2  # more of the one or of the other
        view.features *= 0.5 + number / 12
        views.append(view)
        labels.append(float(number % 2))
    model = Pooled(PooledConfig(dropout=0.2), {"cells": 3})
    model.study(0, [({"cells": view}, torch.tensor([label])) for view, label in zip(views, labels, strict=True)])
    whole = {
        "cells": View(
            *(torch.cat([getattr(v, name) for v in views]) for name in ("features", "extents", "track", "mask")),
            tuple(v.shapes[0] for v in views),
        )
    }
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        model.loss(model(whole), whole, torch.tensor(labels))["bag"].backward()
        optimizer.step()
    peaks = model.eval()(whole).scores.amax(1).detach().numpy()
    anomalous, normal = peaks[1::2], peaks[::2]
    assert (anomalous[:, None] > normal).mean() > 0.95


@pytest.mark.parametrize("wrong", [{"heads": 0}, {"hidden": 0}, {"dropout": 1.0}, {"top": -0.1}, {"window": 0.0}])
def test_senseless_settings(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="pooled: "):
        PooledConfig(**wrong)  # type: ignore[arg-type]


@given(st.integers(1, 6), st.integers(1, 7))
def test_a_summarized_bag_has_the_statistics_of_its_cells(steps: int, cells: int) -> None:
    view = bag(steps, cells, np.arange(1, steps + 1) / 2, seed=steps * cells)
    model = Pooled(PooledConfig(), {"cells": 3}).eval()
    rows = Pooled.summary(Instances(view.features[0].numpy(), view.extents[0].numpy(), shape=(steps, 1, cells)))
    assert rows.shape == (steps, 1, 1) and rows.extents[:, 2:].tolist() == [[0, 0, 1, 1]] * steps
    short = bag(steps, 1, np.arange(1, steps + 1) / 2)
    short.features = torch.from_numpy(rows.features)[None]
    torch.testing.assert_close(model.statistics(short, lanes(short)), model.statistics(view, lanes(view)))
    peaks = model({"cells": view}).scores.reshape(steps, cells).amax(1)
    torch.testing.assert_close(model({"cells": short}).scores[0], peaks)


def test_the_preset_names_all_groups_of_motion() -> None:
    assert set(GROUPS) == set(_motion_groups.GROUPS)
