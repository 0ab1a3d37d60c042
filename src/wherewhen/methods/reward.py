"""REWARD (Karim, Doshi, Yilmaz, WACV 2024): pseudo-labels from nearest normal neighbors, cleaned by a second pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wherewhen.core.contracts import MethodAbilities, Output, Provenance, Training, View
from wherewhen.methods._grid import Lanes, flat, lanes, segments, spread, width
from wherewhen.methods._recorded import picked, put_back
from wherewhen.methods._settings import demand

VIEW = "cells"
LONG, EDGE = 10, 5  # of more steps than LONG, the first and last EDGE-th part get no label in the second pass
PART = 1024  # instances whose distances are computed at a time
SEED = 0  # of the draw of normal instances
UNSTUDIED, SCOUTING, SCORING = -1, 0, 1


@dataclass(frozen=True)
class RewardConfig:
    """Settings of `Reward`; `PUBLISHED` holds the authors' (from their code).

    Args:
        width: of the two hidden layers; null: 1000 as published, less for features far shorter than 512.
        last: of the layer before the score; null: 512 as published, less likewise.
        segments: longer training bags are averaged into this many spans of time; null keeps all, as published.
        bank: number of normal instances to compare with; the authors keep all.
        neighbors: how many nearest ones an instance is compared with, 20 as published.
        seed: what the accumulated distance of an anomalous seed exceeds, as a share of its highest; .8 as published.
        balance: count labelled anomalous instances as much as normal ones, however few; or all alike, as published.
        compat: leave the final head's last layer as it starts, as the authors' code does, probably by mistake.
    """

    width: int | None = None
    last: int | None = None
    segments: int | None = 200
    bank: int = 1024
    neighbors: int = 20
    seed: float = 0.8
    balance: bool = True
    compat: bool = False

    def __post_init__(self) -> None:
        demand("reward", self, positive="width last segments bank neighbors", share="seed")


PUBLISHED = RewardConfig(width=1000, last=512, segments=None, bank=16_384, balance=False, compat=True)
"""The authors' settings; their features are UniFormer-B's, 512 long, on a 1 x 1 grid."""

PUBLISHED_TRAINING = Training(steps=2000, bags=30, optimizer="adam", learning_rate=1e-4, weight_decay=1e-4)


class Reward(nn.Module):
    """Instances that are far from normal ones for a while are seeds; those like seeds for a while get labels.

    1. ``d_i`` = mean distance to the nearest ``neighbors`` of the ``bank``; scaled to [0, 1] in its video.
    2. Accumulated in each cell (CUSUM): ``S_t = max(0, S_{t-1} + d_t - mean d)``; seeds have ``S / max S > seed``.
    3. Stage 0: a perceptron, the scout, learns seeds against all instances of normal videos (cross-entropy).
    4. Stage 1: the scout's scores, scaled and accumulated likewise, exceed their mean: pseudo-labels. The final head
       learns them against all of the normal videos; other instances of anomalous videos don't count.

    The authors' last step tunes the last blocks of the backbone on raw clips; features come from a cache here, so the
    last step is the final head, a second perceptron like the scout.

    View ``cells``: features ``(B, N, D)`` -> scores ``(B, N)``. ``extra``: logits ``(B, S, P)`` of ``scout`` and
    ``final``, the pooled ``features`` ``(B, S, P, D)``, ``held`` and ``steps``.

    >>> model = Reward(RewardConfig(), {"cells": 3}).eval()
    >>> view = View(torch.ones(1, 4, 3), torch.zeros(1, 4, 6), torch.zeros(1, 4), torch.ones(1, 4).bool(), ((1, 2, 2),))
    >>> model({"cells": view}).scores.shape
    torch.Size([1, 4])
    """

    Config: ClassVar[type] = RewardConfig
    views: ClassVar[tuple[str, ...]] = (VIEW,)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"cells": {"steps": 1, "rows": 7, "columns": 7}}
    abilities: ClassVar[MethodAbilities] = MethodAbilities(
        averages_time=True,
        ablations={
            "no segments": {"segments": None},
            "one neighbor": {"neighbors": 1},
            "a small bank": {"bank": 64},
            "more seeds": {"seed": 0.5},
            "labels not balanced": {"balance": False},
            "last layer as it starts": {"compat": True},
        },
    )
    schedule: ClassVar[Training] = Training(
        steps=100, bags=30, optimizer="adam", learning_rate=1e-3, weight_decay=1e-4, validate_every=25
    )
    source: ClassVar[Provenance] = Provenance(
        title="REWARD",
        homepage="https://openaccess.thecvf.com/WACV2024",
        citation="Karim, Doshi, Yilmaz: Real-time weakly supervised video anomaly detection, WACV 2024",
    )
    reach: float | None = 0.0
    stages: int = 2
    bank: Tensor
    known: Tensor
    stage: Tensor

    def __init__(self, config: RewardConfig, dims: Mapping[str, int]) -> None:
        super().__init__()
        self.config = config
        self.scout, self.final = (_perceptron(dims[VIEW], config) for _ in range(2))
        self.final[-1].requires_grad_(not config.compat)
        self.register_buffer("bank", torch.zeros(config.bank, dims[VIEW]))
        self.register_buffer("known", torch.tensor(0))
        self.register_buffer("stage", torch.tensor(UNSTUDIED))
        self._seeds: dict[bytes, Tensor] = {}

    def study(self, stage: int, bags: Iterable[tuple[Mapping[str, View], Tensor]]) -> None:
        """Stage 0 stores a sample of instances of normal videos; stage 1 freezes the scout and uses its labels."""
        self.stage.fill_(stage)
        self._seeds.clear()
        if stage != SCOUTING:
            return
        rows = []
        for views, labels in bags:
            if not bool(labels.any()):
                short, _ = segments(lanes(views[VIEW]), self.config.segments)
                rows.append(short.features[short.held])
        normal = torch.cat(rows) if rows else self.bank[:0]
        order = torch.randperm(len(normal), generator=torch.Generator().manual_seed(SEED))[: self.config.bank]
        self.bank.zero_()[: len(order)] = normal[order.to(normal.device)]
        self.known.fill_(len(order))

    def forward(self, bags: Mapping[str, View]) -> Output:
        """Scores ``(B, N)`` of the view ``cells``, 0 where masked and where an instance is all zeros."""
        view = bags[VIEW]
        whole = lanes(view)
        short, where = segments(whole, self.config.segments if self.training else None)
        stage = int(self.stage) if self.training else UNSTUDIED
        final = _logits(self.final, short, learns=stage != SCOUTING)
        scout = _logits(self.scout, short, learns=stage != SCORING)
        scores = flat(spread(torch.sigmoid(final) * short.held, where), view)
        extra = {"scout": scout, "final": final, "features": short.features, "held": short.held, "steps": short.steps}
        return Output(scores, extra)

    def loss(self, output: Output, bags: Mapping[str, View], labels: Tensor) -> dict[str, Tensor]:
        """``seeds`` of the scout and ``labels`` of the final head; ``labels`` ``(B,)``, 1 = anomalous."""
        extra = output.extra
        held, anomalous = extra["held"], labels > 0.5
        normal = held & ~anomalous[:, None, None]
        seeds = self._seeds_of(extra["features"], held, anomalous)
        marked = second_pass(torch.sigmoid(extra["scout"].detach()), held, extra["steps"]) & anomalous[:, None, None]
        return {
            "seeds": self._entropy(extra["scout"], seeds, normal),
            "labels": self._entropy(extra["final"], marked, normal),
        }

    def _entropy(self, logits: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        up = (F.softplus(-logits) * positive).sum()
        down = (F.softplus(logits) * negative).sum()
        many, few = positive.sum(), negative.sum()
        if self.config.balance:
            return (up / many.clamp(min=1) + down / few.clamp(min=1)) / 2
        return (up + down) / (many + few).clamp(min=1)

    @torch.no_grad()
    def _seeds_of(self, features: Tensor, held: Tensor, anomalous: Tensor) -> Tensor:
        """Seeds ``(B, S, P)`` of the anomalous bags; each bag's are computed once and cached by its content."""
        seeds = torch.zeros_like(held)
        for row in (anomalous & held.any(2).any(1)).nonzero()[:, 0].tolist():
            steps = int(held[row].any(1).nonzero().max()) + 1
            rows, present = features[row, :steps], held[row, :steps]
            key = rows.cpu().numpy().tobytes()
            if key not in self._seeds:
                far = torch.zeros_like(rows[..., 0])
                far[present] = self.distances(rows[present])
                self._seeds[key] = first_pass(far[None], present[None], self.config.seed)[0]
            seeds[row, :steps] = self._seeds[key]
        return seeds

    def distances(self, rows: Tensor) -> Tensor:
        """Mean distance ``(R,)`` of features ``(R, D)`` to the nearest of the bank; undefined before `study`."""
        bank = self.bank[: max(1, int(self.known))]
        count = min(self.config.neighbors, len(bank))
        parts = [torch.cdist(part, bank).topk(count, largest=False).values.mean(1) for part in torch.split(rows, PART)]
        return torch.cat(parts) if parts else rows.new_zeros(0)


