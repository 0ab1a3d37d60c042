"""Multiple instance learning over spatio-temporal cuboids (arXiv 2605.13746): ranks the highest cells of two bags."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from wherewhen.core.contracts import CLIP, MethodAbilities, Output, Provenance, Training, View
from wherewhen.core.errors import ConfigError
from wherewhen.methods._dropout import LockedDropout
from wherewhen.methods._grid import lanes
from wherewhen.methods._recorded import recorded

VIEW = "cells"


@dataclass(frozen=True)
class CuboidMILConfig:
    """Settings of `CuboidMIL`; the defaults gave the best results, `SYSTEM_A` holds the published ones.

    Args:
        hidden: width of the head's first layer (ReLU); 512 in Sultani et al., CVPR 2018.
        middle: width of a second, linear layer, 32 in Sultani et al.; null leaves it out.
        dropout: in the head, 0.6 in Sultani et al.
        locked_dropout: dropout has one mask for all instances of a bag; false: one for each instance, as published.
        margin: of the ranking, 1 in the paper.
        bag: a whole video, or each clip alone: every time step of every video (arXiv 2605.13746).
        segments: longer training videos are averaged into this many spans of time, 32 in Sultani et al.; null keeps
            all. No clip is averaged where bag is clip.
        top: share of a bag's instances whose mean is its score, at least one; 0 = the maximum, as in the paper.
        pairs: every anomalous bag against every normal one, or the i-th against the i-th.
        prior: start from "the longer its normalized features, the more anomalous", with score 0.5 at this length (root
            of the mean square; 1 is usual); null starts at random, as in the paper.
        sparsity: weight of the sum of an anomalous bag's scores, 8e-5 in Sultani et al., 0 in the paper.
        smoothness: weight of squared changes in time, 8e-5 in Sultani et al., 0 in the paper; with whole videos only.
    """

    hidden: int = 32
    middle: int | None = None
    dropout: float = 0.0
    locked_dropout: bool = True
    margin: float = 1.0
    bag: Literal["video", "clip"] = "video"
    segments: int | None = 128
    top: float = 0.01
    pairs: Literal["all", "matched"] = "all"
    prior: float | None = 2.0
    sparsity: float = 0.0
    smoothness: float = 0.0

    def __post_init__(self) -> None:
        for name in ("hidden", "middle", "segments"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ConfigError(f"cuboid_mil: {name} must be at least 1, got {getattr(self, name)}")
        for name in ("dropout", "top"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"cuboid_mil: {name} must be in [0, 1), got {getattr(self, name)}")
        for name in ("margin", "sparsity", "smoothness"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ConfigError(f"cuboid_mil: {name} can't be negative, got {getattr(self, name)}")
        if self.bag == CLIP and self.smoothness:
            raise ConfigError("cuboid_mil: smoothness compares the clips of a video, but bag is clip; set it to 0")
        if self.prior is not None and not 0 < self.prior < float("inf"):
            raise ConfigError(f"cuboid_mil: prior must be above 0 or null, got {self.prior}")


SYSTEM_A = CuboidMILConfig(hidden=512, middle=32, dropout=0.6, locked_dropout=False, segments=32, top=0.0, prior=None)
"""The published cuboid MIL; its cells are `cells` with one step of 7 x 7 and ``l2``."""

SYSTEM_A_TRAINING = Training(steps=20_000, bags=30, optimizer="adagrad", learning_rate=1e-2, weight_decay=2e-3)
"""Sultani's schedule, with the slope of .001 times squared weights; the paper's is not known."""

STEEP = 4.0  # the prior's logit at twice its length, where training starts


class CuboidMIL(nn.Module):
    """Scores each cuboid alone by one small head; the highest of an anomalous bag must exceed those of normal bags.

    View ``cells``: features ``(B, N, D)`` -> scores ``(B, N)``. In training with ``segments`` set, the head scores
    averages over spans of time: ``extra`` holds their scores ``pooled`` ``(B, M)`` and the mask ``pooled_mask``.

    >>> model = CuboidMIL(CuboidMILConfig(hidden=8, middle=4), {"cells": 3})
    >>> mask = torch.ones(1, 4, dtype=torch.bool)
    >>> view = View(torch.zeros(1, 4, 3), torch.zeros(1, 4, 6), -torch.ones(1, 4), mask, ((1, 2, 2),))
    >>> model.eval()({"cells": view}).scores.shape
    torch.Size([1, 4])
    """

    Config: ClassVar[type] = CuboidMILConfig
    views: ClassVar[tuple[str, ...]] = (VIEW,)
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    abilities: ClassVar[MethodAbilities] = MethodAbilities(
        averages_time=True,
        divides_time=True,
        ablations={
            "whole pictures": {"cells": {"rows": 1, "columns": 1}},
            "7 x 7 cells": {"cells": {"rows": 7, "columns": 7}},
            "no prior": {"prior": None},
            "the maximum alone": {"top": 0.0},
            "clips as bags": {"bag": "clip"},
            "one pair per bag": {"pairs": "matched"},
            "a head of 512": {"hidden": 512},
            "dropout": {"dropout": 0.6},
            "sparse and smooth": {"sparsity": 8e-5, "smoothness": 8e-5},
            "32 segments": {"segments": 32},
            "no segments": {"segments": None},
            "as published": {
                "hidden": 512,
                "middle": 32,
                "dropout": 0.6,
                "locked_dropout": False,
                "segments": 32,
                "top": 0.0,
                "prior": None,
            },
        },
    )
    schedule: ClassVar[Training] = Training(
        steps=150, bags=30, optimizer="adamw", learning_rate=1e-3, weight_decay=1e-2
    )
    source: ClassVar[Provenance] = Provenance(
        title="Cuboid MIL", homepage="https://arxiv.org/abs/2605.13746", citation="arXiv 2605.13746"
    )
    reach: float | None = 0.0

    def __init__(self, config: CuboidMILConfig, dims: Mapping[str, int]) -> None:
        super().__init__()
        self.config = config
        self.head = _head(dims[VIEW], config)
        if config.prior is not None:
            self.steep = nn.Parameter(torch.tensor(STEEP))

    def forward(self, bags: Mapping[str, View]) -> Output:
        """Scores ``(B, N)`` of the view ``cells``, 0 where masked and where an instance is all zeros."""
        view = bags[VIEW]
        longest = max(shape[0] if shape else 1 for shape in view.shapes)
        if self.training and self.config.bag != CLIP and self.config.segments and longest > self.config.segments:
            pooled, mask, where = self._segments(view)
            short = self._score(pooled, mask)
            scores = short.gather(1, where) * view.mask
            return Output(scores, {"pooled": short, "pooled_mask": mask})
        return Output(self._score(view.features, view.mask))

    def _score(self, features: Tensor, mask: Tensor) -> Tensor:
        lengths = torch.linalg.vector_norm(features, dim=-1)
        held = mask & (lengths > 0)
        if self._sparse(held):
            rows = held.flatten().nonzero()[:, 0]
            chosen = (values.flatten(0, 1).index_select(0, rows) for values in (features, lengths))
            scores = torch.sigmoid(self._logits(*chosen))
            return scores.new_zeros(held.numel()).index_copy(0, rows, scores).view(held.shape)
        return torch.where(held, torch.sigmoid(self._logits(features, lengths)), 0.0)

    def _logits(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Logits ``(...)`` of features ``(..., D)`` of these lengths."""
        logits: Tensor = self.head(features).squeeze(-1).float()
        if self.config.prior is None:
            return logits
        with_prior: Tensor = logits + self.steep * (lengths / (features.shape[-1] ** 0.5 * self.config.prior) - 1)
        return with_prior

    def _sparse(self, held: Tensor) -> bool:
        """Whether so few instances are held that a step which selects them first is faster.

        Short clips in a batch are mostly padding, and cells in which nothing moves are empty. Masks of dropout are of
        whole bags, and rows of several bags have none.
        """
        if not self.training or self.config.dropout or recorded():
            return False
        return 2 * int(held.sum()) < held.numel()

    def _segments(self, view: View) -> tuple[Tensor, Tensor, Tensor]:
        """Averages ``(B, M, D)`` over spans of time, their mask, and the average of each instance ``(B, N)``."""
        where = torch.zeros(view.mask.shape, dtype=torch.long, device=view.features.device)
        counts = [int(count) for count in view.mask.sum(1)]
        for row, (count, shape) in enumerate(zip(counts, view.shapes, strict=True)):
            steps, cells = _layout(count, shape)
            step = torch.arange(steps, device=where.device) * min(self.config.segments or steps, steps) // steps
            cell = torch.arange(cells, device=where.device)
            where[row, :count] = (step[:, None] * cells + cell).flatten()
        size = int(where.max()) + 1
        weights = view.mask.to(view.features.dtype)
        members = torch.zeros(len(counts), size, device=where.device).scatter_add(1, where, weights)
        index = where[..., None].expand_as(view.features)
        sums = view.features.new_zeros(len(counts), size, view.features.shape[-1])
        sums = sums.scatter_add(1, index, view.features * weights[..., None])
        return sums / members.clamp(min=1)[..., None], members > 0, where

    def loss(self, output: Output, bags: Mapping[str, View], labels: Tensor) -> dict[str, Tensor]:
        """``ranking``, and ``sparsity`` and ``smoothness`` with a weight; ``labels`` ``(B,)``, 1 = anomalous."""
        config = self.config
        mask, shapes = output.extra.get("pooled_mask", bags[VIEW].mask), bags[VIEW].shapes
        scores, present = _steps(output.extra.get("pooled", output.scores), mask, shapes)
        anomalous = labels > 0.5
        steps, cells = scores.shape[1:]
        parts = (1, steps * cells) if config.bag == "video" else (steps, cells)
        bag_scores = top_mean(scores.reshape(-1, parts[1]), config.top, present.reshape(-1, parts[1]))
        real, of = present.reshape(-1, parts[1]).any(1), anomalous.repeat_interleave(parts[0])
        terms = {"ranking": ranking(bag_scores[real & of], bag_scores[real & ~of], config.margin, config.pairs)}
        suspects, valid = scores[anomalous], present[anomalous]
        bag_count = max(1, len(suspects))
        if config.sparsity:
            terms["sparsity"] = config.sparsity * suspects.sum() / bag_count
        if config.smoothness:
            changes = suspects.diff(dim=1).square() * (valid[:, 1:] & valid[:, :-1])
            terms["smoothness"] = config.smoothness * changes.sum() / bag_count
        return terms


