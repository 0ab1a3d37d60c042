from __future__ import annotations

import numpy as np
import pytest
import torch

from wherewhen.core.contracts import View
from wherewhen.methods.asa import ASA, ASAConfig


@pytest.mark.equation("asa", "a_i", "p", "L", "score")
@pytest.mark.parametrize("gate", [True, False])
def test_a_video_is_the_weighted_mean_of_its_tubes(gate: bool, tube_bags: dict[str, View]) -> None:
    """Ilse et al., equations 8 and 9, an instance at a time."""
    torch.manual_seed(0)
    made = ASA(ASAConfig(gate=gate, hidden=7, attention=5), {"tubes": 6}).eval()
    weights = {name: value.numpy().astype(np.float64) for name, value in made.state_dict().items()}

    def linear(name: str, row: np.ndarray) -> np.ndarray:
        return weights[f"{name}.weight"] @ row + weights.get(f"{name}.bias", 0)

    def sigmoid(x: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-x))

    with torch.no_grad():
        output = made(tube_bags)
    tubes = tube_bags["tubes"]
    for number in range(4):
        rows = [k for k in range(tubes.mask.shape[1]) if tubes.mask[number, k] and tubes.features[number, k].any()]
        inner = {k: np.maximum(linear("enter", tubes.features[number, k].numpy()), 0) for k in rows}
        told = {}
        for k, row in inner.items():
            seen = np.tanh(linear("look", row))
            told[k] = float(linear("weigh", seen * sigmoid(linear("gate", row)) if gate else seen)[0])
        total = sum(np.exp(value) for value in told.values())
        share = {k: np.exp(value) / total for k, value in told.items()}
        logit = float(linear("leave", sum(share[k] * inner[k] for k in rows))[0])
        assert float(output.extra["logit"][number]) == pytest.approx(logit, rel=1e-4, abs=1e-5)
        wanted = np.zeros(tubes.mask.shape[1])
        for k in rows:
            wanted[k] = sigmoid(logit) * share[k] / max(share.values())
        np.testing.assert_allclose(output.scores[number], wanted, rtol=1e-4, atol=1e-6)
        assert float(output.scores[number].max()) == pytest.approx(float(sigmoid(logit)), rel=1e-5)
    labels = torch.tensor([0.0, 1.0, 0.0, 1.0])
    p = 1 / (1 + np.exp(-output.extra["logit"].numpy().astype(np.float64)))
    wanted_loss = -np.mean([np.log(p[1]), np.log(p[3]), np.log(1 - p[0]), np.log(1 - p[2])])
    assert float(made.loss(output, tube_bags, labels)["entropy"]) == pytest.approx(wanted_loss, rel=1e-5)


def test_training_looks_at_a_part_of_many_tubes(tube_bags: dict[str, View]) -> None:
    made = ASA(ASAConfig(instances=3), {"tubes": 6}).train()
    assert ((made(tube_bags).scores > 0).sum(1) <= 3).all()
    assert ((made.eval()(tube_bags).scores > 0).sum(1) > 3).all()