def scaled(values: Tensor, held: Tensor) -> Tensor:
    """Held values ``(B, S, P)`` so that a bag's lowest is 0 and its highest 1, 0 elsewhere and where all are equal.

    >>> scaled(torch.tensor([[[2.0, 9.0, 4.0]]]), torch.tensor([[[True, False, True]]])).tolist()
    [[[0.0, 0.0, 1.0]]]
    """
    low = values.masked_fill(~held, torch.inf).amin((1, 2), keepdim=True)
    high = values.masked_fill(~held, -torch.inf).amax((1, 2), keepdim=True)
    return torch.where(held & (high > low), (values - low) / (high - low).clamp(min=1e-12), torch.zeros_like(values))


def accumulated(values: Tensor, held: Tensor) -> tuple[Tensor, Tensor]:
    """CUSUM ``S_t = max(0, S_{t-1} + v_t - m)`` along each lane of ``(B, S, P)``, and the bag's mean m ``(B, 1, 1)``.

    Values that aren't held add 0. (Page, Biometrika 1954.)

    >>> values = torch.tensor([[[0.0], [1.0], [1.0], [0.0]]])
    >>> accumulated(values, torch.ones_like(values).bool())[0].flatten().tolist()
    [0.0, 0.5, 1.0, 0.5]
    """
    mean = (values * held).sum((1, 2), keepdim=True) / held.sum((1, 2), keepdim=True).clamp(min=1)
    total = ((values - mean) * held).cumsum(1)
    lowest = total.cummin(1).values.clamp(max=0)
    return total - lowest, mean


