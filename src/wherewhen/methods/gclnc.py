"""Graph convolutional label noise cleaner (Zhong et al., CVPR 2019): a video's label is a noisy label of its cells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from wherewhen.core.contracts import Checkpoint, MethodAbilities, Output, Provenance, Training, View
from wherewhen.core.errors import ConfigError
from wherewhen.methods._branch import holds, middles
from wherewhen.methods._graphs import GraphConvolution, balanced, both, proximity, similarity
from wherewhen.methods._grid import Lanes, flat, lanes, segments, spread, width
from wherewhen.methods._published import C3D, SEQUENCE
from wherewhen.methods._recorded import picked, put_back, recorded
from wherewhen.methods._sequences import renamed

VIEW = "cells"


@dataclass(frozen=True)
class GCLNCConfig:
    """Settings of `GCLNC`; `PUBLISHED` holds the published ones, as far as frozen features allow.

    Args:
        width: of the cleaner's first layer, 512 in the official code; null takes that, less where features are short.
        middle: width of its second layer, 128 in the official code; null as above.
        graph_width: of each graph's inner layer, 32 in the official code.
        hidden: width of the classifier; the published one is a whole video network. Null = ``width``.
        dropout: of both networks, 0.6 in the official code.
        locked_dropout: dropout has one mask for all cells of a bag; false: one for each cell, as published.
        segments: longer training bags are averaged into this many spans of time, 32 in the paper; null keeps all.
        rounds: number of alternations of cleaner and classifier after the classifier's first training.
        graph: joins the times of one cell (``lane``; on a grid of one cell that is the paper), or all cells of a video.
            Tubes, which have track numbers and no grid, are all joined, by how near they are in time.
        certain: share of an anomalous bag's cells that train the cleaner, half of them its highest scores and half its
            lowest; 0.3 in the official code, which takes those that vary least over crops.
        steady: weight of the L1 distance to the output of the cleaner of earlier steps; published terms are just added.
        momentum: of those earlier steps' weights; the official code keeps predictions instead, .5 an epoch.
        score: scores outside of training are those of the classifier, as in the paper, or of the cleaner.
    """

    width: int | None = None
    middle: int | None = None
    graph_width: int = 32
    hidden: int | None = None
    dropout: float = 0.6
    locked_dropout: bool = True
    segments: int | None = 32
    rounds: int = 1
    graph: Literal["lane", "video"] = "lane"
    certain: float = 0.3
    steady: float = 1.0
    momentum: float = 0.9
    score: Literal["classifier", "cleaner"] = "classifier"

    def __post_init__(self) -> None:
        for name in ("width", "middle", "graph_width", "hidden", "segments"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ConfigError(f"gclnc: {name} must be at least 1, got {getattr(self, name)}")
        for name in ("dropout", "momentum"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"gclnc: {name} must be in [0, 1), got {getattr(self, name)}")
        if not 0 < self.certain <= 1:
            raise ConfigError(f"gclnc: certain is a share above 0 and up to 1, got {self.certain}")
        for name in ("rounds", "steady"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ConfigError(f"gclnc: {name} can't be negative, got {getattr(self, name)}")


PUBLISHED = GCLNCConfig(width=512, middle=128, locked_dropout=False, rounds=2)
"""The official cleaner; its cells are `cells` with one row and one column, of C3D (4096) or TSN (1024) features."""

PUBLISHED_TRAINING = Training(
    steps=1000, bags=32, optimizer="sgd", learning_rate=1e-4, weight_decay=5e-4, milestones=(0.25, 0.5, 0.75)
)
"""The cleaner's, whose rate falls by .1 every five of 20 epochs; its momentum of .9 has no setting here."""

C3D_LENGTH = 4096  # features of the authors' other checkpoints, 1024 long, are of TSN
UNSTUDIED = -1  # before `study`: both networks learn at once


