"""Spatio-temporal instance learning (after Mettes and Snoek, 2018): a max-margin classifier of tubes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from wherewhen.core.contracts import MethodAbilities, Output, Provenance, Training, View
from wherewhen.methods._branch import NOTHING, holds, random_rows, subset
from wherewhen.methods._settings import demand

VIEW = "tubes"
UNSTUDIED = -1


@dataclass(frozen=True)
class STILConfig:
    """Settings of `STIL`; the published ones are not available, so all defaults are ours.

    Args:
        rounds: number of times the latent instance of each anomalous bag is chosen again after the first fit.
        penalty: weight of half the squared length of the lines, the other side of the margin.
        rerank: weight of the video's own line in an instance's score, in [0, 1); 0 leaves it out.
        instances: number of instances of a bag in training, a random subset, as in Wu et al., 2021; null: all.
    """

    rounds: int = 4
    penalty: float = 0.01
    rerank: float = 0.3
    instances: int | None = 200

    def __post_init__(self) -> None:
        demand("stil", self, positive="instances", share="rerank", weight="rounds penalty")


PUBLISHED_WSSTAD = STILConfig()
"""In table 1 of Wu et al., IJCAI 2021, who don't state its settings: the defaults, with their 200 instances a bag."""

PUBLISHED_WSSTAD_TRAINING = Training(steps=1000, bags=30, optimizer="adam", learning_rate=1e-2)
"""Adam and 30 + 30 bags are those of Wu et al.; the rest is not published."""


class STIL(nn.Module):
    """A linear classifier of instances whose positives are latent, and one of whole videos that ranks them again.

    In rounds: the classifier of the previous round selects one instance of each anomalous bag, which must be beyond the
    margin on one side, the highest instance of every normal bag on the other (MI-SVM, Andrews et al., NeurIPS 2003).
    In the first round the mean represents every bag. Score: ``sigmoid((1 - rerank) f(x_i) + rerank g(mean of x))``.

    View ``tubes``: features ``(B, N, D)`` -> scores ``(B, N)``. ``extra``: margins ``tubes`` ``(B, K)`` with the
    latent choice ``latent`` ``(B, K)`` (weights that sum to 1), and of whole videos ``video`` ``(B,)``.

    >>> STIL(STILConfig(rounds=2), {"tubes": 3}).stages
    3
    """

    Config: ClassVar[type] = STILConfig
    views: ClassVar[tuple[str, ...]] = (VIEW,)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"cells": {"steps": 1, "rows": 7, "columns": 7}}
    abilities: ClassVar[MethodAbilities] = MethodAbilities(
        other_builders=("cells", "videolets"),
        samples_instances=True,
        ablations={
            "no turns": {"rounds": 0},
            "no reranking": {"rerank": 0.0},
            "no penalty": {"penalty": 0.0},
            "all instances": {"instances": None},
        },
    )
    schedule: ClassVar[Training] = Training(steps=200, bags=30, optimizer="adam", learning_rate=1e-2)
    source: ClassVar[Provenance] = Provenance(
        title="Spatio-temporal instance learning (STIL)",
        homepage="https://arxiv.org/abs/1807.02800",
        citation="Mettes, Snoek: Spatio-temporal instance learning: action tubes from class supervision, 2018",
    )
    reach: float | None = None
    past: Tensor
    stage: Tensor

    def __init__(self, config: STILConfig, dims: Mapping[str, int]) -> None:
        super().__init__()
        self.config, self.stages = config, 1 + int(config.rounds)
        self.line = nn.Linear(dims[VIEW], 1)
        self.video = nn.Linear(dims[VIEW], 1) if config.rerank else None
        self.register_buffer("stage", torch.tensor(UNSTUDIED))
        self.register_buffer("past", torch.zeros(dims[VIEW]))  # the offset doesn't change the selection

    def study(self, stage: int, bags: Iterable[tuple[Mapping[str, View], Tensor]]) -> None:
        """Select instances by the current classifier from now on; the bags are not read."""
        self.stage.fill_(stage)
        self.past.copy_(self.line.weight.detach()[0])

    def forward(self, bags: Mapping[str, View]) -> Output:
        """Scores ``(B, N)`` of the view ``tubes``, 0 where masked and where an instance is all zeros."""
        whole = bags[VIEW]
        chosen = random_rows(whole, self.config.instances if self.training else None)
        view = whole if chosen is None else subset(whole, chosen)
        held = holds(view)
        margins = self.line(view.features).squeeze(-1).float()
        evenly = held / held.sum(1, keepdim=True).clamp(min=1)
        extra = {"tubes": margins.masked_fill(~held, NOTHING), "latent": self._latent(view, held, evenly, margins)}
        logits = margins
        if self.video is not None:
            extra["video"] = self.video((evenly[..., None] * view.features).sum(1)).squeeze(-1).float()
            logits = (1 - self.config.rerank) * margins + self.config.rerank * extra["video"][:, None]
        scores = torch.sigmoid(logits) * held
        if chosen is not None:
            scores = torch.zeros_like(whole.mask, dtype=scores.dtype).scatter(1, chosen, scores)
        return Output(scores, extra)

    def _selects(self) -> bool:
        """Whether a classifier selects the instances; in the first round there is none."""
        return not self.training or int(self.stage) > 0

    def _latent(self, view: View, held: Tensor, evenly: Tensor, margins: Tensor) -> Tensor:
        """The selected instance of each bag: weights ``(B, K)``, equal ones in the first round."""
        if not self._selects():
            return evenly
        rank = (view.features @ self.past).float() if self.training else margins.detach()
        best = rank.masked_fill(~held, -torch.inf).argmax(1)
        return torch.zeros_like(evenly).scatter(1, best[:, None], 1.0) * held

    def loss(self, output: Output, bags: Mapping[str, View], labels: Tensor) -> dict[str, Tensor]:
        """Squared hinges of instances, ``margin``, and of videos, ``video``; ``penalty``. ``labels``: 1 = anomalous."""
        extra = output.extra
        meant = (extra["tubes"] * extra["latent"]).sum(1)
        highest = extra["tubes"].max(1).values if self._selects() else meant
        terms = {"margin": hinges(meant, highest, labels)}
        lines = [self.line]
        if self.video is not None:
            terms["video"] = hinges(extra["video"], extra["video"], labels)
            lines.append(self.video)
        size = torch.stack([line.weight.square().sum() for line in lines]).sum()
        return terms | {"penalty": self.config.penalty * size / 2}


def hinges(high: Tensor, low: Tensor, labels: Tensor) -> Tensor:
    """``max(0, 1 - high)^2`` of anomalous and ``max(0, 1 + low)^2`` of normal bags ``(B,)``, the mean of each kind.

    >>> hinges(torch.tensor([0.5, 9.0]), torch.tensor([9.0, -0.5]), torch.tensor([1.0, 0.0])).item()
    0.5
    """
    bad = labels > 0.5
    kinds = [each.clamp(min=0).square().mean() for each in ((1 - high)[bad], (1 + low)[~bad]) if len(each)]
    return torch.stack(kinds).sum()


PLUGIN = STIL
