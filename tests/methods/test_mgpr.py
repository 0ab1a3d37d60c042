"""The two branches against plain readings of the paper's equations, number by number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from wherewhen.core.contracts import Output, StagedMethod, View
from wherewhen.core.errors import ConfigError
from wherewhen.core.values import Bag
from wherewhen.inference.packing import view
from wherewhen.methods import mgpr
from wherewhen.methods._branch import NOTHING, Attention, Branch
from wherewhen.methods.mgpr import MGPR, PUBLISHED, MGPRConfig

MakeBag = Callable[..., Bag]
DIMS = dict.fromkeys(MGPR.views, 6)


def model(**given: Any) -> MGPR:
    torch.manual_seed(0)
    return MGPR(MGPRConfig(**given), DIMS)


@pytest.fixture
def bags(toy_bag: MakeBag) -> dict[str, View]:
    made = [toy_bag(n, n % 2, 3 + n, (1, 2), views=MGPR.views) for n in range(4)]
    return {name: view([bag.views[name] for bag in made]) for name in MGPR.views}


LABELS = torch.tensor([0.0, 1.0, 0.0, 1.0])


def array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().numpy().astype(np.float64)


def related(layer: Attention, keys: np.ndarray, asking: np.ndarray) -> np.ndarray:
    """Equations 1 to 3, an instance and a head at a time."""
    q, k, v = (array(part.weight) for part in (layer.query, layer.key, layer.value))
    size = len(asking) // layer.heads
    heads = []
    for j in range(layer.heads):
        rows = slice(j * size, (j + 1) * size)
        logits = np.array([(q[rows] @ asking) @ (k[rows] @ key) / np.sqrt(size) for key in keys])
        shares = np.exp(logits - logits.max())
        shares /= shares.sum()
        heads.append(sum(share * (v[rows] @ key) for share, key in zip(shares, keys, strict=True)))
    return np.concatenate(heads) + asking


def headed(branch: Branch, row: np.ndarray, given: np.ndarray) -> float:
    """Sultani's three layers: ReLU, linear, one number; and what the length of the features says by itself."""
    length = np.sqrt(np.mean(given**2))
    for number, layer in enumerate(branch.layers):
        row = array(layer.weight) @ row + array(layer.bias)
        row = np.maximum(row, 0) if number == 0 else row
    return float(row[0]) + (float(branch.steep.detach()) * (length / branch.prior - 1) if branch.prior else 0)


def entered(branch: Branch, rows: np.ndarray) -> np.ndarray:
    layer = branch.enter
    return rows if isinstance(layer, torch.nn.Identity) else rows @ array(layer.weight).T + array(layer.bias)


def sigmoid(x: float) -> float:
    return 1 / (1 + np.exp(-x))


@pytest.mark.equation("mgpr", "h_j", "X~", "p_t, p_v", "score")
@pytest.mark.parametrize(("width", "prior"), [(None, None), (16, 2.0)])
def test_scores_are_the_mean_of_both_branches(width: int | None, prior: float | None, bags: dict[str, View]) -> None:
    """Equations 1 to 3 and 9."""
    made = model(width=width, prior=prior).eval()
    with torch.no_grad():
        output = made(bags)
    for number in range(4):
        tubes, frames, videolets = (array(bags[name].features[number][bags[name].mask[number]]) for name in MGPR.views)
        own, others = entered(made.tube, tubes), entered(made.temporal, videolets)
        for row in range(len(tubes)):
            region = headed(made.tube, related(made.tube.relation, own, own[row]), tubes[row])
            guest = entered(made.temporal, frames[row : row + 1])[0]
            image = headed(
                made.temporal, related(made.temporal.relation, np.vstack([others, guest]), guest), frames[row]
            )
            wanted = (sigmoid(region) + sigmoid(image)) / 2
            assert float(output.scores[number, row]) == pytest.approx(wanted, rel=1e-4)
            assert float(output.extra["tube_guide"][number, row]) == pytest.approx(image, rel=1e-3, abs=1e-4)
        for row in range(len(videolets)):
            plain = headed(made.temporal, related(made.temporal.relation, others, others[row]), videolets[row])
            guest = entered(made.tube, videolets[row : row + 1])[0]
            told = headed(made.tube, related(made.tube.relation, np.vstack([own, guest]), guest), videolets[row])
            assert float(output.extra["temporal"][number, row]) == pytest.approx(plain, rel=1e-3, abs=1e-4)
            assert float(output.extra["temporal_guide"][number, row]) == pytest.approx(told, rel=1e-3, abs=1e-4)


