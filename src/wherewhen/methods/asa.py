"""Actor-supervised attention (after Escorcia et al., CVIU 2020): videos as attention-weighted means of tubes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from wherewhen.core.contracts import MethodAbilities, Output, Provenance, Training, View
from wherewhen.methods._branch import holds, random_rows, subset
from wherewhen.methods._dropout import LockedDropout
from wherewhen.methods._grid import width
from wherewhen.methods._settings import demand

VIEW = "tubes"


@dataclass(frozen=True)
class ASAConfig:
    """Settings of `ASA`; the published ones are not available; defaults are ours unless stated otherwise.

    Args:
        hidden: width of the layer (ReLU) that features pass first; null: 512, less for short ones.
        attention: width of the attention, 128 in Ilse et al., ICML 2018; null: 128, less for short features.
        gate: multiply its tanh by a sigmoid, as the gated attention of Ilse et al.
        dropout: after the first layer.
        locked_dropout: dropout has one mask for all instances of a bag; false: one for each instance.
        instances: number of instances of a bag in training, a random subset, as in Wu et al., 2021; null: all.
    """

    hidden: int | None = None
    attention: int | None = None
    gate: bool = True
    dropout: float = 0.0
    locked_dropout: bool = True
    instances: int | None = 200

    def __post_init__(self) -> None:
        demand("asa", self, positive="hidden attention instances", share="dropout")


PUBLISHED_WSSTAD = ASAConfig(hidden=512, attention=128, locked_dropout=False)
"""In table 1 of Wu et al., IJCAI 2021, who don't state its settings: the defaults, with their 200 instances a bag."""

PUBLISHED_WSSTAD_TRAINING = Training(steps=5400, bags=30, optimizer="adam", learning_rate=5e-4, weight_decay=5e-4)
"""Adam, its rate and 30 + 30 bags are those of Wu et al. for their own method; the rest is not published."""


class ASA(nn.Module):
    """A video is scored by an attention-weighted mean of its instances, an instance by that score and its weight.

    View ``tubes``: features ``(B, N, D)`` -> scores ``(B, N)``: ``p a_i / max a``, so that the best instance has the
    video's own score p. ``extra``: ``logit`` ``(B,)`` of the video.

    >>> model = ASA(ASAConfig(), {"tubes": 3}).eval()
    >>> view = View(torch.ones(1, 4, 3), torch.zeros(1, 4, 6), torch.zeros(1, 4), torch.ones(1, 4).bool(), (None,))
    >>> model({"tubes": view}).scores.shape
    torch.Size([1, 4])
    """

    Config: ClassVar[type] = ASAConfig
    views: ClassVar[tuple[str, ...]] = (VIEW,)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"cells": {"steps": 1, "rows": 7, "columns": 7}}
    abilities: ClassVar[MethodAbilities] = MethodAbilities(
        other_builders=("cells", "videolets"),
        samples_instances=True,
        ablations={
            "no gate": {"gate": False},
            "attention of 32": {"attention": 32},
            "dropout": {"dropout": 0.6},
            "all instances": {"instances": None},
        },
    )
    schedule: ClassVar[Training] = Training(
        steps=150, bags=30, optimizer="adamw", learning_rate=1e-3, weight_decay=1e-2
    )
    source: ClassVar[Provenance] = Provenance(
        title="Actor-supervised attention (ASA)",
        homepage="https://arxiv.org/abs/1804.01824",
        citation="Escorcia et al., Guess where? Actor-supervision for spatiotemporal action localization, CVIU 2020",
    )
    reach: float | None = None

    def __init__(self, config: ASAConfig, dims: Mapping[str, int]) -> None:
        super().__init__()
        self.config = config
        wide = config.hidden or width(512, dims[VIEW])
        self.enter, self.drop = nn.Linear(dims[VIEW], wide), LockedDropout(config.dropout, locked=config.locked_dropout)
        inner = config.attention or width(128, dims[VIEW])
        self.look, self.weigh = nn.Linear(wide, inner), nn.Linear(inner, 1, bias=False)
        self.gate = nn.Linear(wide, inner) if config.gate else None
        self.leave = nn.Linear(wide, 1)

    def forward(self, bags: Mapping[str, View]) -> Output:
        """Scores ``(B, N)`` of the view ``tubes``, 0 where masked and where an instance is all zeros."""
        whole = bags[VIEW]
        chosen = random_rows(whole, self.config.instances if self.training else None)
        view = whole if chosen is None else subset(whole, chosen)
        weights, logit = self.pooled(view.features, holds(view))
        best = weights.amax(1, keepdim=True).clamp(min=1e-9)
        scores = torch.sigmoid(logit)[:, None] * weights / best
        if chosen is not None:
            scores = torch.zeros_like(whole.mask, dtype=scores.dtype).scatter(1, chosen, scores)
        return Output(scores, {"logit": logit})

    def pooled(self, rows: Tensor, held: Tensor) -> tuple[Tensor, Tensor]:
        """Weights ``(B, N)`` of held instances ``(B, N, D)``, which sum to 1, and the bag's logit ``(B,)``."""
        inner = self.drop(torch.relu(self.enter(rows)))
        hidden = torch.tanh(self.look(inner))
        hidden = hidden if self.gate is None else hidden * torch.sigmoid(self.gate(inner))
        logits = self.weigh(hidden).squeeze(-1).float().masked_fill(~held, -torch.inf)
        weights = torch.softmax(logits, 1).nan_to_num(0.0)
        logit: Tensor = self.leave((weights[..., None] * inner).sum(1)).squeeze(-1).float()
        return weights, logit

    def loss(self, output: Output, bags: Mapping[str, View], labels: Tensor) -> dict[str, Tensor]:
        """``entropy``: that of videos and their labels ``(B,)``, 1 = anomalous."""
        logit = output.extra["logit"]
        return {"entropy": nn.functional.binary_cross_entropy_with_logits(logit, labels.to(logit.dtype))}


PLUGIN = ASA