def ranking(anomalous: Tensor, normal: Tensor, margin: float, pairs: str = "all") -> Tensor:
    """Mean over pairs of ``max(0, margin - a + n)``, for bag scores ``(P,)`` and ``(Q,)`` in [0, 1].

    Where one kind is missing, the other is ranked against its target score: 1 or 0.
    Sultani et al., CVPR 2018, equation 6.

    >>> float(ranking(torch.tensor([0.75]), torch.tensor([0.25, 0.5]), 1.0))
    0.625
    """
    if not len(anomalous):
        anomalous = normal.new_ones(len(normal) if pairs == "matched" else 1)
    if not len(normal):
        normal = anomalous.new_zeros(len(anomalous) if pairs == "matched" else 1)
    if pairs == "matched":
        count = min(len(anomalous), len(normal))
        return (margin - anomalous[:count] + normal[:count]).clamp(min=0).mean()
    return (margin - anomalous[:, None] + normal).clamp(min=0).mean()


def top_mean(scores: Tensor, share: float, present: Tensor | None = None) -> Tensor:
    """Mean of the highest ``share`` of each row ``(R, N)``, at least one, so that 0 is the maximum: ``(R,)``.

    ``present``: which scores count, default all; scores are in [0, 1]. A row without any is undefined.

    >>> top_mean(torch.tensor([[0.0, 0.5, 1.0, 0.25]]), 0.5).tolist()
    [0.75]
    """
    if present is None:
        present = torch.ones_like(scores, dtype=torch.bool)
    counts = (present.sum(1).double() * share).round().long().clamp(min=1)
    best = scores.masked_fill(~present, -1.0).topk(int(counts.max()), dim=1).values
    chosen = torch.arange(best.shape[1], device=best.device) < counts[:, None]
    return torch.where(chosen, best, 0.0).sum(1) / counts


