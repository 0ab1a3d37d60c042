"""UR-DMU (Zhou et al., AAAI 2023): two memories, one of normal and one of anomalous features."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wherewhen.core.contracts import Checkpoint, MethodAbilities, Output, Provenance, Training, View
from wherewhen.core.errors import ConfigError
from wherewhen.methods._grid import flat, lanes, width
from wherewhen.methods._published import ten_crops
from wherewhen.methods._sequences import Locked, mean_of, picks, queries, renamed, sequences

VIEW = "cells"


@dataclass(frozen=True)
class URDMUConfig:
    """Settings of `URDMU`; `PUBLISHED` holds the published ones.

    Args:
        width: of the network; null = 512 as published, less where features are short. A multiple of ``heads``.
        heads: of the attention, 4 in the official code.
        slots: of each of the two memories, 60 in the paper.
        segments: longer training bags are averaged into this many spans of time, 200 in the paper; null keeps all.
        top: a bag's score is the mean over its best n // top + 1 of n instances; 16 in the official code.
        dropout: in the transformer, .5 in the official code; whole channels of a lane here.
        margin: of the triplet, 1 in the paper.
        distance: target distance of the lengths of normal and anomalous latent features, 100 in the paper.
        memories: weight of the four loss terms of the memories, .1 in the paper.
        triplet: its weight, .1 in the paper.
        divergence: weight of the KL divergence of the normal latent features, 1e-3 in the paper.
        apart: weight of the distance term, 1e-4 in the paper.
        compat: as the official code: the distance map divided along the wrong axis, the KL divergence summed over time
            in place of channels, and the i-th normal bag with the i-th anomalous one in place of all with all.
    """

    width: int | None = None
    heads: int = 4
    slots: int = 60
    segments: int | None = 64
    top: int = 16
    dropout: float = 0.5
    margin: float = 1.0
    distance: float = 100.0
    memories: float = 0.1
    triplet: float = 0.1
    divergence: float = 1e-3
    apart: float = 1e-4
    compat: bool = False

    def __post_init__(self) -> None:
        for name in ("width", "heads", "slots", "segments", "top"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ConfigError(f"urdmu: {name} must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"urdmu: dropout must be in [0, 1), got {self.dropout}")
        for name in ("margin", "distance", "memories", "triplet", "divergence", "apart"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ConfigError(f"urdmu: {name} can't be negative, got {getattr(self, name)}")
        if self.width and self.width % self.heads:
            raise ConfigError(f"urdmu: width must be a multiple of heads = {self.heads}, got {self.width}")


PUBLISHED = URDMUConfig(width=512, segments=200, compat=True)
"""As published, for one cell of the whole picture: `cells` with one row and one column, I3D features of length 1024."""

PUBLISHED_TRAINING = Training(steps=3000, bags=64, optimizer="adam", learning_rate=1e-4, weight_decay=5e-5)


class Block(nn.Module):
    """Attention by similarity and by proximity in time side by side, then two linear layers; ``(L, T, C)`` -> same."""

    def __init__(self, size: int, config: URDMUConfig) -> None:
        super().__init__()
        self.heads, self.compat = config.heads, config.compat
        self.before, self.between = nn.LayerNorm(size), nn.LayerNorm(size)
        self.qkvt = nn.Linear(size, 4 * size, bias=False)
        self.out = nn.Linear(2 * size, size)
        self.wide, self.narrow = nn.Linear(size, size), nn.Linear(size, size)
        self.drop = Locked(config.dropout)

    def forward(self, values: Tensor, held: Tensor) -> Tensor:
        """Values for each step; only held steps ``(L, T)`` are attended to."""
        query, key, value, temporal = self.qkvt(self.before(values)).chunk(4, -1)
        query, key, value = (self._by_head(x).transpose(1, 2) for x in (query, key, value))
        alike = F.scaled_dot_product_attention(query, key, value, attn_mask=held[:, None, None])
        close = self._by_head(nearby(temporal, held, self.compat))
        values = values + self.drop(self.out(torch.cat([alike.transpose(1, 2), close], -1).flatten(2)))
        values = values + self.drop(self.narrow(self.drop(F.gelu(self.wide(self.between(values))))))
        return values

    def _by_head(self, values: Tensor) -> Tensor:
        return values.reshape(*values.shape[:2], self.heads, values.shape[2] // self.heads)


def nearby(values: Tensor, held: Tensor, compat: bool = False) -> Tensor:
    """Means of held values ``(L, T, C)``, weighted by exp(-|i - j| / e) for steps i and j.

    ``compat``: each value is divided by the sum of weights at its own step, not at the attending step.

    >>> nearby(torch.ones(1, 3, 1), torch.tensor([[True, True, False]]))[0, :2, 0].tolist()
    [1.0, 1.0]
    """
    step = torch.arange(values.shape[1], dtype=values.dtype, device=values.device)
    present = held.to(values.dtype)
    values = values * present[..., None]

    def weigh(rows: Tensor) -> Tensor:
        parts = queries(rows.shape[1], 1)
        return torch.cat([torch.exp(-(step[part, None] - step).abs() / math.e) @ rows for part in parts], 1)

    sums = weigh(present[..., None]).clamp(min=1e-9)
    return weigh(values / sums) if compat else weigh(values) / sums


def read(memory: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Familiarity ``(L, T)`` in [0, 1] of a memory ``(S, C)`` with values ``(L, T, C)``, and its answers ``(L, T, C)``.

    Familiarity is the mean similarity to the best S // 16 + 1 slots (equations 4 and 5 of the paper).
    """
    similarity = torch.sigmoid(values @ memory.T / math.sqrt(memory.shape[1]))
    familiarity = similarity.topk(len(memory) // 16 + 1, dim=-1).values.mean(-1)
    return familiarity, similarity @ memory


class URDMU(nn.Module):
    """Scores the cells of each lane through time, by its features and by the answers of two memories to them.

    View ``cells``: features ``(B, N, D)`` -> scores ``(B, N)``. ``extra`` holds, per instance ``(B, M)``: ``plain``
    and ``noisy`` scores, familiarity of the memories (``suspect``, ``usual``) and ``held``; per bag ``(B, C)``: the
    features and latent features where familiarity is highest; and ``divergence`` ``(B,)``.

    >>> model = URDMU(URDMUConfig(width=8), {"cells": 3})
    >>> mask = torch.ones(1, 4, dtype=torch.bool)
    >>> view = View(torch.ones(1, 4, 3), torch.zeros(1, 4, 6), -torch.ones(1, 4), mask, ((2, 1, 2),))
    >>> model.eval()({"cells": view}).scores.shape
    torch.Size([1, 4])
    """

    Config: ClassVar[type] = URDMUConfig
    views: ClassVar[tuple[str, ...]] = (VIEW,)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "cells": {"steps": 1, "rows": 7, "columns": 7},
        "regions": {"motion": 0.25},
    }
    abilities: ClassVar[MethodAbilities] = MethodAbilities(
        averages_time=True,
        reads_checkpoints=True,
        ablations={
            "no memories": {"memories": 0.0},
            "no triplet": {"triplet": 0.0},
            "no divergence": {"divergence": 0.0},
            "latent features not kept apart": {"apart": 0.0},
            "one slot each": {"slots": 1},
            "no dropout": {"dropout": 0.0},
            "fewer of the best": {"top": 64},
            "no segments": {"segments": None},
            "loss as published": {"compat": True},
        },
    )
    schedule: ClassVar[Training] = Training(steps=60, bags=30, optimizer="adamw", learning_rate=1e-3, validate_every=20)
    source: ClassVar[Provenance] = Provenance(
        title="UR-DMU", homepage="https://github.com/henrryzh1/UR-DMU", licence="MIT", citation="arXiv 2302.05160"
    )
    reach: float | None = None

    def __init__(self, config: URDMUConfig, dims: Mapping[str, int]) -> None:
        super().__init__()
        self.config = config
        size = config.width or width(512, dims[VIEW]) // config.heads * config.heads
        self.embed = nn.Conv1d(dims[VIEW], size, 3, padding=1)
        self.blocks = nn.ModuleList(Block(size, config) for _ in range(2))
        self.anomalous, self.normal = (nn.Parameter(torch.empty(config.slots, size)) for _ in range(2))
        self.mean, self.log_variance = nn.Linear(size, size), nn.Linear(size, size)
        self.head = nn.Sequential(nn.Linear(2 * size, width(128, dims[VIEW])), nn.ReLU())
        self.head.append(nn.Linear(width(128, dims[VIEW]), 1))
        for memory in (self.anomalous, self.normal):
            nn.init.uniform_(memory, -1 / math.sqrt(size), 1 / math.sqrt(size))

    @staticmethod
    def checkpoint(tensors: Mapping[str, Tensor]) -> Checkpoint:
        """A state dict of the authors' code."""
        width, length, _ = tensors["embedding.conv_1.0.weight"].shape
        settings = {**vars(PUBLISHED), "width": width, "slots": len(tensors["Amemory.memory_block"])}
        return Checkpoint(official(tensors), NAMES, length, settings, ten_crops(length))

    def forward(self, bags: Mapping[str, View]) -> Output:
        """Scores ``(B, N)`` of the view ``cells``, 0 where masked and where an instance is all zeros."""
        view = bags[VIEW]
        whole = lanes(view)
        lane = sequences(whole)
        values = self.embed(lane.features.transpose(1, 2)).relu().transpose(1, 2)
        for block in self.blocks:
            values = block(values, lane.held)
        suspect, strange = read(self.anomalous, values)
        usual, normal_answer = read(self.normal, values)
        mean, log_variance = self.mean(normal_answer), self.log_variance(normal_answer)
        noisy = self._noisy(mean, log_variance)
        strange = self.mean(strange)
        extra = {"held": lane.flat(lane.held), "suspect": lane.flat(suspect), "usual": lane.flat(usual)}
        extra["plain"] = lane.flat(self._score(values, mean + strange))
        extra["noisy"] = lane.flat(self._score(values, noisy + strange)) if self.training else extra["plain"]
        worst, best = (self._picks(extra[name], extra["held"]) for name in ("suspect", "usual"))
        extra |= {"worst": lane.sums(worst, values), "best": lane.sums(best, values)}
        extra |= {"worst_latent": lane.sums(worst, strange), "best_latent": lane.sums(best, noisy)}
        extra["divergence"] = self._divergence(lane.flat, lane.held, mean, log_variance)
        return Output(flat(extra["plain"].reshape(whole.held.shape), view), extra)

    def _noisy(self, mean: Tensor, log_variance: Tensor) -> Tensor:
        if not self.training:
            return mean
        return mean + torch.randn_like(mean) * (log_variance / 2).exp()

    def _score(self, values: Tensor, latent: Tensor) -> Tensor:
        logits: Tensor = self.head(torch.cat([values, latent], -1))
        return torch.sigmoid(logits.squeeze(-1))

    def _picks(self, values: Tensor, held: Tensor) -> Tensor:
        return picks(values, held, held.sum(1) // self.config.top + 1)

    def _divergence(
        self, flatten: Callable[[Tensor], Tensor], held: Tensor, mean: Tensor, log_variance: Tensor
    ) -> Tensor:
        """KL divergence of each bag's latent features from standard noise ``(B,)``."""
        each = (mean.square() + log_variance.exp() - log_variance - 1) / 2
        if self.config.compat:  # sums over the time of each lane, means over lanes and channels
            lane_count = flatten(held & (held.cumsum(1) == 1)).sum(1)
            return flatten(each.mean(-1)).sum(1) / lane_count.clamp(min=1)
        return flatten(each.sum(-1) * held).sum(1) / flatten(held).sum(1).clamp(min=1)

    def loss(self, output: Output, bags: Mapping[str, View], labels: Tensor) -> dict[str, Tensor]:
        """``anomaly``, ``memories``, ``triplet``, ``divergence``, ``apart``; ``labels`` ``(B,)``, 1 = anomalous."""
        config, extra = self.config, output.extra
        held, anomalous = extra["held"], labels > 0.5
        normal = ~anomalous
        scores = torch.where(anomalous[:, None], extra["plain"], extra["noisy"])
        terms = {"anomaly": F.binary_cross_entropy(self._top(scores, held), anomalous.to(scores.dtype))}
        terms["memories"] = config.memories * self._memories(extra, held, anomalous)
        q, r = _pairs(normal, anomalous, config.compat)
        if not len(q):
            nothing = terms["anomaly"] * 0
            return terms | {"triplet": nothing, "divergence": nothing + config.divergence
                            * mean_of(extra["divergence"], normal), "apart": nothing}  # fmt: skip
        unit = {name: F.normalize(extra[name], dim=-1) for name in ("worst", "best")}
        terms["triplet"] = config.triplet * F.triplet_margin_loss(
            unit["best"][q], unit["best"][r], unit["worst"][r], margin=config.margin
        )
        terms["divergence"] = config.divergence * mean_of(extra["divergence"], normal)
        normal_length, anomalous_length = extra["best_latent"][q].norm(dim=-1), extra["worst_latent"][r].norm(dim=-1)
        terms["apart"] = config.apart * (config.distance - anomalous_length + normal_length).relu().mean()
        return terms

    def _top(self, values: Tensor, held: Tensor) -> Tensor:
        """Mean of the best of each bag ``(B,)``, in [0, 1]."""
        return (self._picks(values, held) * values).sum(1).clamp(0, 1)

    def _memories(self, extra: Mapping[str, Tensor], held: Tensor, anomalous: Tensor) -> Tensor:
        """Loss of the memories: in anomalous bags both match some instances, in normal ones one all and one none."""
        suspect, usual = self._top(extra["suspect"], held), self._top(1 - extra["usual"], held)
        partial = _surprise(suspect) + _surprise(usual)
        inner = _surprise(extra["usual"]) + _surprise(1 - extra["suspect"])
        every = inner.where(held, inner.new_zeros(())).sum(1) / held.sum(1).clamp(min=1)
        full = held.any(1)
        return mean_of(partial.where(full, partial.new_zeros(())), anomalous) + mean_of(every, ~anomalous)


def _surprise(share: Tensor) -> Tensor:
    """``-log`` of a share, at most 100; unlike that of a logarithm, its gradient is finite at 0."""
    return F.binary_cross_entropy(share, torch.ones_like(share), reduction="none")


def _pairs(normal: Tensor, anomalous: Tensor, matched: bool) -> tuple[Tensor, Tensor]:
    """Pairs of normal and anomalous bags: all with all, or the i-th with the i-th."""
    first, second = normal.nonzero()[:, 0], anomalous.nonzero()[:, 0]
    if matched:
        count = min(len(first), len(second))
        return first[:count], second[:count]
    both = torch.cartesian_prod(first, second).reshape(-1, 2)
    return both[:, 0], both[:, 1]


def official(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of the official code's checkpoint under our names; `weights.fit` checks them."""
    return renamed(tensors, NAMES)


BLOCK = {
    "0.norm.": "before.",
    "1.norm.": "between.",
    "0.fn.to_qkv.": "qkvt.",
    "0.fn.to_out.0.": "out.",
    "1.fn.net.0.": "wide.",
    "1.fn.net.3.": "narrow.",
}
NAMES = {
    "Amemory.memory_block": "anomalous",
    "Nmemory.memory_block": "normal",
    "embedding.conv_1.0.": "embed.",
    "encoder_mu.0.": "mean.",
    "encoder_var.0.": "log_variance.",
    "cls_head.mlp.": "head.",
    **{f"selfatt.layers.{k}.{old}": f"blocks.{k}.{new}" for k in range(2) for old, new in BLOCK.items()},
}
"""Prefixes of names in the authors' state dict -> our prefixes."""


PLUGIN = URDMU
