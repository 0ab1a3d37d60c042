from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from wherewhen.core.contracts import Output, View
from wherewhen.core.errors import ConfigError
from wherewhen.methods import rtfm
from wherewhen.methods._sequences import picks
from wherewhen.methods.rtfm import PUBLISHED, RTFM, RTFMConfig, magnitudes

CellBags = Callable[..., dict[str, View]]
CheckCells = Callable[[torch.nn.Module], None]

FIXTURES = {"head_rtfm_2048": 2048, "head_rtfm_1024": 1024}


def official(golden: Any, dims: int) -> RTFM:
    model = RTFM(PUBLISHED, {"cells": dims})
    model.load_state_dict(rtfm.official(golden.tensors))
    return model.eval()


def crops(model: RTFM, x: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Features ``(bags, crops, T, D)`` and scores ``(bags, crops, T)`` of inputs of that shape."""
    rows = torch.from_numpy(x).flatten(0, 1)
    with torch.no_grad():
        features, scores = model.network(rows, torch.ones(rows.shape[:2], dtype=torch.bool))
    return features.reshape(x.shape), scores.reshape(x.shape[:3])


@pytest.mark.parametrize("name", FIXTURES)
@pytest.mark.parametrize("shape", ["train_shape", "test_T200", "test_1crop_T32", "test_T32"])
def test_the_network_is_the_published_one(name: str, shape: str, golden: Callable[[str], Any]) -> None:
    found = golden(name)
    features, scores = crops(official(found, FIXTURES[name]), found.input(*found.spec["input"][shape]))
    mean, lengths = scores.mean(1), features.norm(dim=-1).mean(1)
    found.close(f"{shape}__scores", mean[..., None])
    found.close(f"{shape}__feat_magnitudes", lengths)
    if shape != "train_shape":
        return
    found.close("aggregate_first_video_10_crops", features[0])
    weights = picks(lengths, torch.ones_like(lengths).bool(), torch.full((4,), 3))
    bag = (weights * mean).sum(1, keepdim=True)
    found.close("train_shape__score_normal", bag[:2])
    found.close("train_shape__score_abnormal", bag[2:])


def test_the_loss_is_the_published_one(golden: Callable[[str], Any]) -> None:
    found = golden("losses_pure_functions")
    values, data = found.spec["values"], {k: torch.from_numpy(v) for k, v in found.outputs.items() if "rtfm__in" in k}
    normal, anomalous = (data[f"rtfm__in_feat_{kind}"].mean(1).norm(dim=-1) for kind in ("normal", "abnormal"))
    scores = torch.cat([data["rtfm__in_score_normal"], data["rtfm__in_score_abnormal"]]).squeeze(1)
    joined = data["rtfm__in_abnormal_snippet_scores_joined"].reshape(4, 32, 1)
    grid = torch.cat([torch.rand(4, 32, 1), joined])
    extra = {"scores": grid, "held": torch.ones_like(grid).bool(), "bag": scores, "feature": torch.zeros(8, 128)}
    labels = torch.tensor([0.0] * 4 + [1.0] * 4)
    terms = RTFM(PUBLISHED, {"cells": 128}).loss(Output(grid, extra), {}, labels)
    pairs = 1e-4 * magnitudes(anomalous, normal, 100, matched=True)
    assert float(terms["bag"] + pairs) == pytest.approx(values["rtfm__rtfm_loss"], rel=2e-5)
    assert float(terms["sparsity"]) == pytest.approx(values["rtfm__sparsity_8e-3"], rel=2e-5)
    assert float(terms["smoothness"]) == pytest.approx(values["rtfm__smooth_8e-4"], rel=2e-5)


def test_one_cell_is_the_published_method_and_cells_share_its_weights(check_cells_alone: CheckCells) -> None:
    torch.manual_seed(0)
    check_cells_alone(RTFM(RTFMConfig(), {"cells": 5}).eval())


@torch.no_grad()
def test_the_loss_equals_a_plain_reading(cell_bags: CellBags) -> None:
    torch.manual_seed(1)
    config = RTFMConfig(top=0.2, margin=7.0)
    model, views = RTFM(config, {"cells": 5}).eval(), cell_bags(torch.randn(5, 24, 5), (6, 2, 2))
    views["cells"].features[:, 3::4] = 0  # a lane that holds nothing
    views["cells"].features[2, 4] = 0
    output, labels = model(views), torch.tensor([1.0, 0, 1, 0, 0])
    terms = {name: float(value) for name, value in model.loss(output, views, labels).items()}
    scores, length, bag = output.scores.reshape(5, 6, 4), [], []
    for row in range(5):
        lanes = views["cells"].features[row].reshape(6, 4, 5)[:, :3].transpose(0, 1)
        features, given = model.network(lanes, torch.ones(3, 6).bool())
        held = (lanes != 0).any(-1).flatten()
        features, given = features.reshape(-1, 5)[held], given.flatten()[held]
        best = sorted(range(len(given)), key=lambda k: -float(features[k].norm()))[: max(3, int(0.2 * len(given)))]
        length.append(float(features[best].mean(0).norm()) * (2048 / 5) ** 0.5)
        bag.append(float(given[best].mean()))
    nll = [-np.log(s if y else 1 - s) for s, y in zip(bag, labels.tolist(), strict=True)]
    assert terms["bag"] == pytest.approx(np.mean(nll), abs=1e-5)
    pairs = [(abs(7 - length[a]) + length[n]) ** 2 for a in (0, 2) for n in (1, 3, 4)]
    assert terms["magnitude"] == pytest.approx(1e-5 * np.mean(pairs), rel=1e-4)
    roots = [np.sqrt(float((scores[k] ** 2).sum()) / 3) for k in (0, 2)]
    assert terms["sparsity"] == pytest.approx(8e-3 * np.mean(roots), rel=1e-4)
    jumps = (scores.diff(dim=1) ** 2).clone()
    jumps[2, 0:2, 0] = 0  # beside the empty cell (step 1, cell 0)
    assert terms["smoothness"] == pytest.approx(8e-4 * float(jumps[[0, 2]].sum()) / 3, rel=1e-4)


@pytest.mark.parametrize("wrong", [{"width": 0}, {"top": 1.0}, {"dropout": -0.1}, {"margin": float("nan")}])
def test_senseless_settings_are_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        RTFMConfig(**wrong)