def _steps(scores: Tensor, mask: Tensor, shapes: tuple[tuple[int, int, int] | None, ...]) -> tuple[Tensor, Tensor]:
    """Scores ``(B, N)`` as time steps of cells ``(B, T, P)``, 0 where absent, and which are present."""
    counts = mask.sum(1).tolist()
    layouts = tuple(s and (n // (s[1] * s[2]), *s[1:]) for n, s in zip(counts, shapes, strict=True))
    if len(set(layouts)) == 1 and layouts[0] and bool(mask.all()):
        laid = scores.reshape(len(scores), layouts[0][0], -1)
        return laid, torch.ones_like(laid, dtype=torch.bool)
    both = torch.stack([scores, mask.to(scores.dtype)], -1)
    none = scores.new_zeros(())
    laid = lanes(View(both, none, none, mask, layouts)).features
    return laid[..., 0], laid[..., 1] > 0


def _head(size: int, config: CuboidMILConfig) -> nn.Sequential:
    first = [nn.Linear(size, config.hidden), nn.ReLU(), LockedDropout(config.dropout, locked=config.locked_dropout)]
    last = config.middle or config.hidden
    dropout = LockedDropout(config.dropout, locked=config.locked_dropout)
    between = [nn.Linear(config.hidden, last), dropout] if config.middle else []
    head = nn.Sequential(*first, *between, nn.Linear(last, 1))
    linear = [layer for layer in head if isinstance(layer, nn.Linear)]
    for layer in linear:
        nn.init.xavier_normal_(layer.weight)
        nn.init.zeros_(layer.bias)
    if config.prior is not None:  # the learned part starts small compared with the prior
        linear[-1].weight.data.mul_(0.1)
    return head


def _layout(count: int, shape: tuple[int, int, int] | None) -> tuple[int, int]:
    """Time steps and cells per step; instances without a grid are one step."""
    return (shape[0], count // shape[0]) if shape else (1, count)


PLUGIN = CuboidMIL