def test_a_graph_joins_by_nearness_and_likeness(bags: dict[str, View]) -> None:
    made = model(relation="graph").eval()
    with torch.no_grad():
        output = made(bags)
    one = bags["videolets"]
    rows, spans = array(one.features[2][one.mask[2]]), array(one.extents[2][one.mask[2]])[:, :2]
    branch = made.temporal
    own, count = entered(branch, rows), len(rows)
    usual = np.mean(spans[:, 1] - spans[:, 0])
    near, alike = np.zeros((count, count)), np.zeros((count, count))
    for i in range(count):
        for j in range(count):
            near[i, j] = np.exp(-abs(spans[i].mean() - spans[j].mean()) / usual)
            alike[i, j] = np.exp(own[i] @ own[j] - max(own[i] @ own[k] for k in range(count)))
    added = np.zeros_like(own)
    for adjacency, layer in ((near, branch.relation.near), (alike, branch.relation.alike)):
        sums = adjacency.sum(1)
        for i in range(count):
            taken = sum(adjacency[i, j] / np.sqrt(sums[i] * sums[j]) * own[j] for j in range(count))
            added[i] += np.maximum(taken @ array(layer.weight), 0) / 2
    for row in range(count):
        assert float(output.extra["temporal"][2, row]) == pytest.approx(
            headed(branch, own[row] + added[row], rows[row]), rel=1e-3, abs=1e-4
        )


@pytest.mark.equation("mgpr", "t, v", "tube_ranking", "temporal_ranking", "entropy")
@pytest.mark.parametrize("pairs", ["all", "matched"])
@pytest.mark.parametrize("ranking", ["guided", "plain", "none"])
@pytest.mark.parametrize("entropy", [True, False])
def test_the_loss_is_the_papers(pairs: str, ranking: str, entropy: bool) -> None:
    """Equations 4 to 8 with the best instance of each branch, pair by pair."""
    if ranking == "none" and not entropy:
        pytest.skip("nothing to learn from")
    made = model(pairs=pairs, ranking=ranking, entropy=entropy).eval()
    draw = torch.Generator().manual_seed(1)
    names = ("tube", "tube_guide", "temporal", "temporal_guide")
    extra = {name: torch.randn(4, 5, generator=draw) for name in names}
    extra["tube"][0, 3:] = NOTHING
    terms = made.loss(Output(torch.zeros(4, 5), extra), {}, LABELS)
    entropies = 0.0
    for name in ("tube", "temporal"):
        best = [max(range(5), key=lambda k, b=b, name=name: float(extra[name][b, k])) for b in range(4)]
        score = [sigmoid(float(extra[name][b, k])) for b, k in enumerate(best)]
        guide = [sigmoid(float(extra[f"{name}_guide"][b, k])) if ranking == "guided" else 1 for b, k in enumerate(best)]
        chosen = [(1, 0), (3, 2)] if pairs == "matched" else [(a, n) for a in (1, 3) for n in (0, 2)]
        wanted = np.mean([max(0, guide[a] * (1 - score[a] + score[n])) for a, n in chosen]) if ranking != "none" else 0
        assert float(terms[f"{name}_ranking"]) == pytest.approx(wanted, rel=1e-5)
        entropies += -np.mean(np.log([score[1], score[3]])) - np.mean(np.log([1 - score[0], 1 - score[2]]))
    assert float(terms["entropy"]) == pytest.approx(entropies if entropy else 0, rel=1e-5)


@pytest.mark.equation("mgpr", "L")
def test_a_step_descends_the_loss_of_one_branch(bags: dict[str, View]) -> None:
    """Equations 6 and 8: psi is 0 at first, then 1, and the cross-entropy is that of the branch in training."""
    made = model(dropout=0.0).train()
    made.study(0, iter(()))
    for psi in (0, 1, 0):
        output, wanted = made(bags), 0.0
        for name, weight in (("tube", psi), ("temporal", 1 - psi)):
            logits, guides = array(output.extra[name]), array(output.extra[f"{name}_guide"])
            score = [sigmoid(row.max()) for row in logits]
            guide = [sigmoid(row[k]) for row, k in zip(guides, logits.argmax(1), strict=True)]
            ranking = np.mean([guide[a] * (1 - score[a] + score[n]) for a in (1, 3) for n in (0, 2)])
            entropy = -np.mean(np.log([score[1], score[3]])) - np.mean(np.log([1 - score[0], 1 - score[2]]))
            wanted += weight * (ranking + entropy)
        assert sum(value.item() for value in made.loss(output, bags, LABELS).values()) == pytest.approx(
            wanted, rel=1e-5
        )


def moved(made: MGPR, bags: dict[str, View]) -> set[str]:
    made.zero_grad(set_to_none=True)
    torch.stack(list(made.loss(made(bags), bags, LABELS).values())).sum().backward()  # type: ignore[no-untyped-call]
    return {name.split(".")[0] for name, p in made.named_parameters() if p.grad is not None}