class Cleaner(nn.Module):
    """Two fully connected layers, then two graphs side by side: proximity in time and similarity. Official names."""

    def __init__(self, size: int, wide: int, middle: int, inner: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(size, wide), nn.Linear(wide, middle)
        self.gc1, self.gc2 = GraphConvolution(middle, inner), GraphConvolution(inner, 1)
        self.gc3, self.gc4 = GraphConvolution(middle, inner), GraphConvolution(inner, 1)

    def forward(self, x: Tensor, held: Tensor, adjacency: Tensor, drop: Tensor | None = None) -> Tensor:
        """Raw scores ``(R, N)`` of nodes ``(R, N, D)``; ``adjacency``: 1 to itself; ``drop`` ``(R, N, w)``."""
        first = F.relu(self.fc1(x))
        first = first if drop is None else first * drop
        nodes = F.relu(self.fc2(first)) * held[..., None]
        close = balanced(adjacency * both(held))
        alike = balanced(similarity(nodes, held))
        by_time = self.gc2(F.relu(self.gc1(nodes, close)), close)
        by_look = self.gc4(F.relu(self.gc3(nodes, alike)), alike)
        scores: Tensor = (by_time + by_look).squeeze(-1) / 2
        return scores


class GCLNC(nn.Module):
    """A classifier of cells, trained with labels that a graph network cleans; the two alternate.

    View ``cells``: features ``(B, N, D)`` -> scores ``(B, N)`` of the classifier alone. In training ``extra`` holds
    ``classified`` and ``cleaned`` ``(B, S, P)`` (logits), ``held``, ``steady`` (scores of the earlier cleaner, in
    [0, 1]) and ``noisy`` (the classifier's own scores, no gradient).

    >>> model = GCLNC(GCLNCConfig(width=8), {"cells": 3})
    >>> model.stages
    3
    """

    Config: ClassVar[type] = GCLNCConfig
    views: ClassVar[tuple[str, ...]] = (VIEW,)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {VIEW: {"steps": 1, "rows": 7, "columns": 7}}
    abilities: ClassVar[MethodAbilities] = MethodAbilities(
        other_builders=("tubes", "videolets"),
        averages_time=True,
        reads_checkpoints=True,
        ablations={
            "labels never cleaned": {"rounds": 0},
            "two rounds": {"rounds": 2},
            "graph over all cells": {"graph": "video"},
            "nothing steady": {"steady": 0.0},
            "taught by all cells": {"certain": 1.0},
            "no dropout": {"dropout": 0.0},
            "no segments": {"segments": None},
        },
    )
    schedule: ClassVar[Training] = Training(
        steps=150, bags=30, optimizer="adamw", learning_rate=1e-2, weight_decay=1e-2
    )
    source: ClassVar[Provenance] = Provenance(
        title="Graph convolutional label noise cleaner",
        homepage="https://arxiv.org/abs/1903.07256",
        citation="Zhong et al., Graph Convolutional Label Noise Cleaner, CVPR 2019",
    )
    reach: float | None = 0.0
    stage: Tensor

    def __init__(self, config: GCLNCConfig, dims: Mapping[str, int]) -> None:
        super().__init__()
        size = dims[VIEW]
        wide = config.width or width(512, size)
        self.config, self.stages = config, 1 + 2 * config.rounds
        self.reach = 0.0 if config.score == "classifier" else None
        self.enter = nn.Linear(size, config.hidden or wide)
        self.leave = nn.Linear(config.hidden or wide, 1)
        self.cleaner = Cleaner(size, wide, config.middle or width(128, size), config.graph_width)
        self.register_buffer("stage", torch.tensor(UNSTUDIED))
        for name, weight in self.cleaner.named_parameters():
            self.register_buffer(_past(name), weight.detach().clone())

    @staticmethod
    def checkpoint(tensors: Mapping[str, Tensor]) -> Checkpoint:
        """A state dict of the authors' cleaner, whose scores are used; their classifier is a whole video network."""
        weights = renamed(tensors, {"": "cleaner."})
        weights |= {_past(name): weight for name, weight in tensors.items()}
        wide, length = tensors["fc1.weight"].shape
        sizes = {"width": wide, "middle": len(tensors["fc2.weight"]), "graph_width": tensors["gc1.weight"].shape[1]}
        settings = {**vars(PUBLISHED), **sizes, "score": "cleaner"}
        features = {**(C3D if length == C3D_LENGTH else {}), **SEQUENCE}
        return Checkpoint(weights, {"": "cleaner."}, length, settings, features, ("enter.", "leave.", "stage"))

    def study(self, stage: int, bags: Iterable[tuple[Mapping[str, View], Tensor]]) -> None:
        """Set the network to train: the classifier at even stages, the cleaner at odd ones. The bags are not read.

        Cleaned labels are computed at each step by the other network, so that none has to be stored.
        """
        self.stage.fill_(stage)
        self._remember(0.0)

    def forward(self, bags: Mapping[str, View]) -> Output:
        """Scores ``(B, N)`` of the view ``cells``, 0 where masked and where an instance is all zeros."""
        view = bags[VIEW]
        short, where = segments(lanes(view), self.config.segments if self.training else None)
        times = middles(view, holds(view)) if _tubes(view) else None
        if not self.training:
            by_classifier = self.config.score == "classifier"
            logits = self._classify(short) if by_classifier else self._clean(short, times=times)
            return Output(flat(spread(_scores(logits, short.held), where), view))
        stage = int(self.stage)
        learns = stage % 2 == 0 or stage == UNSTUDIED
        with torch.set_grad_enabled(learns and torch.is_grad_enabled()):
            inner = self._inner(short)
        noisy = _scores(self._leave(inner.detach(), short), short.held).detach()
        extra = {"held": short.held, "noisy": noisy}
        if learns:
            drop = self._drop(len(short.held), short.held.nonzero()[:, 0], inner)
            extra["classified"] = self._leave(inner * drop, short)
        if stage % 2 or stage == UNSTUDIED:
            self._remember(self.config.momentum)
            extra["cleaned"] = self._clean(short, drop=True, times=times)
            past = {name: getattr(self, _past(name)) for name, _ in self.cleaner.named_parameters()}
            with torch.no_grad():
                extra["steady"] = torch.sigmoid(self._clean(short, weights=past, times=times))
        elif stage:
            with torch.no_grad():
                extra["cleaned"] = self._clean(short, times=times)
        scores = _scores(extra["classified"], short.held) if "classified" in extra else noisy
        return Output(flat(spread(scores, where), view), extra)

    def loss(self, output: Output, bags: Mapping[str, View], labels: Tensor) -> dict[str, Tensor]:
        """``classifier``, ``cleaner`` and ``steady``, 0 for the network at rest; ``labels`` ``(B,)``, 1 = anomalous.

        Out of training it is ``ranking`` alone: the best cells of anomalous videos above those of normal ones.
        """
        if not self.training:
            return {"ranking": _ranked(output.scores, bags[VIEW].mask, labels)}
        extra, stage, none = output.extra, int(self.stage), output.scores.sum() * 0
        held, noisy = extra["held"], extra["noisy"]
        terms = {"classifier": none, "cleaner": none, "steady": none}
        targets = labels[:, None, None].expand_as(noisy)
        if "classified" in extra:
            cell_targets = targets if stage <= 0 else targets * stretched(torch.sigmoid(extra["cleaned"]), held)
            terms["classifier"] = _mean(_entropy(extra["classified"], cell_targets), held, torch.ones_like(labels))
        if stage % 2 or stage == UNSTUDIED:
            sure = certain(noisy, held, self.config.certain)
            error = _entropy(extra["cleaned"], targets * stretched(noisy, held))
            chosen = torch.where(labels[:, None, None] > 0.5, sure, held)
            terms["cleaner"] = _mean(error, chosen, torch.ones_like(labels))
            change = (torch.sigmoid(extra["cleaned"]) - extra["steady"]).abs()
            terms["steady"] = self.config.steady * _mean(change, held, labels)
        return terms

    def _classify(self, short: Lanes) -> Tensor:
        """Logits ``(B, T, P)`` of the classifier, 0 where nothing is held."""
        return self._leave(self._inner(short), short)

    def _inner(self, short: Lanes) -> Tensor:
        """Inner features ``(R, C)`` of the classifier for the held cells."""
        return F.relu(self.enter(picked(short.features, short.held)))

    def _leave(self, inner: Tensor, short: Lanes) -> Tensor:
        """Logits ``(B, T, P)`` of inner features ``(R, C)`` of the held cells, 0 elsewhere."""
        return put_back(self.leave(inner).squeeze(-1), short.held)

    def _clean(
        self,
        short: Lanes,
        drop: bool = False,
        weights: dict[str, Tensor] | None = None,
        times: Tensor | None = None,
    ) -> Tensor:
        """The cleaner's logits ``(B, T, P)``, 0 where nothing is held; empty rows are left out.

        ``times`` ``(B, N)``: of instances that are tubes.
        """
        batch, t, cells, _ = short.features.shape
        step = torch.arange(t, device=short.held.device)
        x, held, adjacency = short.features.transpose(1, 2), short.held.transpose(1, 2), proximity(step[:, None])
        if times is not None:
            x, held = x.transpose(1, 2), held.transpose(1, 2)
            adjacency = proximity(times[:, :cells, None])[:, None]
        elif self.config.graph == "video":
            cell = torch.arange(cells, device=step.device).repeat_interleave(t)
            places = torch.stack([step.repeat(cells), cell // short.size[1], cell % short.size[1]], -1)
            x, held, adjacency = x.flatten(1, 2)[:, None], held.flatten(1)[:, None], proximity(places)
        rows = held.any(-1)
        adjacency = picked(adjacency, rows) if adjacency.ndim == 4 else adjacency
        arguments = (picked(x, rows), picked(held, rows), adjacency.to(x.dtype))
        if drop:
            shape = x.new_empty(*arguments[0].shape[:2], self.cleaner.fc1.out_features)
            arguments = (*arguments, self._drop(batch, rows.nonzero()[:, 0], shape))  # type: ignore[assignment]
        logits = functional_call(self.cleaner, weights or {}, arguments)
        whole = put_back(logits * picked(held, rows), rows)
        return whole.reshape(batch, cells, t).transpose(1, 2)

    def _drop(self, bags: int, bag: Tensor, rows: Tensor) -> Tensor:
        """Factors of dropout for rows ``(R, ..., C)`` of the bags ``(R,)``: a draw per bag and channel, or for each.

        Drawing for each cell is slow.
        """
        rate, channels = self.config.dropout, rows.shape[-1]
        shape = (bags, channels) if self.config.locked_dropout else tuple(rows.shape)
        mask = (torch.rand(shape, device=rows.device) >= rate).to(rows.dtype) / (1 - rate)
        return mask[bag].reshape(len(rows), *(1,) * (rows.ndim - 2), channels) if self.config.locked_dropout else mask

    def _remember(self, momentum: float) -> None:
        with torch.no_grad():
            for name, weight in self.cleaner.named_parameters():
                getattr(self, _past(name)).lerp_(weight, 1 - momentum)


def stretched(scores: Tensor, held: Tensor) -> Tensor:
    """Scores ``(B, T, P)`` with each bag's lowest held one at 0 and its highest at 1."""
    low = scores.masked_fill(~held, torch.inf).amin((1, 2), keepdim=True).nan_to_num(posinf=0.0)
    high = scores.masked_fill(~held, -torch.inf).amax((1, 2), keepdim=True).nan_to_num(neginf=1.0)
    return ((scores - low) / (high - low).clamp(min=1e-6)).clamp(0, 1) * held


def certain(scores: Tensor, held: Tensor, share: float) -> Tensor:
    """Whether held scores ``(B, T, P)`` are among a bag's highest or lowest, half of ``share`` each."""
    flat_scores, present = scores.flatten(1), held.flatten(1)
    count = (share / 2 * present.sum(1, keepdim=True)).ceil()
    chosen = torch.zeros_like(present)
    for sign in (1, -1):
        order = (sign * flat_scores).masked_fill(~present, torch.inf).argsort(dim=1, stable=True)
        chosen |= order.argsort(dim=1) < count
    return (chosen & present).reshape(held.shape)


def _tubes(view: View) -> bool:
    """Whether instances are tubes, not cells of a grid."""
    if any(view.shapes) or recorded():
        return not any(view.shapes)
    return bool((view.track >= 0)[view.mask].any())


def _past(name: str) -> str:
    return f"past_{name.replace('.', '_')}"


def _scores(logits: Tensor, held: Tensor) -> Tensor:
    return torch.sigmoid(logits) * held


def _entropy(logits: Tensor, targets: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, targets.detach(), reduction="none")


def _mean(values: Tensor, chosen: Tensor, bags: Tensor) -> Tensor:
    """Mean over the chosen cells of each bag, then over the bags with weight 1; 0 without any."""
    each = (values * chosen).sum((1, 2)) / chosen.sum((1, 2)).clamp(min=1)
    return (each * bags).sum() / bags.sum().clamp(min=1)


def _ranked(scores: Tensor, mask: Tensor, labels: Tensor) -> Tensor:
    """Mean of ``max(0, 1 - a + n)`` over pairs of bag scores, each the mean of a bag's best hundredth."""
    count = (mask.sum(1) // 100).clamp(min=1)
    most = scores.topk(int(count.max()), 1).values
    best = (most * (torch.arange(most.shape[1], device=most.device) < count[:, None])).sum(1) / count
    anomalous, normal = best[labels > 0.5], best[labels <= 0.5]
    anomalous = anomalous if len(anomalous) else normal.new_ones(1)
    normal = normal if len(normal) else anomalous.new_zeros(1)
    return (1 - anomalous[:, None] + normal).clamp(min=0).mean()


PLUGIN = GCLNC