def first_pass(distances: Tensor, held: Tensor, seed: float) -> Tensor:
    """Whether instances ``(B, S, P)`` are seeds, by their distances from normal ones."""
    statistic, _ = accumulated(scaled(distances, held), held)
    high = statistic.amax((1, 2), keepdim=True)
    return held & (high > 0) & (statistic > seed * high)


def second_pass(scores: Tensor, held: Tensor, steps: Tensor) -> Tensor:
    """Whether instances ``(B, S, P)`` get the label "anomalous", by the scout's scores; ``steps`` ``(B, S)``: present.

    Scores of a bag are scaled to [0, 1] and accumulated; labels go where that exceeds their mean, but in bags of more
    than 10 steps not to the first and the last fifth.
    """
    length = steps.sum(1, keepdim=True)
    edge = torch.where(length > LONG, length // EDGE, torch.zeros_like(length))
    step = torch.arange(steps.shape[1], device=steps.device)
    inner = held & ((step >= edge) & (step < length - edge))[..., None]
    statistic, mean = accumulated(scaled(scores, inner), inner)
    return inner & (statistic > mean)


def _perceptron(dims: int, config: RewardConfig) -> nn.Sequential:
    wide, last = config.width or width(1000, dims), config.last or width(512, dims)
    layers = [nn.Linear(dims, wide), nn.ReLU(), nn.Linear(wide, wide), nn.ReLU(), nn.Linear(wide, last), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(last, 1))


def _logits(head: nn.Module, short: Lanes, learns: bool) -> Tensor:
    """Logits ``(B, S, P)`` of held instances, 0 elsewhere."""
    with torch.set_grad_enabled(learns and torch.is_grad_enabled()):
        logits = head(picked(short.features, short.held)).squeeze(-1).to(short.features.dtype)
        return put_back(logits, short.held)


PLUGIN = Reward
