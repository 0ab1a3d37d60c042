from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from oracle import drawn

from wherewhen.core.contracts import StagedMethod, View
from wherewhen.methods.stil import STIL, STILConfig

LABELS = torch.tensor([0.0, 1.0, 0.0, 1.0])


def lines(made: STIL) -> tuple[np.ndarray, float, np.ndarray, float]:
    state = {name: value.numpy().astype(np.float64) for name, value in made.state_dict().items()}
    return state["line.weight"][0], state["line.bias"][0], state["video.weight"][0], state["video.bias"][0]


@pytest.mark.equation("stil", "f(x)", "g(m)", "selected", "margin", "video", "penalty", "score")
@pytest.mark.parametrize("stage", [0, 1])
def test_hinges_and_scores_are_those_of_two_lines(stage: int, tube_bags: dict[str, View]) -> None:
    """Bag by bag: the mean stands in at first, then whom the line of the turn before meant."""
    torch.manual_seed(0)
    made = STIL(STILConfig(rerank=0.25, penalty=0.1), {"tubes": 6}).train()
    assert isinstance(made, StagedMethod)
    made.study(stage, iter(()))
    past = made.line.weight.detach().numpy()[0].copy()
    with torch.no_grad():
        made.line.weight.add_(torch.randn(1, 6))
        output = made(tube_bags)
        terms = made.loss(output, tube_bags, LABELS)
    w, b, u, c = lines(made)
    hinges: dict[str, list[list[float]]] = {"margin": [[], []], "video": [[], []]}
    for number in range(4):
        whole = tube_bags["tubes"].features[number].numpy().astype(np.float64)
        rows = [k for k in range(len(whole)) if tube_bags["tubes"].mask[number, k] and whole[k].any()]
        margins = {k: w @ whole[k] + b for k in rows}
        said = u @ np.mean([whole[k] for k in rows], 0) + c
        for k in range(len(whole)):
            wanted = 1 / (1 + np.exp(-(0.75 * margins[k] + 0.25 * said))) if k in margins else 0
            assert float(output.scores[number, k]) == pytest.approx(wanted, rel=1e-4, abs=1e-6)
        if LABELS[number]:
            meant = np.mean(list(margins.values())) if not stage else margins[max(rows, key=lambda k: past @ whole[k])]
            hinges["margin"][1].append(max(0, 1 - meant) ** 2)
            hinges["video"][1].append(max(0, 1 - said) ** 2)
        else:
            highest = max(margins.values()) if stage else np.mean(list(margins.values()))
            hinges["margin"][0].append(max(0, 1 + highest) ** 2)
            hinges["video"][0].append(max(0, 1 + said) ** 2)
    for name, (low, high) in hinges.items():
        assert float(terms[name]) == pytest.approx(np.mean(low) + np.mean(high), rel=1e-4)
    assert float(terms["penalty"]) == pytest.approx(0.1 * (w @ w + u @ u) / 2, rel=1e-5)


def test_ranking_anew_moves_videos_and_not_tubes_within_one(tube_bags: dict[str, View]) -> None:
    torch.manual_seed(0)
    made = STIL(STILConfig(rerank=0.5), {"tubes": 6}).eval()
    with torch.no_grad():
        before = made(tube_bags).scores
        made.video.bias.add_(2.0)
        after = made(tube_bags).scores
    assert torch.equal(before.argsort(1), after.argsort(1)) and (after[before > 0] > before[before > 0]).all()


def test_turns_ask_the_line_of_the_turn_before(tube_bags: dict[str, View]) -> None:
    made = STIL(STILConfig(rounds=2), {"tubes": 6}).train()
    for stage in range(made.stages):
        made.study(stage, iter(()))
        torch.testing.assert_close(made.past, made.line.weight.detach()[0])
        with torch.no_grad():
            made.line.weight.add_(1.0)
    assert made.stages == 3 and not torch.equal(made.past, made.line.weight[0])


@pytest.mark.equation("stil", "selected", "margin", "video", "penalty")
def test_turns_end_at_the_lines_of_the_same_turns_in_numpy(tube_bags: dict[str, View]) -> None:
    """MI-SVM of Andrews et al., equation 8, by gradients written out: the mean first, then the selected tubes."""
    made, rate = drawn(STIL(STILConfig(rounds=2, penalty=0.2, rerank=0.4), {"tubes": 6})).train(), 0.05
    w, b, u, c = lines(made)
    tubes = replace(tube_bags["tubes"], features=tube_bags["tubes"].features.double())
    optimizer = torch.optim.SGD(made.parameters(), rate)
    videos = [
        rows[rows.any(1)] for rows in (bag[mask].numpy() for bag, mask in zip(tubes.features, tubes.mask, strict=True))
    ]
    for stage in range(made.stages):
        made.study(stage, iter(()))
        past = w
        for _ in range(6):
            optimizer.zero_grad()
            sum(made.loss(made({"tubes": tubes}), {"tubes": tubes}, LABELS).values()).backward()
            optimizer.step()
            slopes = [0.2 * w, 0.0, 0.2 * u, 0.0]
            for rows, label in zip(videos, LABELS.tolist(), strict=True):
                mean, sign = rows.mean(0), -1 if label else 1
                meant = rows[np.argmax(rows @ (past if label else w))] if stage else mean
                for k, (row, score) in enumerate(((meant, w @ meant + b), (mean, u @ mean + c))):
                    slope = sign * 2 * max(0.0, 1 + sign * score) / 2  # the mean over two bags of a label
                    slopes[2 * k] = slopes[2 * k] + slope * row
                    slopes[2 * k + 1] += slope
            w, b, u, c = (value - rate * slope for value, slope in zip((w, b, u, c), slopes, strict=True))
    for found, wanted in zip(lines(made), (w, b, u, c), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
