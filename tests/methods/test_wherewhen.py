"""Our own method, part by part, against plain second ways to work each out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wherewhen.core.contracts import Output, View
from wherewhen.core.errors import ConfigError
from wherewhen.methods import wherewhen as module
from wherewhen.methods._grid import lanes
from wherewhen.methods.wherewhen import WhereWhen, WhereWhenConfig

Shape = tuple[int, int, int]


def view(features: torch.Tensor, shapes: Iterable[Shape]) -> View:
    """Bags ``(B, N, D)``, each with as many rows as its grid has cells."""
    shapes = tuple(shapes)
    counts = torch.tensor([int(np.prod(shape)) for shape in shapes])
    mask = torch.arange(features.shape[1]) < counts[:, None]
    b, n = mask.shape
    return View(features, torch.zeros(b, n, 6), -torch.ones(b, n), mask, shapes)


def noise(seed: int, *shape: int, empty: float = 0.0) -> torch.Tensor:
    """Seeded features, a share of the rows all zeros."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal(shape) * (rng.random((*shape[:-1], 1)) >= empty)
    return torch.from_numpy(rows.astype(np.float32))


def made(dims: int = 4, **settings: Any) -> WhereWhen:
    torch.manual_seed(0)
    return WhereWhen(WhereWhenConfig(**settings), {"cells": dims})


def studied(method: WhereWhen, bags: list[tuple[torch.Tensor, float]]) -> WhereWhen:
    """The method after a look at bags of one row of cells in time."""
    shown = [({"cells": view(rows[None], [(len(rows), 1, 1)])}, torch.tensor([label])) for rows, label in bags]
    with torch.no_grad():
        method.study(0, shown)
    return method


# --- the memory


def k_means(rows: np.ndarray, count: int) -> np.ndarray:
    """Lloyd's rounds, cell by cell, from the first rows of the method's own order."""
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0)).numpy()
    rows = rows[order]
    centers = np.stack([rows[k % len(rows)] for k in range(count)])
    for _ in range(module.ROUNDS):
        owner = [min(range(count), key=lambda k: float(((row - centers[k]) ** 2).sum())) for row in rows]
        for k in range(count):
            own = [row for row, of in zip(rows, owner, strict=True) if of == k]
            if own:
                centers[k] = np.mean(own, 0)
    return centers