def test_the_branches_take_turns_at_every_step_and_the_temporal_one_begins(bags: dict[str, View]) -> None:
    made = model().train()
    assert isinstance(made, StagedMethod) and moved(made, bags) == {"tube", "temporal"}
    made.study(0, iter(()))
    for turn in range(4):
        assert moved(made, bags) == ({"tube"} if turn % 2 else {"temporal"})
    before = int(made.turn)
    made.eval()(bags)
    assert int(made.turn) == before, "only training takes turns"


def test_a_guide_learns_nothing(bags: dict[str, View]) -> None:
    """Where a branch has its turn, nothing of the other one moves, though its word counts."""
    made = model().train()
    made.study(0, iter(()))
    assert moved(made, bags) == {"temporal"}
    with torch.no_grad():
        loss = float(made.loss(made.eval()(bags), bags, LABELS)["temporal_ranking"])
        made.tube.layers[-1].bias.add_(3.0)
        assert float(made.loss(made(bags), bags, LABELS)["temporal_ranking"]) > loss


@pytest.mark.parametrize("branches", ["tube", "temporal"])
def test_a_branch_alone_scores_alone_and_never_rests(branches: str, bags: dict[str, View]) -> None:
    both, alone = model().eval(), model(branches=branches)
    alone.load_state_dict({k: v for k, v in both.state_dict().items() if k.startswith((f"{branches}.", "turn"))})
    with torch.no_grad():
        whole, part = both(bags), alone.eval()(bags)
    name = "tube" if branches == "tube" else "tube_guide"
    torch.testing.assert_close(part.scores, torch.sigmoid(whole.extra[name]) * bags["tubes"].mask)
    alone.train().study(0, iter(()))
    assert all(moved(alone, bags) == {branches} for _ in range(3))


def test_training_looks_at_a_part_of_many_tubes(bags: dict[str, View]) -> None:
    made = model(instances=4).train()
    torch.manual_seed(1)
    output = made(bags)
    assert output.extra["tube"].shape == (4, 4) and output.scores.shape == bags["tubes"].mask.shape
    assert ((output.scores > 0).sum(1) <= 4).all()
    assert ((output.scores > 0) & ~bags["tubes"].mask).sum() == 0
    with torch.no_grad():
        seen = made.eval()(bags).scores
    assert ((seen > 0) == bags["tubes"].mask).all(), "and detection at all"


def test_without_relations_a_score_reaches_nowhere() -> None:
    assert model(relation="none").reach == 0 and model().reach is None


def test_the_published_network_has_the_published_sizes() -> None:
    with torch.device("meta"):
        made = MGPR(replace(PUBLISHED), dict.fromkeys(MGPR.views, 4096))
    head = 4096 * 512 + 512 + 512 * 32 + 32 + 32 + 1
    assert sum(p.numel() for p in made.parameters()) == 2 * (3 * 4096**2 + head)


def test_tubes_may_tell_more(bags: dict[str, View]) -> None:
    """As with ``tubes.manner``: the other views end in zeros, and the numbers are those of views that do."""
    longer = {**bags, "tubes": replace(bags["tubes"], features=bags["tubes"].features.repeat(1, 1, 2)[..., :9])}
    padded = {
        name: replace(view, features=torch.cat([view.features, torch.zeros(*view.features.shape[:2], 3)], -1))
        for name, view in bags.items()
    }
    padded["tubes"] = longer["tubes"]
    scores = []
    for dims, views in (({**DIMS, "tubes": 9}, longer), (dict.fromkeys(DIMS, 9), padded)):
        torch.manual_seed(0)
        with torch.no_grad():
            scores.append(MGPR(MGPRConfig(), dims).eval()(views).scores)
    assert torch.equal(*scores)


def test_what_can_not_be_is_told(bags: dict[str, View]) -> None:
    with pytest.raises(ConfigError, match="features of one length, tubes no less; got tubes 6, tube_frames 6, vid"):
        MGPR(MGPRConfig(), {**DIMS, "videolets": 8})
    with pytest.raises(ConfigError, match="tubes no less; got tubes 5"):
        MGPR(MGPRConfig(), {**DIMS, "tubes": 5})
    with pytest.raises(ConfigError, match="are the same instances"):
        model()({**bags, "tube_frames": bags["videolets"]})
    with pytest.raises(ConfigError, match="there is no loss"):
        MGPRConfig(ranking="none", entropy=False)
    with pytest.raises(ConfigError, match="multiple of heads = 8, got 12"):
        MGPRConfig(width=12)


def test_one_kind_of_bag_is_ranked_against_what_it_should_be() -> None:
    tops, guides = torch.tensor([0.25, 0.75]), torch.tensor([0.5, 0.1])
    assert float(mgpr.guided(tops, guides, torch.tensor([True, True]))) == pytest.approx((0.5 * 0.75 + 0.1 * 0.25) / 2)
    assert float(mgpr.guided(tops, guides, torch.tensor([False, False]))) == pytest.approx(0.5)