@pytest.mark.equation("wherewhen", "d_i")
@pytest.mark.parametrize(("cells", "memory"), [(40, 5), (3, 5), (7, 1)])
def test_the_memory_is_k_means_of_normal_cells(cells: int, memory: int) -> None:
    rows = noise(cells, cells, 4)
    method = studied(made(memory=memory), [(rows, 0.0)])
    expected = k_means(rows.numpy().astype(np.float64), memory)
    np.testing.assert_allclose(method.memory.numpy(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.equation("wherewhen", "d_i")
def test_the_distance_is_the_nearest_one_of_all() -> None:
    method = studied(made(memory=6), [(noise(1, 50, 4), 0.0)])
    rows = noise(2, 30, 4).numpy().astype(np.float64)
    centers = method.memory.numpy().astype(np.float64)
    expected = [min(np.sqrt(((row - center) ** 2).sum()) for center in centers) / 2 for row in rows]  # sqrt(4) = 2
    found = method._distance(torch.from_numpy(rows).float())
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-5)


def test_what_is_usual_is_the_99th_percent_of_normal_distances() -> None:
    rows = noise(3, 60, 4)
    method = studied(made(memory=4), [(rows, 0.0)])
    centers = method.memory.numpy().astype(np.float64)
    far = [min(np.sqrt(((row - center) ** 2).sum()) for center in centers) / 2 for row in rows.numpy()]
    assert float(method.usual) == pytest.approx(np.quantile(far, 0.99), rel=1e-4)


def test_study_looks_past_anomalous_bags_and_empty_cells() -> None:
    normal, strange = noise(4, 20, 4, empty=0.3), 100 + noise(5, 20, 4)
    assert (normal == 0).all(1).any()
    with_both = studied(made(memory=3), [(strange, 1.0), (normal, 0.0), (strange, 1.0)])
    alone = studied(made(memory=3), [(normal[(normal != 0).any(1)], 0.0)])
    assert torch.equal(with_both.memory, alone.memory) and torch.equal(with_both.usual, alone.usual)
    assert with_both.memory.abs().max() < 10
    again = studied(made(memory=3), [(strange, 0.0)])
    again.remember([{"cells": view(normal[None], [(len(normal), 1, 1)])}])
    assert torch.equal(again.memory, alone.memory) and torch.equal(again.usual, alone.usual)


def test_study_without_any_normal_cell_keeps_what_was() -> None:
    method = made(memory=3)
    before = {name: value.clone() for name, value in method.named_buffers()}
    studied(method, [(noise(6, 9, 4), 1.0), (torch.zeros(5, 4), 0.0)])
    assert all(torch.equal(value, before[name]) for name, value in method.named_buffers())


# --- what a cell sees


@pytest.mark.equation("wherewhen", "z_hi")
@given(st.integers(0, 10_000), st.integers(1, 3), st.integers(1, 4), st.integers(1, 4))
@settings(deadline=None, max_examples=30)
def test_neighbors_are_the_mean_of_held_cells_around(seed: int, steps: int, height: int, wide: int) -> None:
    rows = noise(seed, 2, steps * height * wide, 3, empty=0.4)
    seen = lanes(view(rows, [(steps, height, wide)] * 2))
    found = module._neighbors(seen).numpy().reshape(2, steps, height, wide, 3)
    grid = rows.numpy().reshape(2, steps, height, wide, 3)
    for b, t, y, x in np.ndindex(2, steps, height, wide):
        around = [
            grid[b, t, j, i]
            for j in range(max(0, y - 1), min(height, y + 2))
            for i in range(max(0, x - 1), min(wide, x + 2))
            if (grid[b, t, j, i] != 0).any()
        ]
        expected = np.mean(around, 0) if around else np.zeros(3)
        np.testing.assert_allclose(found[b, t, y, x], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("context", [False, True])
def test_a_head_is_blind_to_what_is_not_its_part(context: bool) -> None:
    method = made(10, heads=3, share=0.4, context=context, memory=0, length=None).eval()
    part = method.subspace[:, :, 0] > 0
    if context:
        assert torch.equal(part[:, :10], part[:, 10:]), "the same features of a cell and of its neighbors"
    part = part[:, :10]
    assert (part.sum(1) == 4).all() and not torch.equal(part[0], part[1])
    rows = noise(7, 1, 12, 10)
    before = method({"cells": view(rows, [(2, 2, 3)])}).extra["heads"]
    for head, feature in np.ndindex(3, 10):
        other = rows.clone()
        other[..., feature] += 5
        after = method({"cells": view(other, [(2, 2, 3)])}).extra["heads"]
        assert torch.equal(after[:, head], before[:, head]) is not bool(part[head, feature])


@pytest.mark.equation("wherewhen", "d_i", "z_hi", "s_hi", "s_i")
def test_a_score_is_the_equation_of_the_page() -> None:
    method = studied(made(4, heads=2, hidden=3, memory=2, share=0.5), [(noise(8, 30, 4), 0.0)]).eval()
    with torch.no_grad():
        for parameter in method.parameters():
            parameter += 0.1 * torch.randn(parameter.shape)
    rows = noise(9, 1, 6, 4, empty=0.2)
    assert (rows == 0).all(-1).any()
    found = method({"cells": view(rows, [(1, 2, 3)])}).scores.detach().numpy()[0]
    near = module._neighbors(lanes(view(rows, [(1, 2, 3)]))).numpy().reshape(6, 4)  # by loops above
    held = {name: value.detach().numpy().astype(np.float64) for name, value in method.state_dict().items()}
    for cell, row in enumerate(rows[0].numpy().astype(np.float64)):
        if not row.any():
            assert found[cell] == 0
            continue
        scores = []
        for head in range(2):
            seen = np.concatenate([row, near[cell]]) * held["subspace"][head, :, 0]
            hidden = np.maximum(seen @ held["first"][head] + held["bias"][head, 0], 0)
            logit = hidden @ held["last"][head, :, 0] + held["shift"][head, 0, 0]
            logit += held["steep"] * (np.sqrt((row**2).sum()) / (2 * 2.0) - 1)
            far = min(np.sqrt(((row - center) ** 2).sum()) for center in held["memory"]) / 2
            logit += held["unusual"] * (far / held["usual"] - 1)
            scores.append(1 / (1 + np.exp(-logit)))
        assert found[cell] == pytest.approx(np.mean(scores), rel=1e-4)


@pytest.mark.parametrize("part", ["length", "memory"])
def test_training_starts_from_what_is_unusual(part: str) -> None:
    """Alone, each measure orders cells; together with the small heads it still does, nearly."""
    method = studied(made(8, length=2.0 if part == "length" else None, memory=4 if part == "memory" else 0),
                     [(noise(10, 200, 8), 0.0)]).eval()  # fmt: skip
    rows = noise(11, 1, 300, 8) * torch.linspace(0.2, 5, 300)[None, :, None]
    scores = method({"cells": view(rows, [(300, 1, 1)])}).scores[0].detach()
    measure = rows[0].norm(dim=1) if part == "length" else method._distance(rows[0])
    assert np.corrcoef(scores.argsort().argsort(), measure.argsort().argsort())[0, 1] > 0.95


# --- the loss


def terms(method: WhereWhen, scores: torch.Tensor, labels: list[float], shape: Shape) -> dict[str, float]:
    """Loss of given scores of each head ``(B, H, T, P)``, every cell held."""
    bags = view(torch.ones(len(scores), int(np.prod(shape)), 4), [shape] * len(scores))
    held = torch.ones(len(scores), *scores.shape[2:]).bool()
    output = Output(scores.mean(1).flatten(1), {"heads": scores, "held": held, "steps": held.any(-1)})
    found = method.loss(output, {"cells": bags}, torch.tensor(labels))
    return {name: float(value) for name, value in found.items()}


@pytest.mark.equation("wherewhen", "S_hb", "L")
@pytest.mark.parametrize("labels", [[1, 0, 1, 0, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0]])
@pytest.mark.parametrize("top", [0.0, 0.3])
def test_the_loss_is_the_equation_of_the_page(labels: list[float], top: float) -> None:
    scores = np.random.default_rng(12).random((5, 3, 4, 6)).astype(np.float32)
    method = made(heads=3, top=top, margin=0.7, calm=0.4)
    found = terms(method, torch.from_numpy(scores), labels, (4, 2, 3))
    pairs = []
    for head in range(3):
        best = [np.sort(bag[head].ravel())[::-1][: max(1, round(top * 24))].mean() for bag in scores]
        bad = [s for s, label in zip(best, labels, strict=True) if label] or [1.0]
        good = [s for s, label in zip(best, labels, strict=True) if not label] or [0.0]
        pairs += [max(0, 0.7 - a + n) for a in bad for n in good]
    calm = [bag.mean() for bag, label in zip(scores, labels, strict=True) if not label]
    expected = {"ranking": np.mean(pairs), "calm": 0.4 * (np.mean(calm) if calm else 0)}
    assert found == pytest.approx(expected, abs=1e-5)


def test_padding_counts_for_nothing_in_a_bags_best() -> None:
    method = made(heads=2, top=0.25)
    both = view(noise(13, 2, 24, 4), [(6, 2, 2), (2, 2, 2)])
    seen = method.train()({"cells": both})
    found = float(method.loss(seen, {"cells": both}, torch.tensor([1.0, 0.0]))["ranking"].detach())
    first, second = (seen.extra["heads"][k, :, :steps].flatten(1).detach() for k, steps in ((0, 6), (1, 2)))
    best = [[float(np.sort(s)[::-1][: len(s) // 4].mean()) for s in bag.numpy()] for bag in (first, second)]
    assert found == pytest.approx(np.mean([max(0, 1 - a + n) for a, n in zip(*best, strict=True)]), abs=1e-5)


@pytest.mark.equation("wherewhen", "L")
def test_the_single_term_by_hand() -> None:
    """Only anomalous bags count, and of a moment only as much as there is."""
    height, wide = 2, 3
    scores = np.random.default_rng(14).random((3, 2, 4, height * wide)).astype(np.float32)
    scores[0, 0, 0] *= 0.1  # a moment with little in it
    found = terms(made(heads=2, single=0.5), torch.from_numpy(scores), [1, 0, 1], (4, height, wide))
    apart = []
    for bag in (0, 2):
        for head, step in np.ndindex(2, 4):
            mass = scores[bag, head, step].astype(np.float64) ** 2
            places = np.array([[y / (height - 1), x / (wide - 1)] for y in range(height) for x in range(wide)])
            middle = sum(m * place for m, place in zip(mass, places, strict=True)) / mass.sum()
            around = sum(m * ((place - middle) ** 2).sum() for m, place in zip(mass, places, strict=True)) / mass.sum()
            apart.append(around * min(1, mass.sum()))
    assert found["single"] == pytest.approx(0.5 * np.mean(apart), rel=1e-4)


def test_one_place_costs_nothing_and_two_corners_a_half() -> None:
    scores = torch.zeros(2, 1, 1, 4)
    scores[0, 0, 0, 0] = 1
    method = made(heads=1, single=1.0)
    assert terms(method, scores, [1, 0], (1, 2, 2))["single"] == pytest.approx(0)
    scores[0, 0, 0, 3] = 1  # the middle is half a diagonal, the root of a half, from either
    assert terms(method, scores, [1, 0], (1, 2, 2))["single"] == pytest.approx(0.5)


def test_parts_that_are_off_have_no_weights_and_no_terms() -> None:
    method = made(memory=0, length=None)
    names = {name for name, _ in method.named_parameters()}
    assert names == {"first", "bias", "last", "shift"} and method.memory.shape == (0, 4)
    bags = {"cells": view(noise(15, 2, 6, 4), [(1, 2, 3)] * 2)}
    assert set(method.loss(method(bags), bags, torch.tensor([1.0, 0.0]))) == {"ranking"}
    assert studied(method, [(noise(16, 9, 4), 0.0)]).usual == 1


@pytest.mark.parametrize(
    "wrong", [{"heads": 0}, {"hidden": 0}, {"segments": 0}, {"share": 0.0}, {"share": 1.5}, {"top": 1.0},
              {"memory": -1}, {"margin": float("nan")}, {"calm": -1.0}, {"single": -1.0}, {"length": 0.0}]
)  # fmt: skip
def test_senseless_settings_are_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        WhereWhenConfig(**wrong)


# --- a batch that comes again


def test_a_batch_that_comes_again_gives_what_a_new_one_gives() -> None:
    method = studied(made(memory=3), [(noise(1, 20, 4), 0.0)]).train()
    one = view(noise(2, 2, 12, 4, empty=0.2), [(3, 2, 2), (2, 2, 2)])
    other = view(noise(3, 2, 12, 4), [(3, 2, 2), (3, 2, 2)])
    copy = view(one.features.clone(), one.shapes)

    def scores(of: View) -> torch.Tensor:
        return method({"cells": of}).scores.detach()

    first = scores(one)
    np.testing.assert_array_equal(scores(one), first)
    assert not torch.equal(scores(other), first)
    np.testing.assert_array_equal(scores(copy), first)
    scores(one)
    studied(method, [(5 + noise(4, 20, 4), 0.0)])  # what is usual is new, so distances are
    known = scores(one)
    assert not torch.equal(known, first)
    np.testing.assert_array_equal(scores(copy), known)
    method.eval()
    scores(one)
    assert method._last is None  # nothing of a batch is kept for detection
